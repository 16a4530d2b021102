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
// Launch    256 threads and one block for each 128 rows x 64 columns, operands_of_inputs first those of `of[0]`, then
//           those of `of[1]`. With data null it only sums
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

struct OfInputs {
    OfInput of[2];
    unsigned blocks, unused;   // of the first
};

struct OfDelta {
    Target to;
    Values grad, z;
    Norm norm;                // mean null: dz is grad
    const float *grad_gamma, *grad_beta;
};

// What a thread has: EACH neighbouring columns of ROWS_EACH rows.
using Block = float[ROWS_EACH][EACH];

// Which these are, from this row and column on, and how many of them exist.
struct Share {
    unsigned row, column, rows, columns;

    // Of block number `block` of the matrix.
    __device__ __forceinline__ Share(const Target& to, unsigned block) {
        const unsigned across = (to.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
        row = block / across * BLOCK_ROWS + threadIdx.x / ACROSS;
        column = block % across * BLOCK_COLUMNS + threadIdx.x % ACROSS * EACH;
        columns = column < to.columns ? min(EACH, to.columns - column) : 0;
        rows = row < to.rows ? min(ROWS_EACH, (to.rows - row + DOWN - 1) / DOWN) : 0;
    }
    __device__ __forceinline__ bool has(unsigned r, unsigned i) const { return r < rows && i < columns; }
};

// Whether a matrix of `columns` can be read in pieces of EACH elements, which take so many bytes at a time.
__device__ __forceinline__ bool in_pieces(const void* data, unsigned columns, unsigned bytes) {
    return columns % EACH == 0 && reinterpret_cast<uintptr_t>(data) % bytes == 0;
}

// The thread's share of a matrix of `columns`, zero elsewhere. All of it is asked for before any of it is used.
__device__ __forceinline__ void read(Block& v, const Values& from, const Share& share, unsigned columns) {
    const size_t first = size_t(share.row) * columns + share.column, down = size_t(DOWN) * columns;
    if (!in_pieces(from.data, columns, 16)) {
        unsigned of[ROWS_EACH * EACH];
#pragma unroll
        for (unsigned i = 0; i < ROWS_EACH * EACH; ++i)
            of[i] = share.has(i / EACH, i % EACH) ? from.bits(first + i / EACH * down + i % EACH) : 0;
#pragma unroll
        for (unsigned i = 0; i < ROWS_EACH * EACH; ++i) v[i / EACH][i % EACH] = from.from_bits(of[i]);
    } else if (from.narrow) {
        const uint4* data = reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(from.data) + first);
        uint4 of[ROWS_EACH];
#pragma unroll
        for (unsigned r = 0; r < ROWS_EACH; ++r)
            of[r] = share.has(r, 0) ? data[r * down / EACH] : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (unsigned r = 0; r < ROWS_EACH; ++r) {
            const unsigned pairs[EACH / 2] = {of[r].x, of[r].y, of[r].z, of[r].w};
#pragma unroll
            for (unsigned i = 0; i < EACH; ++i) v[r][i] = from.from_bits(pairs[i / 2] >> i % 2 * 16 & 0xffff);
        }
    } else {
        const float4* data = reinterpret_cast<const float4*>(static_cast<const float*>(from.data) + first);
#pragma unroll
        for (unsigned i = 0; i < 2 * ROWS_EACH; ++i) {
            const float4 four = share.has(i / 2, 0) ? data[i / 2 * (down / 4) + i % 2] : make_float4(0, 0, 0, 0);
            float* to = v[i / 2] + i % 2 * 4;
            to[0] = four.x, to[1] = four.y, to[2] = four.z, to[3] = four.w;
        }
    }
}

