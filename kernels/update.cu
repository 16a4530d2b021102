// update.cu -- one optimiser step over all parameters, with PyTorch's formulas in its order of operations.
//
//   update_check    lowest index of a gradient that is not finite, piece by piece
//   update          status = [1 + the lowest of all pieces, step], if there is one and status is not set; unless it is
//                   set now:
//                   SGD      p -= lr (g + decay p)
//                   momentum b = momentum b + (g + decay p);  p -= lr b        (step 1: b starts as 0)
//                   Adam     g += decay p;  p *= shrink;  m += (1 - b1)(g - m);  v = b2 v + (1 - b2) g g
//                            p -= rate m/(sqrt(v)/root + eps)                  (AdamW: decay 0, shrink 1 - lr decay)
//
// One runs after the other, so that no parameter moves in a step whose gradient is not finite.
//
// Shapes    params, grads, first, second [len]; lowest [pieces]; status [2]
// Aliasing  none
// Launch    256 threads for each piece; they are few, since every block of update looks at all of them
// Domain    1 <= len < 2^32
// Repeats   the same bits everywhere: every element by itself, the lowest index by integers
// Cost      Adam reads 20 and writes 12 bytes a parameter, which is memory-bound, and 4 bytes for each pair of pieces
// Rust      src/backend/cuda/update.rs
// Test      tests/update.rs
#include "common.cuh"

constexpr unsigned NONE = 0xffffffffu;

enum Formula : unsigned { DESCEND, ROLL, ADAM };

struct Update {
    float* params;
    const float* grads;
    float *first, *second;
    unsigned *lowest, *status;
    uint64_t len;
    unsigned piece, pieces, step, formula;   // piece: its length
    float lr, decay, momentum, shrink, new_first, old_second, new_second, rate, root, eps;
};

// The lowest over the block's 256 threads, in all of them.
__device__ __forceinline__ unsigned block_lowest(unsigned index) {
    __shared__ unsigned of_warp[8];
    for (unsigned step = WARP / 2; step > 0; step /= 2)
        index = min(index, __shfl_xor_sync(FULL_WARP, index, step));
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = index;
    __syncthreads();
    for (unsigned warp = 0; warp < 8; ++warp) index = min(index, of_warp[warp]);
    return index;
}

// Element number `i` and its moments.
__device__ __forceinline__ void update_one(const Update& a, size_t i) {
    float p = a.params[i];
    if (a.formula == DESCEND) {
        p -= a.lr * (a.grads[i] + a.decay * p);
    } else if (a.formula == ROLL) {
        const float before = a.step == 1 ? 0.0f : a.first[i];   // the first buffer is the gradient itself
        const float b = a.momentum * before + (a.grads[i] + a.decay * p);
        a.first[i] = b;
        p -= a.lr * b;
    } else {
        const float g = a.grads[i] + a.decay * p;
        p *= a.shrink;
        float m = a.first[i], v = a.second[i];
        m += a.new_first * (g - m);
        v = a.old_second * v + a.new_second * g * g;
        a.first[i] = m;
        a.second[i] = v;
        p -= a.rate * m / (sqrtf(v) / a.root + a.eps);
    }
    a.params[i] = p;
}

extern "C" __global__ void __launch_bounds__(256) update_check(const __grid_constant__ Update a) {
    wait_for_last_kernel();
    const size_t begin = size_t(blockIdx.x) * a.piece, end = min(a.len, begin + a.piece);
    unsigned found = NONE;
    for (size_t i = begin + threadIdx.x; i < end; i += 256)
        // An exponent of all ones: infinite or not a number.
        if ((__float_as_uint(a.grads[i]) & 0x7f800000u) == 0x7f800000u) found = min(found, unsigned(i));
    found = block_lowest(found);
    if (threadIdx.x == 0) a.lowest[blockIdx.x] = found;
}

extern "C" __global__ void __launch_bounds__(256) update(const __grid_constant__ Update a) {
    wait_for_last_kernel();
    __shared__ unsigned stopped;   // read once: block 0 may be setting it, and threads that part do not meet again
    if (threadIdx.x == 0) stopped = a.status[0];
    __syncthreads();
    if (stopped != 0) return;
    unsigned found = NONE;
    for (unsigned piece = threadIdx.x; piece < a.pieces; piece += 256) found = min(found, a.lowest[piece]);
    found = block_lowest(found);
    if (found != NONE) {
        // Blocks that come later meet a set status, and those that do not see it yet get here too.
        if (blockIdx.x == 0 && threadIdx.x == 0) {
            a.status[1] = a.step;
            a.status[0] = found + 1;
        }
        return;
    }
    const size_t begin = size_t(blockIdx.x) * a.piece, end = min(a.len, begin + a.piece);
    for (size_t i = begin + threadIdx.x; i < end; i += 256) update_one(a, i);
}
