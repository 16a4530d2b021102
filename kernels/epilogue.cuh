// epilogue.cuh -- what every matrix product does with its finished 128 x 128 tile, while it is in registers.
//
// Eight warps hold a tile in the fragments of mma.m16n8, to which those of wgmma are equal warp by warp: lane l has
// rows l/4 and l/4 + 8 and columns l%4*2 and l%4*2 + 1 of each 16 x 8. A warp's M16 x N8 fragments are
// sum[m16][n8][4], and the warps stand beside each other before they stand below each other: 16 x 128 each with
// <1, 16>, 64 x 32 with <4, 4>. Barrier::sync() is a barrier of the eight warps.
//
// Sums over rows are taken in a fixed order: in a lane by rows, over the lanes by a butterfly, then warp by warp in f64.
#pragma once
#include "half.cuh"
#include "matmul.cuh"

struct WholeBlock {
    static __device__ __forceinline__ void sync() { __syncthreads(); }
};

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

// Floats of shared memory that finish() needs for itself.
template <int M16>
constexpr unsigned EPILOGUE_FLOATS = (2 * TILE / (16 * M16) + 1) * TILE;

// What is left to multiply a sum by: what the operands' elements were given without.
__device__ __forceinline__ float scale_of(const Matmul& a) { return a.a.scale * a.b.scale; }

// The lane's two neighbouring elements of row `row` of out, those that exist. NARROW: values may rest in bf16.
template <bool NARROW>
__device__ __forceinline__ void store_pair(const Matmul& a, size_t row, unsigned column, bool aligned, float x,
                                           float y) {
    const size_t at = row * a.ldo + column;
    if (aligned && column + 1 < a.n) {
        if (NARROW && a.out.narrow)
            static_cast<unsigned*>(a.out.data)[at / 2] = to_bfloat(x) | unsigned(to_bfloat(y)) << 16;
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

// The columns' sums of term(element, column) over the warp's rows that exist, to partial.
template <int M16, int N8, class Term>
__device__ __forceinline__ void sum_columns(const float (&z)[64], const Matmul& a, float* partial,
                                            const Place<M16, N8>& at, const Term& term) {
    float v[2 * N8];
#pragma unroll
    for (int c = 0; c < 2 * N8; ++c) {
        v[c] = 0.0f;
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i)
            if (at.row + 8 * i < a.m) v[c] += term(z[((i / 2) * N8 + c / 2) * 4 + i % 2 * 2 + c % 2], c / 2 * 8 + c % 2);
    }
    warp_columns<M16, N8>(v, partial, at);
}

// Mean of each column of the tile and the sum of squared deviations from it. Deviations are taken from the mean rounded
// to f32; what they add up to tells what that has lost.
template <int M16, int N8, class Barrier>
__device__ __forceinline__ void tile_moments(const float (&z)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    float *partial = shared, *partial_squares = partial + Place<M16, N8>::BELOW_EACH_OTHER * TILE;
    float* means = partial_squares + Place<M16, N8>::BELOW_EACH_OTHER * TILE;
    const double rows = min(TILE, a.m - at.m0);

    sum_columns<M16, N8>(z, a, partial, at, [](float z, unsigned) { return z; });
    Barrier::sync();
    if (at.thread < TILE) means[at.thread] = float(join_warps<M16>(partial, at.thread) / rows);
    Barrier::sync();
    const float* mean = means + at.first_column + at.thread % 4 * 2;
    sum_columns<M16, N8>(z, a, partial, at, [=](float z, unsigned column) { return z - mean[column]; });
    sum_columns<M16, N8>(z, a, partial_squares, at, [=](float z, unsigned column) {
        const float off = z - mean[column];
        return off * off;
    });
    Barrier::sync();
    if (at.thread < TILE && at.n0 + at.thread < a.n) {
        const size_t to = size_t(at.m0 / TILE) * a.n + at.n0 + at.thread;
        const double lost = join_warps<M16>(partial, at.thread) / rows;
        a.first[to] = means[at.thread] + lost;
        a.second[to] = join_warps<M16>(partial_squares, at.thread) - rows * lost * lost;
    }
    Barrier::sync();   // the next tile's sums must not come before these are read
}

// out = scale sum + bias, and the moments of its columns.
template <bool NARROW, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_forward(float (&sum)[64], const Matmul& a, float* shared,
                                               const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    const bool aligned = pairs_aligned(a);
#pragma unroll
    for (int j = 0; j < N8; ++j) {
        const unsigned column = at.column + 8 * j;
        const float bias0 = a.bias && column < a.n ? a.bias[column] : 0.0f;
        const float bias1 = a.bias && column + 1 < a.n ? a.bias[column + 1] : 0.0f;
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            float& x = sum[((i / 2) * N8 + j) * 4 + i % 2 * 2];
            float& y = sum[((i / 2) * N8 + j) * 4 + i % 2 * 2 + 1];
            x = scale * x + bias0;
            y = scale * y + bias1;
            const unsigned row = at.row + 8 * i;
            if (row < a.m) store_pair<NARROW>(a, row, column, aligned, x, y);
        }
    }
    if (a.first) tile_moments<M16, N8, Barrier>(sum, a, shared, at);
}