// The same of bytes, of which some rows take part.
__device__ __forceinline__ void read_bytes(Block& v, const uint8_t* from, const RowList& rows, const Share& share,
                                           unsigned columns) {
    const uint8_t* data[ROWS_EACH];
#pragma unroll
    for (unsigned r = 0; r < ROWS_EACH; ++r)
        data[r] = share.has(r, 0) ? from + row_at(rows, share.row + r * DOWN) * columns + share.column : nullptr;
    if (!in_pieces(from, columns, 8)) {
#pragma unroll
        for (unsigned i = 0; i < ROWS_EACH * EACH; ++i)
            v[i / EACH][i % EACH] = share.has(i / EACH, i % EACH) ? float(data[i / EACH][i % EACH]) : 0.0f;
        return;
    }
    uint2 of[ROWS_EACH];
#pragma unroll
    for (unsigned r = 0; r < ROWS_EACH; ++r)
        of[r] = data[r] ? *reinterpret_cast<const uint2*>(data[r]) : make_uint2(0, 0);
#pragma unroll
    for (unsigned i = 0; i < ROWS_EACH * EACH; ++i) {
        const unsigned four = i % EACH < 4 ? of[i / EACH].x : of[i / EACH].y;
        v[i / EACH][i % EACH] = float(four >> i % 4 * 8 & 0xff);
    }
}

template <unsigned F>
__device__ __forceinline__ void activate(Block& v) {
#pragma unroll
    for (unsigned i = 0; i < ROWS_EACH * EACH; ++i) v[i / EACH][i % EACH] = activate(F, v[i / EACH][i % EACH]);
}

// One choice for all.
__device__ __forceinline__ void activate(unsigned f, Block& v) {
    switch (f) {
    case RELU: return activate<RELU>(v);
    case TANH: return activate<TANH>(v);
    case GAUSSIAN: return activate<GAUSSIAN>(v);
    case LEAKY_RELU: return activate<LEAKY_RELU>(v);
    case SIGMOID: return activate<SIGMOID>(v);
    case GELU: return activate<GELU>(v);
    default: return;
    }
}

// The same as input_at() of each, but that everything is asked of memory before any of it is used, and what belongs to
// a column or to all once.
__device__ __forceinline__ void values(Block& v, const OfInput& from, const Share& share) {
    const Input& input = from.input;
    const Field& field = input.field;
    const unsigned features = from.to.columns;
    if (input.pixels) {
        read_bytes(v, input.pixels, input.rows, share, features);
#pragma unroll
        for (unsigned i = 0; i < ROWS_EACH * EACH; ++i)
            v[i / EACH][i % EACH] = input.scale * v[i / EACH][i % EACH] + input.shift;
        return;
    }
    read(v, field.z, share, features);
    if (field.xi) {
        Block xi;
        read(xi, in_f32(field.xi), share, features);
#pragma unroll
        for (unsigned r = 0; r < ROWS_EACH; ++r)
            if (r < share.rows)
#pragma unroll
                for (unsigned i = 0; i < EACH; ++i) v[r][i] += field.amplitude[share.row + r * DOWN] * xi[r][i];
    }
    if (field.norm.mean)
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const ColumnNorm norm(field.norm, min(share.column + i, features - 1));
#pragma unroll
            for (unsigned r = 0; r < ROWS_EACH; ++r) v[r][i] = norm.affine(norm.standard(v[r][i]));
        }
    activate(input.activation, v);
    if (input.dropout.scale == 0.0f) return;
#pragma unroll
    for (unsigned r = 0; r < ROWS_EACH; ++r)
#pragma unroll
        for (unsigned four = 0; four < EACH / 4; ++four) {
            const Words words = dropout_words(input.dropout, share.row + r * DOWN, share.column / 4 + four);
#pragma unroll
            for (unsigned i = 0; i < 4; ++i)
                v[r][four * 4 + i] = dropped_out(input.dropout, words, i, v[r][four * 4 + i]);
        }
}

