// fragments.cuh -- a finished 128 x 128 tile of a matrix product in registers, and its columns.
//
// Eight warps hold a tile in the fragments of mma.m16n8, to which those of wgmma are equal warp by warp: lane l has
// rows l/4 and l/4 + 8 and columns l%4*2 and l%4*2 + 1 of each 16 x 8. A warp's M16 x N8 fragments are
// sum[m16][n8][4], and the warps stand beside each other before they stand below each other: 16 x 128 each with
// <1, 16>, 64 x 32 with <4, 4>.
//
// Sums over rows are taken in a fixed order: in a lane by rows, over the lanes by a butterfly, then warp by warp in f64.
#pragma once
#include "half.cuh"
#include "matmul.cuh"

// Where a lane stands in the tile that begins at row m0, column n0.
template <int M16, int N8>
struct Place {
    static constexpr unsigned BESIDE = TILE / (8 * N8), BELOW_EACH_OTHER = TILE / (16 * M16);
    unsigned thread, warp_row, first_column, row, column;   // row, column: of the lane's first element in out
    unsigned m0, n0;

    __device__ __forceinline__ Place(unsigned thread, unsigned m0, unsigned n0)
        : thread(thread), warp_row(thread / WARP / BESIDE), first_column(thread / WARP % BESIDE * 8 * N8),
          row(m0 + warp_row * 16 * M16 + thread % WARP / 4), column(n0 + first_column + thread % 4 * 2), m0(m0),
          n0(n0) {}
};

// What belongs to a column of the tile, in shared memory: each lane would read it from afar for each of its columns.
enum OfColumn : unsigned { MEAN, INV_STD, GAMMA, BETA, BIAS, OF_COLUMN };

// Floats of shared memory that finish() needs for itself: those, and two sums and one mean of columns.
template <int M16>
constexpr unsigned EPILOGUE_FLOATS = (OF_COLUMN + 2 * TILE / (16 * M16) + 1) * TILE;

// Puts norm and bias of the tile's columns there. The caller's barrier comes after.
template <int M16, int N8>
__device__ __forceinline__ void put_columns(const Matmul& a, float* shared, const Place<M16, N8>& at) {
    if (at.thread >= TILE) return;
    const unsigned column = min(at.n0 + at.thread, a.n - 1);
    const ColumnNorm norm(a.input.field.norm, column);
    shared[MEAN * TILE + at.thread] = norm.mean;
    shared[INV_STD * TILE + at.thread] = norm.inv_std;
    shared[GAMMA * TILE + at.thread] = norm.gamma;
    shared[BETA * TILE + at.thread] = norm.beta;
    shared[BIAS * TILE + at.thread] = a.bias ? a.bias[column] : 0.0f;
}

// One of these for the lane's pair in column of fragments number `number`.
template <int M16, int N8>
__device__ __forceinline__ float2 pair_of(const float* shared, OfColumn what, const Place<M16, N8>& at,
                                          unsigned number) {
    const float* row = shared + what * TILE + at.first_column + at.thread % 4 * 2;
    return *reinterpret_cast<const float2*>(row + 8 * number);
}

// The norms of these two columns.
struct PairNorm {
    float2 mean, inv_std, gamma, beta;

    template <int M16, int N8>
    __device__ __forceinline__ PairNorm(const float* shared, const Place<M16, N8>& at, unsigned number)
        : mean(pair_of(shared, MEAN, at, number)), inv_std(pair_of(shared, INV_STD, at, number)),
          gamma(pair_of(shared, GAMMA, at, number)), beta(pair_of(shared, BETA, at, number)) {}
    __device__ __forceinline__ ColumnNorm of(int c) const {
        return c == 0 ? ColumnNorm(mean.x, inv_std.x, gamma.x, beta.x) : ColumnNorm(mean.y, inv_std.y, gamma.y, beta.y);
    }
};

// What is left to multiply a sum by: what the operands' elements were given without.
__device__ __forceinline__ float scale_of(const Matmul& a) { return a.a.scale * a.b.scale; }