// The columns of fragments move up by one, and the first takes the place of the last.
template <int M16, int N8>
__device__ __forceinline__ void rotate(float (&sum)[64]) {
#pragma unroll
    for (int m = 0; m < M16; ++m)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float* row = sum + m * N8 * 4 + i;
            const float first = row[0];
#pragma unroll
            for (int j = 0; j + 1 < N8; ++j) row[4 * j] = row[4 * j + 4];
            row[4 * (N8 - 1)] = first;
        }
}

// out = x = f(norm(scale sum + bias)) as operand: what operands_of_inputs (planes.cu) makes of z, bit for bit. A tile is
// two of its blocks. Columns of fragments move as in finish_below.
template <Number NUMBER, unsigned PLANES, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_layer(float (&sum)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    unsigned largest[2] = {0, 0};
#pragma unroll 1
    for (unsigned j = 0; j < N8; ++j) {
        unsigned most = 0;
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            const unsigned column = at.column + 8 * j + c, existing = min(column, a.n - 1);
            const ColumnNorm norm(a.input.field.norm, existing);
            const float bias = a.bias ? a.bias[existing] : 0.0f;
#pragma unroll
            for (int i = 0; i < 2 * M16; ++i) {
                float& x = sum[(i / 2) * N8 * 4 + i % 2 * 2 + c];
                const bool exists = at.row + 8 * i < a.m && column < a.n;
                x = exists ? activate(a.input.activation, norm.affine(norm.standard(scale * x + bias))) : 0.0f;
                most = max(most, finite_magnitude(x));
            }
        }
        if (at.first_column + 8 * j < BLOCK_COLUMNS) largest[0] = max(largest[0], most);
        else largest[1] = max(largest[1], most);
        rotate<M16, N8>(sum);
    }
    int exponent[2] = {0, 0};
    if constexpr (NUMBER == Number::FP16) {
        unsigned* of_warp = reinterpret_cast<unsigned*>(shared);   // [8][2]
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const unsigned most = __reduce_max_sync(FULL_WARP, largest[half]);
            if (at.thread % WARP == 0) of_warp[at.thread / WARP * 2 + half] = most;
        }
        Barrier::sync();
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            unsigned most = 0;
            for (unsigned warp = 0; warp < 8; ++warp) most = max(most, of_warp[warp * 2 + half]);
            exponent[half] = plane_exponent(most);
        }
        const unsigned across = (a.n + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
        const unsigned block = at.n0 / BLOCK_COLUMNS + at.thread;
        if (at.thread < 2 && block < across)
            a.exponents[size_t(at.m0 / BLOCK_ROWS) * across + block] = at.thread == 0 ? exponent[0] : exponent[1];
    }
    uint16_t* out = static_cast<uint16_t*>(a.out.data);
