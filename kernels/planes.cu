// planes.cu -- forms an operand of the matrix products and writes it as they read it.
//
//   v 2^k = high + low in fp16, v 2^k in fp16, v in bf16, or v in f32; and on request the sums of v over each 128 rows
//
// v is a layer's input x (or a weight, which is an input with nothing applied), or dz, which is the gradient that the
// layer above left or, through the layer's batch norm,
//
//   dz = gamma inv_std (g - sum g / rows - x-hat sum g x-hat / rows)      the sums are the gradients of beta, gamma
//
// Every block of 128 x 64 has its own k, from its largest element: what multiplies the planes adds up 64 of the
// contraction at a time, and all of these have the same.
//
// Shapes    v [rows][columns]; data [planes][rows][pitch], or f32 [rows][pitch]; pitch is a multiple of 8, and the
//           columns beyond v's are written as zeros; exponents [ceil(rows / 128)][ceil(columns / 64)]; sums
//           [ceil(rows / 128)][columns]
// Aliasing  outputs may not overlap anything
// Launch    256 threads and one block for each 128 rows x 64 columns. With data null it only sums
// Domain    rows, columns >= 1. A NaN or infinity does not count as largest, and becomes one itself
// Repeats   the same bits everywhere
// Cost      reads v's sources once, writes 2 or 4 bytes an element: memory-bound
// Rust      src/backend/cuda/planes.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "half.cuh"
#include "matmul.cuh"

enum Format : unsigned { HALF_PAIR, HALF, BFLOAT, SINGLE };

constexpr unsigned THREADS = 256;
constexpr unsigned EACH = 8;                                      // neighbouring columns of a thread
constexpr unsigned ACROSS = BLOCK_COLUMNS / EACH, DOWN = THREADS / ACROSS, ROWS_EACH = BLOCK_ROWS / DOWN;

struct Target {
    void* data;
    int* exponents;           // k of each block; null: 0
    double* sums;
    uint64_t plane_stride;
    unsigned pitch, format, rows, columns;
};

struct OfInput {
    Target to;
    Input input;
};

struct OfDelta {
    Target to;
    const float *grad, *z;
    Norm norm;                // mean null: dz is grad
    const float *grad_gamma, *grad_beta;
};

// Eight neighbouring columns of x.
struct InputColumns {
    const OfInput& from;
    unsigned first;

    __device__ __forceinline__ InputColumns(const OfInput& from, unsigned first) : from(from), first(first) {}
    __device__ __forceinline__ float at(unsigned row, unsigned i) const {
        return input_at(from.input, row, first + i, from.to.columns);
    }
};

// Eight neighbouring columns of dz; what belongs to a column is read once. Rounded as on the CPU.
struct DeltaColumns {
    const OfDelta& from;
    unsigned first;
    float mean[EACH], inv_std[EACH], factor[EACH], grad_mean[EACH], grad_x_mean[EACH];

    __device__ __forceinline__ DeltaColumns(const OfDelta& from, unsigned first) : from(from), first(first) {
        if (!from.norm.mean) return;
        const float rows = float(from.to.rows);
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const unsigned c = min(first + i, from.to.columns - 1);
            mean[i] = from.norm.mean[c];
            inv_std[i] = from.norm.inv_std[c];
            factor[i] = from.norm.gamma[c] * inv_std[i];
            grad_mean[i] = from.grad_beta[c] / rows;
            grad_x_mean[i] = from.grad_gamma[c] / rows;
        }
    }
    __device__ __forceinline__ float at(unsigned row, unsigned i) const {
        const size_t at = size_t(row) * from.to.columns + first + i;
        const float g = from.grad[at];
        if (!from.norm.mean) return g;
        return factor[i] * (g - grad_mean[i] - (from.z[at] - mean[i]) * inv_std[i] * grad_x_mean[i]);
    }
};

// The largest of all threads' values, in all of them.
__device__ __forceinline__ unsigned block_max(unsigned v) {
    __shared__ unsigned of_warp[THREADS / WARP];
    v = __reduce_max_sync(FULL_WARP, v);
    if (threadIdx.x % WARP == 0) of_warp[threadIdx.x / WARP] = v;
    __syncthreads();
    for (unsigned warp = 0; warp < THREADS / WARP; ++warp) v = max(v, of_warp[warp]);
    return v;
}

// k for a thread's values: its block's.
__device__ __forceinline__ int fitting_exponent(const float (&v)[ROWS_EACH][EACH]) {
    unsigned largest = 0;
#pragma unroll
    for (unsigned i = 0; i < ROWS_EACH * EACH; ++i) {
        // Non-negative floats are in the order of their bits.
        const unsigned bits = __float_as_uint(v[i / EACH][i % EACH]) & 0x7fffffffu;
        if (bits < 0x7f800000u) largest = max(largest, bits);
    }
    return plane_exponent(block_max(largest));
}

