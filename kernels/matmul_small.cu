// matmul_small.cu -- both passes of a small layer, whose products are over before their launch would be forgotten.
//
//   small_forward    z = x W^T + bias
//   small_backward   dW = dz^T x, dbias = sum_rows dz, and g = (dz W) dropout f'(h) of the layer below
//
// in plain 32-bit fused multiply-adds, with x formed on load: one launch where tiles of 128 x 128 would take five or
// ten and leave most of a card idle. Neither layer is normalised.
//
// Shapes    x [rows][inputs], W and dW [outputs][inputs], z and dz [rows][outputs], g [rows][inputs]; bias, dbias
//           [outputs] or null; below null: no g
// Aliasing  outputs may not overlap anything
// Launch    256 threads for each 16 x 16 of a result. small_backward: first the blocks of dW, then those of g
// Domain    rows, inputs, outputs >= 1
// Repeats   the same bits everywhere: each of eight warps takes 32 of every 256 of the contraction, in order; then they
//           are added in order
// Cost      2 operations a multiply-add; reads (an operand once per 16 lines of the other) from the L2 cache: bound by
//           how long a launch and a load take
// Rust      src/backend/cuda/matmul/small.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "input.cuh"

constexpr unsigned SIDE = 16, THREADS = 256, WARPS = THREADS / WARP;
constexpr unsigned SLICE = 32, DEPTH = WARPS * SLICE;      // of the contraction: of a warp, of all
constexpr unsigned EACH = SIDE * DEPTH / THREADS;          // elements of a stage that a thread brings

struct SmallForward {
    Input input;
    const float *weight, *bias;
    Values z;
    unsigned rows, inputs, outputs, unused;
};

struct SmallBackward {
    Input input;
    Values grad, below;
    const float* weight;
    float *grad_weight, *grad_bias;
    unsigned rows, inputs, outputs, unused;
};

// What a matrix [lines][k] is read from: raw(line, k) as it is stored, and from that formed(raw, line, k).
struct Plain {
    static constexpr bool AS_STORED = true;
    Values data;
    unsigned line_stride, k_stride;

    __device__ __forceinline__ float raw(unsigned line, unsigned k) const {
        return data.at(size_t(line) * line_stride + size_t(k) * k_stride);
    }
    __device__ __forceinline__ float formed(float raw, unsigned, unsigned) const { return raw; }
};

// x; a line is a row, or with TRANSPOSED a column.
template <bool TRANSPOSED>
struct Formed {
    static constexpr bool AS_STORED = false;
    const Input& input;
    unsigned features;

    __device__ __forceinline__ float raw(unsigned line, unsigned k) const {
        return stored_at(input, TRANSPOSED ? k : line, TRANSPOSED ? line : k, features);
    }
    __device__ __forceinline__ float formed(float raw, unsigned line, unsigned k) const {
        return form(input, raw, TRANSPOSED ? k : line, TRANSPOSED ? line : k, features);
    }
};

// Sixteen lines of a matrix in shared memory, for DEPTH of the contraction. MN: in memory neighbours are lines, not k,
// and so they are here. OWN of the lines are a lane's own: those that it reads at once lie in different banks.
template <bool MN, unsigned OWN>
struct Stage {
    static constexpr unsigned PITCH = MN ? SIDE : DEPTH + 4, FLOATS = MN ? DEPTH * PITCH : SIDE * PITCH;
    float* at;

    // Element e of the thread's share: neighbouring threads take what is neighbouring in memory.
    static __device__ __forceinline__ unsigned line(unsigned e) {
        return MN ? threadIdx.x % SIDE : threadIdx.x / WARP + e / (EACH / 2) * WARPS;
    }
    static __device__ __forceinline__ unsigned k(unsigned e) {
        return MN ? threadIdx.x / SIDE + e * (THREADS / SIDE) : threadIdx.x % WARP + e % (EACH / 2) * WARP;
    }
    __device__ __forceinline__ float& of(unsigned line, unsigned k) const {
        return at[MN ? k * PITCH + line : line * PITCH + k];
    }