#pragma unroll 1
    for (unsigned j = 0; j < N8; ++j) {
        const unsigned column = at.column + 8 * j;
        const float to_range = power_of_two(at.first_column + 8 * j < BLOCK_COLUMNS ? exponent[0] : exponent[1]);
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            const float* pair = sum + (i / 2) * N8 * 4 + i % 2 * 2;
            if (at.row + 8 * i >= a.m || column >= a.ldo) continue;
            unsigned* to = reinterpret_cast<unsigned*>(out + size_t(at.row + 8 * i) * a.ldo + column);
            if constexpr (NUMBER == Number::BF16) {
                *to = pack(to_bfloat(pair[0]), to_bfloat(pair[1]));
            } else {
                const HalfPair x(pair[0] * to_range), y(pair[1] * to_range);
                *to = pack(x.high, y.high);
                if constexpr (PLANES == 2) to[a.plane_stride / 2] = pack(x.low, y.low);
            }
        }
        rotate<M16, N8>(sum);
    }
    Barrier::sync();   // the next tile's largest must not come before these are read
}

// The z of the layer below at a lane's elements of COLUMNS columns of fragments, [column][row][of the pair].
template <int M16, int COLUMNS>
struct FieldBelow {
    float z[COLUMNS][2 * M16][2] = {};

    // From column of fragments number `first` on; zero beyond the matrix.
    template <bool NARROW, int N8>
    __device__ __forceinline__ void read(const Matmul& a, const Place<M16, N8>& at, unsigned first) {
        const Values from{a.input.field.z.data, NARROW ? a.input.field.z.narrow : 0};
        const bool aligned = a.n % 2 == 0 && reinterpret_cast<uintptr_t>(from.data) % sizeof(float2) == 0;
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
            for (int i = 0; i < 2 * M16; ++i) {
                const unsigned row = at.row + 8 * i, column = at.column + 8 * (first + j);
                float& x = z[j][i][0];
                float& y = z[j][i][1];
                x = y = 0.0f;
                if (row < a.m && from.data) read_pair(from, size_t(row) * a.n + column, column, a.n, aligned, x, y);
            }
    }
    // One column of fragments further.
    __device__ __forceinline__ void advance() {
#pragma unroll
        for (int j = 0; j + 1 < COLUMNS; ++j)
#pragma unroll
            for (int i = 0; i < 4 * M16; ++i) z[j][i / 2][i % 2] = z[j + 1][i / 2][i % 2];
    }
};

// out = g = scale sum f'(h) dropout of the layer below, and the sums of g and g x-hat over the tile's rows.
//
// Registers have no index, and one copy of f' for each of them would be a large program: instead the fragments move
// up by one column of fragments at a time, and the first column is worked on. z is asked for AHEAD columns before it
// is needed: memory takes as long as these.
template <bool NARROW, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_below(float (&sum)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    const bool aligned = pairs_aligned(a);
    float *partial = shared, *partial_standard = partial + Place<M16, N8>::BELOW_EACH_OTHER * TILE;
    const unsigned lane = at.thread % WARP;
    FieldBelow<M16, AHEAD == 0 ? 1 : AHEAD> field, next;
    if constexpr (AHEAD > 0) next.template read<NARROW>(a, at, 0);
#pragma unroll 1
    for (unsigned j = 0; j < N8; ++j) {
        if constexpr (AHEAD == 0) {
            field.template read<NARROW>(a, at, j);
        } else if (j % AHEAD == 0) {
            field = next;
            if (j + AHEAD < N8) next.template read<NARROW>(a, at, j + AHEAD);
        }
        const unsigned column = at.column + 8 * j;
        const ColumnNorm norm[2] = {ColumnNorm(a.input.field.norm, min(column, a.n - 1)),
                                    ColumnNorm(a.input.field.norm, min(column + 1, a.n - 1))};
        float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};   // [g, g x-hat][column]
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            const unsigned row = at.row + 8 * i;
            float g[2] = {0.0f, 0.0f};
#pragma unroll
            for (int c = 0; c < 2; ++c) {
                if (row >= a.m || column + c >= a.n) continue;
                float standard;
                g[c] = scale * sum[(i / 2) * N8 * 4 + i % 2 * 2 + c];
                g[c] = through_activation(a.input, a.n, g[c], row, column + c, norm[c], field.z[0][i][c], standard);
                v[c] += g[c];
                v[2 + c] = fmaf(g[c], standard, v[2 + c]);
            }
            if (row < a.m) store_pair<NARROW>(a, row, column, aligned, g[0], g[1]);
        }
        if (a.first) {
            fold<2>(v, 4);
            fold<1>(v, 8);
            v[0] += __shfl_xor_sync(FULL_WARP, v[0], 16);
            float* to = lane & 4 ? partial_standard : partial;
            if (lane < 16) to[at.warp_row * TILE + at.first_column + 8 * j + lane % 4 * 2 + (lane >> 3 & 1)] = v[0];
        }
        field.advance();
