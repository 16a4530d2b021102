// epilogue.cuh -- what every matrix product does with its finished tile, while it is in registers (fragments.cuh).
// Barrier::sync() is a barrier of the eight warps that have it.
#pragma once
#include "fragments.cuh"

struct WholeBlock {
    static __device__ __forceinline__ void sync() { __syncthreads(); }
};

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

// x = f(norm(scale sum + bias)) of column of fragments number `column`, which is in registers `j`, in their place; what is
// no element becomes 0. Returns the largest magnitude.
template <bool PIECEWISE, int M16, int N8>
__device__ __forceinline__ unsigned layer_column(float (&sum)[64], int j, unsigned column, const Matmul& a,
                                                 const float* shared, const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    const PairNorm norms(shared, at, column);
    const float2 biases = pair_of(shared, BIAS, at, column);
    unsigned most = 0;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const unsigned n = at.column + 8 * column + c;
        const ColumnNorm norm = norms.of(c);
        const float bias = c == 0 ? biases.x : biases.y;
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            float& x = element<N8>(sum, i, j, c);
            const float h = norm.affine(norm.standard(scale * x + bias));
            x = PIECEWISE ? activate_piecewise(a.input.activation, h) : activate(a.input.activation, h);
            if (at.row + 8 * i >= a.m || n >= a.n) x = 0.0f;
            most = max(most, finite_magnitude(x));
        }
    }
    return most;
}

// out = x = f(norm(scale sum + bias)) as operand: what operands_of_inputs (planes.cu) makes of z, bit for bit. A tile is
// two of its blocks.
template <Number NUMBER, unsigned PLANES, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_layer(float (&sum)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    put_columns(a, shared, at);
    Barrier::sync();
    unsigned largest[2] = {0, 0};
    const auto account = [&](unsigned column, unsigned most) {
        if (at.first_column + 8 * column < BLOCK_COLUMNS) largest[0] = max(largest[0], most);
        else largest[1] = max(largest[1], most);
    };
    if (is_piecewise_linear(a.input.activation)) {
#pragma unroll
        for (int j = 0; j < N8; ++j) account(j, layer_column<true, M16, N8>(sum, j, j, a, shared, at));
    } else {
#pragma unroll 1
        for (unsigned j = 0; j < N8; ++j) {
            account(j, layer_column<false, M16, N8>(sum, 0, j, a, shared, at));
            float x[4 * M16];
#pragma unroll
            for (int i = 0; i < 4 * M16; ++i) x[i] = element<N8>(sum, i / 2, 0, i % 2);
            move_up<M16, N8>(sum);
#pragma unroll
            for (int i = 0; i < 4 * M16; ++i) element<N8>(sum, i / 2, N8 - 1, i % 2) = x[i];
        }
    }
    float to_range[2] = {1.0f, 1.0f};
    if constexpr (NUMBER == Number::FP16) {
        unsigned* of_warp = reinterpret_cast<unsigned*>(shared + OF_COLUMN * TILE);   // [8][2]
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            const unsigned most = __reduce_max_sync(FULL_WARP, largest[half]);
            if (at.thread % WARP == 0) of_warp[at.thread / WARP * 2 + half] = most;
        }
        Barrier::sync();
        const unsigned across = (a.n + BLOCK_COLUMNS - 1) / BLOCK_COLUMNS;
        int* exponents = a.exponents + size_t(at.m0 / BLOCK_ROWS) * across + at.n0 / BLOCK_COLUMNS;
#pragma unroll
        for (int half = 0; half < 2; ++half) {
            unsigned most = 0;
            for (unsigned warp = 0; warp < 8; ++warp) most = max(most, of_warp[warp * 2 + half]);
            const int exponent = plane_exponent(most);
            to_range[half] = power_of_two(exponent);
            if (at.thread == 0 && at.n0 + half * BLOCK_COLUMNS < a.n) exponents[half] = exponent;
        }
    }
    unsigned* out = static_cast<unsigned*>(a.out.data) + (size_t(at.row) * a.ldo + at.column) / 2;
#pragma unroll
    for (int j = 0; j < N8; ++j) {
        if (at.column + 8 * j >= a.ldo) continue;
        const float factor = at.first_column + 8 * j < BLOCK_COLUMNS ? to_range[0] : to_range[1];
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            if (at.row + 8 * i >= a.m) continue;
            const float x = element<N8>(sum, i, j, 0), y = element<N8>(sum, i, j, 1);
            unsigned* to = out + size_t(4 * i) * a.ldo + 4 * j;
            if constexpr (NUMBER == Number::BF16) {
                *to = pack(to_bfloat(x), to_bfloat(y));
            } else {
                const HalfPair first(x * factor), second(y * factor);
                *to = pack(first.high, second.high);
                if constexpr (PLANES == 2) to[a.plane_stride / 2] = pack(first.low, second.low);
            }
        }
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