    // The lane's lines, as it stands in a column of 16 / OWN lanes.
    static __device__ __forceinline__ unsigned own(unsigned lane, unsigned i) {
        return MN ? lane * OWN + i : lane + i * (SIDE / OWN);
    }
    // Four of the contraction, of these lines.
    __device__ __forceinline__ void read(float (&v)[OWN][4], unsigned lane, unsigned k) const {
#pragma unroll
        for (unsigned i = 0; i < OWN; ++i)
            if constexpr (MN) {
#pragma unroll
                for (unsigned j = 0; j < 4; ++j) v[i][j] = of(own(lane, i), k + j);
            } else {
                const float4 four = *reinterpret_cast<const float4*>(&of(own(lane, i), k));
                v[i][0] = four.x, v[i][1] = four.y, v[i][2] = four.z, v[i][3] = four.w;
            }
    }
};

// The thread's share of 16 lines from `first` on, zero beyond `lines` and `depth`.
template <class At, class From>
__device__ __forceinline__ void fetch(float (&v)[EACH], const From& from, unsigned first, unsigned lines, unsigned k0,
                                      unsigned depth) {
#pragma unroll
    for (unsigned e = 0; e < EACH; ++e) {
        const unsigned line = first + At::line(e), k = k0 + At::k(e);
        v[e] = line < lines && k < depth ? from.raw(line, k) : 0.0f;
    }
}

// The same to shared memory, formed. One copy of what forms them is enough, and registers have no index: they are
// formed where they then are.
template <class At, class From>
__device__ __forceinline__ void put(const At& stage, const float (&v)[EACH], const From& from, unsigned first,
                                    unsigned lines, unsigned k0, unsigned depth) {
#pragma unroll
    for (unsigned e = 0; e < EACH; ++e) stage.of(At::line(e), At::k(e)) = v[e];
    if constexpr (!From::AS_STORED) {
#pragma unroll 1
        for (unsigned e = 0; e < EACH; ++e) {
            const unsigned line = first + At::line(e), k = k0 + At::k(e);
            float& x = stage.of(At::line(e), At::k(e));
            if (line < lines && k < depth) x = from.formed(x, line, k);
        }
    }
}

constexpr unsigned SHARED_FLOATS = 2 * SIDE * (DEPTH + 4);

// sum_k a(row, k) b(column, k) for rows from m0 and columns from n0 on: each thread has the element of row t / 16 and
// column t % 16. With A_SUMS also sum_k a(row, k), in the first 16 threads.
template <bool A_MN, bool B_MN, bool A_SUMS, class A, class B>
__device__ __forceinline__ float product(const A& a, unsigned m0, unsigned m, const B& b, unsigned n0, unsigned n,
                                         unsigned depth, float* shared, double& a_sum) {
    using AtA = Stage<A_MN, 2>;
    using AtB = Stage<B_MN, 4>;
    static_assert(AtA::FLOATS + AtB::FLOATS <= SHARED_FLOATS && THREADS == SIDE * SIDE);
    const AtA stage_a{shared};
    const AtB stage_b{shared + AtA::FLOATS};
    const unsigned warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, lane_a = lane / 4, lane_b = lane % 4;
    float next_a[EACH], next_b[EACH], sum[2][4] = {}, share = 0.0f;
    fetch<AtA>(next_a, a, m0, m, 0, depth);
    fetch<AtB>(next_b, b, n0, n, 0, depth);
    for (unsigned k0 = 0; k0 < depth; k0 += DEPTH) {
        __syncthreads();   // nobody reads the stage before
        put(stage_a, next_a, a, m0, m, k0, depth);
        put(stage_b, next_b, b, n0, n, k0, depth);
        __syncthreads();
        if constexpr (A_SUMS)
#pragma unroll
            for (unsigned e = 0; e < EACH; ++e) share += next_a[e];
        if (k0 + DEPTH < depth) {
            fetch<AtA>(next_a, a, m0, m, k0 + DEPTH, depth);
            fetch<AtB>(next_b, b, n0, n, k0 + DEPTH, depth);
        }
        for (unsigned k = warp * SLICE; k < (warp + 1) * SLICE && k0 + k < depth; k += 4) {
            float v[2][4], w[4][4];
            stage_a.read(v, lane_a, k);
            stage_b.read(w, lane_b, k);
#pragma unroll
            for (unsigned j = 0; j < 4; ++j)
#pragma unroll
                for (unsigned i = 0; i < 2; ++i)
#pragma unroll
                    for (unsigned c = 0; c < 4; ++c) sum[i][c] = fmaf(v[i][j], w[c][j], sum[i][c]);
        }
    }
    __syncthreads();
#pragma unroll
    for (unsigned i = 0; i < 2; ++i)
#pragma unroll
        for (unsigned c = 0; c < 4; ++c)
            shared[warp * THREADS + AtA::own(lane_a, i) * SIDE + AtB::own(lane_b, c)] = sum[i][c];
    float* shares = shared + WARPS * THREADS;
    if constexpr (A_SUMS) shares[threadIdx.x] = share;
    __syncthreads();
    float total = 0.0f;
    for (unsigned w = 0; w < WARPS; ++w) total += shared[w * THREADS + threadIdx.x];
    if constexpr (A_SUMS) {
        static_assert(A_MN, "a thread's share is of one line");
        a_sum = 0.0;
        if (threadIdx.x < SIDE)
            for (unsigned part = 0; part < THREADS / SIDE; ++part) a_sum += shares[part * SIDE + threadIdx.x];
    }
    return total;
}