#pragma unroll
        for (int i = 0; i < 4 * M16 * N8; ++i)
            if (i / 4 % N8 + 1 < N8) sum[i] = sum[i + 4];
    }
    if (!a.first) return;
    Barrier::sync();
    if (at.thread < TILE && at.n0 + at.thread < a.n) {
        const size_t to = size_t(at.m0 / TILE) * a.n + at.n0 + at.thread;
        a.first[to] = join_warps<M16>(partial, at.thread);
        a.second[to] = join_warps<M16>(partial_standard, at.thread);
    }
    Barrier::sync();   // the next tile's sums must not come before these are read
}

// out[split] = scale sum.
template <int M16, int N8>
__device__ __forceinline__ void finish_weight(const float (&sum)[64], const Matmul& a, unsigned split,
                                              const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    const bool aligned = pairs_aligned(a);
#pragma unroll
    for (int i = 0; i < 2 * M16; ++i) {
        const unsigned row = at.row + 8 * i;
        if (row >= a.m) continue;
#pragma unroll
        for (int j = 0; j < N8; ++j) {
            const float* pair = sum + ((i / 2) * N8 + j) * 4 + i % 2 * 2;
            store_pair<false>(a, size_t(split) * a.m + row, at.column + 8 * j, aligned, scale * pair[0], scale * pair[1]);
        }
    }
}

// Everything that is left to do for the tile at row m0, column n0. `thread` counts the 256 threads of the eight
// warps; `shared` has EPILOGUE_FLOATS<M16> floats, which nothing else may still be using. Afterwards `sum` is
// undefined, and the caller's next call needs no barrier before it. NUMBER and PLANES: those of an operand; of bf16 z and g
// may rest as such. AHEAD: for the z of so many columns of fragments there are registers.
template <Product PRODUCT, Number NUMBER, unsigned PLANES, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish(float (&sum)[64], const Matmul& a, unsigned m0, unsigned n0, unsigned split,
                                       unsigned thread, float* shared) {
    static_assert(M16 * N8 == 16 && N8 >= 4, "eight warps make a tile");
    constexpr bool NARROW = NUMBER == Number::BF16;
    const Place<M16, N8> at(thread, m0, n0);
    if constexpr (PRODUCT == LAYER) finish_layer<NUMBER, PLANES, M16, N8, Barrier>(sum, a, shared, at);
    else if constexpr (PRODUCT == FORWARD) finish_forward<NARROW, M16, N8, Barrier>(sum, a, shared, at);
    else if constexpr (PRODUCT == BELOW) finish_below<NARROW, AHEAD, M16, N8, Barrier>(sum, a, shared, at);
    else finish_weight<M16, N8>(sum, a, split, at);
}