__device__ __forceinline__ unsigned pack(uint16_t first, uint16_t second) { return first | unsigned(second) << 16; }

// Eight values of a row to data.
__device__ __forceinline__ void write(const Target& to, size_t row, unsigned column, const float (&v)[EACH],
                                      float scale) {
    const size_t at = row * to.pitch + column;
    if (to.format == SINGLE) {
        float4* single = reinterpret_cast<float4*>(static_cast<float*>(to.data) + at);
        single[0] = make_float4(v[0], v[1], v[2], v[3]);
        single[1] = make_float4(v[4], v[5], v[6], v[7]);
        return;
    }
    unsigned high[EACH / 2], low[EACH / 2];
#pragma unroll
    for (unsigned i = 0; i < EACH / 2; ++i) {
        if (to.format == BFLOAT) {
            high[i] = pack(to_bfloat(v[2 * i]), to_bfloat(v[2 * i + 1]));
        } else {
            const HalfPair x(v[2 * i] * scale), y(v[2 * i + 1] * scale);
            high[i] = pack(x.high, y.high);
            low[i] = pack(x.low, y.low);
        }
    }
    uint16_t* plane = static_cast<uint16_t*>(to.data) + at;
    *reinterpret_cast<uint4*>(plane) = make_uint4(high[0], high[1], high[2], high[3]);
    if (to.format == HALF_PAIR)
        *reinterpret_cast<uint4*>(plane + to.plane_stride) = make_uint4(low[0], low[1], low[2], low[3]);
}

// The block's column sums: of the lanes of a warp that have a column, then warp by warp in f64.
__device__ __forceinline__ void write_sums(const Target& to, float (&sum)[EACH]) {
    __shared__ float of_warp[THREADS / WARP][BLOCK_COLUMNS];
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
        for (unsigned step = WARP / 2; step >= ACROSS; step /= 2)
            sum[i] += __shfl_xor_sync(FULL_WARP, sum[i], step);
        if (threadIdx.x % WARP < ACROSS) of_warp[threadIdx.x / WARP][threadIdx.x % ACROSS * EACH + i] = sum[i];
    }
    __syncthreads();
    const unsigned across = (to.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    const unsigned column = blockIdx.x % across * BLOCK_COLUMNS + threadIdx.x;
    if (threadIdx.x >= BLOCK_COLUMNS || column >= to.columns) return;
    double total = 0.0;
    for (unsigned warp = 0; warp < THREADS / WARP; ++warp) total += of_warp[warp][threadIdx.x];
    to.sums[size_t(blockIdx.x / across) * to.columns + column] = total;
}

template <class Columns, class From>
__device__ __forceinline__ void operand_of(const From& from) {
    const Target& to = from.to;
    const unsigned across = (to.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    const unsigned first_row = blockIdx.x / across * BLOCK_ROWS + threadIdx.x / ACROSS;
    const unsigned column = blockIdx.x % across * BLOCK_COLUMNS + threadIdx.x % ACROSS * EACH;
    float v[ROWS_EACH][EACH] = {}, sum[EACH] = {};
    if (column < to.columns) {
        const Columns columns(from, column);
#pragma unroll
        for (unsigned r = 0; r < ROWS_EACH; ++r)
            if (first_row + r * DOWN < to.rows)
#pragma unroll
                for (unsigned i = 0; i < EACH; ++i) {
                    if (column + i < to.columns) v[r][i] = columns.at(first_row + r * DOWN, i);
                    sum[i] += v[r][i];
                }
    }
    if (to.data) {
        int exponent = 0;
        if (to.exponents) {
            exponent = fitting_exponent(v);
            if (threadIdx.x == 0) to.exponents[blockIdx.x] = exponent;
        }
        if (column < to.columns)
#pragma unroll
            for (unsigned r = 0; r < ROWS_EACH; ++r)
                if (first_row + r * DOWN < to.rows)
                    write(to, first_row + r * DOWN, column, v[r], power_of_two(exponent));
    }
    if (to.sums) write_sums(to, sum);
}

extern "C" __global__ void __launch_bounds__(256) operand_of_input(const __grid_constant__ OfInput from) {
    operand_of<InputColumns>(from);
}

extern "C" __global__ void __launch_bounds__(256) operand_of_delta(const __grid_constant__ OfDelta from) {
    operand_of<DeltaColumns>(from);
}