__device__ __forceinline__ unsigned across(unsigned n) { return (n + SIDE - 1) / SIDE; }

extern "C" __global__ void __launch_bounds__(256, 2) small_forward(const __grid_constant__ SmallForward a) {
    wait_for_last_kernel();
    __shared__ __align__(16) float shared[SHARED_FLOATS];
    const unsigned m0 = blockIdx.x / across(a.outputs) * SIDE, n0 = blockIdx.x % across(a.outputs) * SIDE;
    const Formed<false> x{a.input, a.inputs};
    const Plain weight{in_f32(a.weight), a.inputs, 1};
    double unused;
    const float z = product<false, false, false>(x, m0, a.rows, weight, n0, a.outputs, a.inputs, shared, unused);
    const unsigned row = m0 + threadIdx.x / SIDE, column = n0 + threadIdx.x % SIDE;
    if (row < a.rows && column < a.outputs)
        a.z.put(size_t(row) * a.outputs + column, z + (a.bias ? a.bias[column] : 0.0f));
}

__device__ __forceinline__ void of_weight(const SmallBackward& a, unsigned block, float* shared) {
    const unsigned m0 = block / across(a.inputs) * SIDE, n0 = block % across(a.inputs) * SIDE;
    const Plain dz{a.grad, 1, a.outputs};
    const Formed<true> x{a.input, a.inputs};
    double sum;
    const float dw = product<true, true, true>(dz, m0, a.outputs, x, n0, a.inputs, a.rows, shared, sum);
    const unsigned row = m0 + threadIdx.x / SIDE, column = n0 + threadIdx.x % SIDE;
    if (row < a.outputs && column < a.inputs) a.grad_weight[size_t(row) * a.inputs + column] = dw;
    if (a.grad_bias && n0 == 0 && threadIdx.x < SIDE && m0 + threadIdx.x < a.outputs)
        a.grad_bias[m0 + threadIdx.x] = float(sum);
}

__device__ __forceinline__ void of_below(const SmallBackward& a, unsigned block, float* shared) {
    const unsigned m0 = block / across(a.inputs) * SIDE, n0 = block % across(a.inputs) * SIDE;
    const Plain dz{a.grad, a.outputs, 1}, weight{in_f32(a.weight), 1, a.inputs};
    double unused;
    float standard;
    const float g = product<false, true, false>(dz, m0, a.rows, weight, n0, a.inputs, a.outputs, shared, unused);
    const unsigned row = m0 + threadIdx.x / SIDE, column = n0 + threadIdx.x % SIDE;
    if (row >= a.rows || column >= a.inputs) return;
    const size_t at = size_t(row) * a.inputs + column;
    const float z = a.input.pixels ? 0.0f : a.input.field.z.at(at);
    const ColumnNorm norm(a.input.field.norm, column);
    a.below.put(at, through_activation(a.input, a.inputs, g, row, column, norm, z, standard));
}

extern "C" __global__ void __launch_bounds__(256, 2) small_backward(const __grid_constant__ SmallBackward a) {
    wait_for_last_kernel();
    __shared__ __align__(16) float shared[SHARED_FLOATS];
    const unsigned of_dw = across(a.outputs) * across(a.inputs);
    if (blockIdx.x < of_dw) of_weight(a, blockIdx.x, shared);
    else of_below(a, blockIdx.x - of_dw, shared);
}