// g = scale sum f'(h) dropout of column of fragments number `column`, which is in registers `j`, to out; and its sums, and
// those of g x-hat, over the warp's rows to shared memory, [2][warp_row][column] behind what belongs to columns. z is that
// of these elements.
template <bool PIECEWISE, bool NARROW, int M16, int N8>
__device__ __forceinline__ void below_column(float (&sum)[64], int j, unsigned column, const float (&z)[2 * M16][2],
                                             const Matmul& a, float* shared, const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    const bool aligned = pairs_aligned(a);
    const unsigned n = at.column + 8 * column;
    const PairNorm norms(shared, at, column);
    float v[4] = {0.0f, 0.0f, 0.0f, 0.0f};   // [g, g x-hat][column]
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const ColumnNorm norm = norms.of(c);
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            const unsigned row = at.row + 8 * i;
            float& g = element<N8>(sum, i, j, c);
            if (row >= a.m || n + c >= a.n) continue;
            float standard;
            g = scale * g;
            if constexpr (PIECEWISE) {
                standard = norm.standard(z[i][c]);
                g = g * slope_piecewise(a.input.activation, norm.affine(standard));
            } else {
                g = through_activation(a.input, a.n, g, row, n + c, norm, z[i][c], standard);
            }
            v[c] += g;
            v[2 + c] = fmaf(g, standard, v[2 + c]);
        }
    }
#pragma unroll
    for (int i = 0; i < 2 * M16; ++i)
        if (at.row + 8 * i < a.m)
            store_pair<NARROW>(a, at.row + 8 * i, n, aligned, element<N8>(sum, i, j, 0), element<N8>(sum, i, j, 1));
    if (!a.first) return;
    fold<2>(v, 4);
    fold<1>(v, 8);
    v[0] += __shfl_xor_sync(FULL_WARP, v[0], 16);
    const unsigned lane = at.thread % WARP;
    float* to = shared + (OF_COLUMN + (lane & 4 ? Place<M16, N8>::BELOW_EACH_OTHER : 0)) * TILE;
    if (lane < 16) to[at.warp_row * TILE + at.first_column + 8 * column + lane % 4 * 2 + (lane >> 3 & 1)] = v[0];
}

// out = g = scale sum f'(h) dropout of the layer below, and the sums of g and g x-hat over the tile's rows. z is asked
// for AHEAD columns of fragments before it is needed: memory takes as long as these.
template <bool NARROW, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_below(float (&sum)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    FieldBelow<M16, AHEAD == 0 ? 1 : AHEAD> field, next;
    if constexpr (AHEAD > 0) next.template read<NARROW>(a, at, 0);
    put_columns(a, shared, at);
    Barrier::sync();
    const Input& input = a.input;
    const bool plain = !input.pixels && !input.field.xi && input.dropout.scale == 0.0f;
    const auto advance = [&](unsigned j) {
        if constexpr (AHEAD == 0) {
            field.template read<NARROW>(a, at, j);
        } else if (j % AHEAD == 0) {
            field = next;
            if (j + AHEAD < N8) next.template read<NARROW>(a, at, j + AHEAD);
        }
    };
    if (AHEAD > 0 && plain && is_piecewise_linear(input.activation)) {
#pragma unroll
        for (int j = 0; j < N8; ++j) {
            advance(j);
            below_column<true, NARROW, M16, N8>(sum, j, j, field.z[0], a, shared, at);
            field.advance();
        }
    } else {
#pragma unroll 1
        for (unsigned j = 0; j < N8; ++j) {
            advance(j);
            below_column<false, NARROW, M16, N8>(sum, 0, j, field.z[0], a, shared, at);
            field.advance();
            move_up<M16, N8>(sum);
        }
    }
    Barrier::sync();
    if (a.first && at.thread < TILE && at.n0 + at.thread < a.n) {
        const size_t to = size_t(at.m0 / TILE) * a.n + at.n0 + at.thread;
        const float *partial = shared + OF_COLUMN * TILE;
        a.first[to] = join_warps<M16>(partial, at.thread);
        a.second[to] = join_warps<M16>(partial + Place<M16, N8>::BELOW_EACH_OTHER * TILE, at.thread);
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