// dz, rounded as on the CPU.
__device__ __forceinline__ void values(Block& v, const OfDelta& from, const Share& share) {
    const unsigned columns = from.to.columns;
    read(v, from.grad, share, columns);
    if (!from.norm.mean) return;
    Block z;
    read(z, from.z, share, columns);
    const float rows = float(from.to.rows);
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
        const unsigned c = min(share.column + i, columns - 1);
        const ColumnNorm norm(from.norm, c);
        const float factor = norm.gamma * norm.inv_std;
        const float grad_mean = from.grad_beta[c] / rows, grad_x_mean = from.grad_gamma[c] / rows;
#pragma unroll
        for (unsigned r = 0; r < ROWS_EACH; ++r)
            v[r][i] = factor * (v[r][i] - grad_mean - norm.standard(z[r][i]) * grad_x_mean);
    }
}

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
__device__ __forceinline__ int fitting_exponent(const Block& v) {
    unsigned largest = 0;
#pragma unroll
    for (unsigned i = 0; i < ROWS_EACH * EACH; ++i) largest = max(largest, finite_order(v[i / EACH][i % EACH]));
    return plane_exponent(block_max(largest));
}

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
            high[i] = pack_bfloat(v[2 * i], v[2 * i + 1]);
        } else {
            const HalfPairs pair(v[2 * i] * scale, v[2 * i + 1] * scale);
            high[i] = pair.high;
            low[i] = pair.low;
        }
    }
    uint16_t* plane = static_cast<uint16_t*>(to.data) + at;
    *reinterpret_cast<uint4*>(plane) = make_uint4(high[0], high[1], high[2], high[3]);
    if (to.format == HALF_PAIR)
        *reinterpret_cast<uint4*>(plane + to.plane_stride) = make_uint4(low[0], low[1], low[2], low[3]);
}

// The block's column sums: of the lanes of a warp that have a column, then warp by warp in f64.
__device__ __forceinline__ void write_sums(const Target& to, unsigned block, float (&sum)[EACH]) {
    __shared__ float of_warp[THREADS / WARP][BLOCK_COLUMNS];
#pragma unroll
    for (unsigned i = 0; i < EACH; ++i) {
        for (unsigned step = WARP / 2; step >= ACROSS; step /= 2)
            sum[i] += __shfl_xor_sync(FULL_WARP, sum[i], step);
        if (threadIdx.x % WARP < ACROSS) of_warp[threadIdx.x / WARP][threadIdx.x % ACROSS * EACH + i] = sum[i];
    }
    __syncthreads();
    const unsigned across = (to.columns + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
    const unsigned column = block % across * BLOCK_COLUMNS + threadIdx.x;
    if (threadIdx.x >= BLOCK_COLUMNS || column >= to.columns) return;
    double total = 0.0;
    for (unsigned warp = 0; warp < THREADS / WARP; ++warp) total += of_warp[warp][threadIdx.x];
    to.sums[size_t(block / across) * to.columns + column] = total;
}

template <class From>
__device__ __forceinline__ void operand_of(const From& from, unsigned block) {
    const Target& to = from.to;
    const Share share(to, block);
    Block v;
    values(v, from, share);
    float sum[EACH] = {};
#pragma unroll
    for (unsigned r = 0; r < ROWS_EACH; ++r)
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            if (!share.has(r, i)) v[r][i] = 0.0f;   // it was formed of nothing
            sum[i] += v[r][i];
        }
    if (to.data) {
        int exponent = 0;
        if (to.exponents) {
            exponent = fitting_exponent(v);
            if (threadIdx.x == 0) to.exponents[block] = exponent;
        }
        if (share.columns)
#pragma unroll
            for (unsigned r = 0; r < ROWS_EACH; ++r)
                if (r < share.rows) write(to, share.row + r * DOWN, share.column, v[r], power_of_two(exponent));
    }
    if (to.sums) write_sums(to, block, sum);
}

extern "C" __global__ void __launch_bounds__(256, 3) operands_of_inputs(const __grid_constant__ OfInputs from) {
    wait_for_last_kernel();
    const unsigned second = blockIdx.x >= from.blocks;
    operand_of(from.of[second], blockIdx.x - second * from.blocks);
}

extern "C" __global__ void __launch_bounds__(256) operand_of_delta(const __grid_constant__ OfDelta from) {
    wait_for_last_kernel();
    operand_of(from, blockIdx.x);
}