// The lane's two neighbouring elements of row `row` of out, those that exist. NARROW: values may rest in bf16.
template <bool NARROW>
__device__ __forceinline__ void store_pair(const Matmul& a, size_t row, unsigned column, bool aligned, float x,
                                           float y) {
    const size_t at = row * a.ldo + column;
    if (aligned && column + 1 < a.n) {
        if (NARROW && a.out.narrow)
            static_cast<unsigned*>(a.out.data)[at / 2] = pack(to_bfloat(x), to_bfloat(y));
        else *reinterpret_cast<float2*>(static_cast<float*>(a.out.data) + at) = make_float2(x, y);
    } else {
        const Values out{a.out.data, NARROW ? a.out.narrow : 0};
        if (column < a.n) out.put(at, x);
        if (column + 1 < a.n) out.put(at + 1, y);
    }
}

__device__ __forceinline__ bool pairs_aligned(const Matmul& a) {
    return a.ldo % 2 == 0 && reinterpret_cast<uintptr_t>(a.out.data) % sizeof(float2) == 0;
}

// Elements number i and i + 1 of a matrix, in column `column` and the next of `columns`; what does not exist stays.
__device__ __forceinline__ void read_pair(const Values& from, size_t i, unsigned column, unsigned columns, bool aligned,
                                          float& x, float& y) {
    if (!aligned || column + 1 >= columns) {
        if (column < columns) x = from.at(i);
        if (column + 1 < columns) y = from.at(i + 1);
    } else if (from.narrow) {
        const unsigned pair = static_cast<const unsigned*>(from.data)[i / 2];
        x = from.from_bits(pair & 0xffff);
        y = from.from_bits(pair >> 16);
    } else {
        const float2 pair = *reinterpret_cast<const float2*>(static_cast<const float*>(from.data) + i);
        x = pair.x;
        y = pair.y;
    }
}

// Lanes whose bit is set keep the upper half of v, the others the lower half, each with its partner's half added.
template <int HALF, int N>
__device__ __forceinline__ void fold(float (&v)[N], unsigned bit) {
    const bool upper = threadIdx.x & bit;
#pragma unroll
    for (int i = 0; i < HALF; ++i) {
        const float keep = upper ? v[HALF + i] : v[i], send = upper ? v[i] : v[HALF + i];
        v[i] = keep + __shfl_xor_sync(FULL_WARP, send, bit);
    }
}

// v [n8][2] of every lane, summed over the warp's rows, to partial[warp_row][column].
template <int M16, int N8>
__device__ __forceinline__ void warp_columns(float (&v)[2 * N8], float* partial, const Place<M16, N8>& at) {
    fold<N8>(v, 4);
    fold<N8 / 2>(v, 8);
    fold<N8 / 4>(v, 16);
    const unsigned lane = at.thread % WARP;
    const unsigned first = (lane >> 2 & 1) * N8 + (lane >> 3 & 1) * (N8 / 2) + (lane >> 4) * (N8 / 4);
    float* to = partial + at.warp_row * TILE + at.first_column + lane % 4 * 2;
#pragma unroll
    for (unsigned i = 0; i < N8 / 4; ++i) to[(first + i) / 2 * 8 + (first + i) % 2] = v[i];
}

// The sum over the warps below each other, of the tile's column `column`.
template <int M16>
__device__ __forceinline__ double join_warps(const float* partial, unsigned column) {
    double sum = 0.0;
#pragma unroll
    for (unsigned warp = 0; warp < TILE / (16 * M16); ++warp) sum += partial[warp * TILE + column];
    return sum;
}

// The columns of fragments move up by one. Registers have no index: this is how a loop gets at all of them without a copy
// of its body for each.
template <int M16, int N8>
__device__ __forceinline__ void move_up(float (&sum)[64]) {
#pragma unroll
    for (int i = 0; i < 4 * M16 * N8; ++i)
        if (i / 4 % N8 + 1 < N8) sum[i] = sum[i + 4];
}

// Element `c` of the pair in row `i` of the column of fragments in registers `j`.
template <int N8>
__device__ __forceinline__ float& element(float (&sum)[64], int i, int j, int c) {
    return sum[((i / 2) * N8 + j) * 4 + i % 2 * 2 + c];
}
