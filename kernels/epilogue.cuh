// epilogue.cuh -- what every matrix product does with its finished tile, while it is in registers (fragments.cuh).
// Barrier::sync() is a barrier of the eight warps that have it.
#pragma once
#include "fragments.cuh"

struct WholeBlock {
    static __device__ __forceinline__ void sync() { __syncthreads(); }
};

// The columns' sums of term(element) over the warp's rows that exist, times `factor` to partial.
template <int M16, int N8, class Term>
__device__ __forceinline__ void sum_columns(float (&z)[64], const Matmul& a, float factor, float* partial,
                                            const Place<M16, N8>& at, const Term& term) {
    float v[2 * N8];
#pragma unroll
    for (int c = 0; c < 2 * N8; ++c) {
        v[c] = 0.0f;
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i)
            if (at.row + 8 * i < a.m) v[c] += term(element<N8>(z, i, c / 2, c % 2));
    }
    warp_columns<M16, N8>(v, factor, partial, at);
}

// Mean of each column of the tile and the sum of squared deviations from it. Each warp takes deviations from the mean of
// its rows, rounded to f32; what they add up to tells what that has lost.
template <int M16, int N8, class Barrier>
__device__ __forceinline__ void tile_moments(float (&z)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    constexpr unsigned WARPS = Place<M16, N8>::BELOW_EACH_OTHER, ROWS = 16 * M16;   // below each other, and of each
    float *means = shared, *sums = means + WARPS * TILE, *squares = sums + WARPS * TILE;
    const unsigned rows = min(TILE, a.m - at.m0);
    const auto rows_of = [=](unsigned warp) { return min(ROWS, rows - min(rows, warp * ROWS)); };
    const float share = 1.0f / float(max(1u, rows_of(at.warp_row)));
    sum_columns<M16, N8>(z, a, share, means, at, [](float z) { return z; });
    __syncwarp();
    const float* mean_here = means + at.warp_row * TILE + at.first_column + at.thread % 4 * 2;
#pragma unroll
    for (int j = 0; j < N8; ++j) {
        const float2 of = *reinterpret_cast<const float2*>(mean_here + 8 * j);
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            element<N8>(z, i, j, 0) -= of.x;
            element<N8>(z, i, j, 1) -= of.y;
        }
    }
    sum_columns<M16, N8>(z, a, 1.0f, sums, at, [](float off) { return off; });
    sum_columns<M16, N8>(z, a, 1.0f, squares, at, [](float off) { return off * off; });
    Barrier::sync();
    if (at.thread < TILE && at.n0 + at.thread < a.n) {
        double mean = 0.0, total = 0.0;
#pragma unroll
        for (unsigned warp = 0; warp < WARPS; ++warp) {
            const unsigned i = warp * TILE + at.thread;
            mean += double(rows_of(warp)) * means[i] + sums[i];
        }
        mean /= double(rows);
#pragma unroll
        for (unsigned warp = 0; warp < WARPS; ++warp) {
            const unsigned i = warp * TILE + at.thread;
            const double off = means[i] - mean;
            total += squares[i] + off * (2.0 * sums[i] + double(rows_of(warp)) * off);
        }
        const size_t part = size_t(at.m0 / TILE) * a.n + at.n0 + at.thread;
        a.first[part] = mean;
        a.second[part] = total;
    }
    Barrier::sync();   // the next tile's must not come before these are read
}

// z = scale sum + bias of the tile, in place of the sums and in out.
template <Pairs PAIRS, bool NARROW, int M16, int N8>
__device__ __forceinline__ void write_fields(float (&sum)[64], const Matmul& a, const Place<M16, N8>& at) {
    constexpr bool WHOLE = PAIRS != Pairs::EACH;
    const float scale = scale_of(a);
    const float* bias = a.bias + at.column;
    const size_t first = size_t(at.row) * a.ldo + at.column;
    const bool aligned = pairs_aligned(a.out.data, a.ldo);
    each_column<WHOLE, M16, N8>(sum, [&](int j, unsigned number) {
        const unsigned column = at.column + 8 * number;
        const float bias0 = a.bias && (WHOLE || column < a.n) ? bias[8 * number] : 0.0f;
        const float bias1 = a.bias && (WHOLE || column + 1 < a.n) ? bias[8 * number + 1] : 0.0f;
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            float &x = element<N8>(sum, i, j, 0), &y = element<N8>(sum, i, j, 1);
            x = scale * x + bias0;
            y = scale * y + bias1;
            if (WHOLE || at.row + 8 * i < a.m)
                store_pair<PAIRS, NARROW>(a.out, first + size_t(8 * i) * a.ldo + 8 * number, column, a.n, aligned, x, y);
        }
    });
}

// out = scale sum + bias, and the moments of its columns.
template <bool NARROW, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_forward(float (&sum)[64], const Matmul& a, float* shared,
                                               const Place<M16, N8>& at) {
    const Pairs pairs = pairs_of<NARROW>(a, at.m0, at.n0);
    if (AHEAD > 0 && pairs == Pairs::F32) write_fields<Pairs::F32, NARROW>(sum, a, at);
    else if (NARROW && pairs == Pairs::BF16) write_fields<Pairs::BF16, NARROW>(sum, a, at);
    else write_fields<Pairs::EACH, NARROW>(sum, a, at);
    if (a.first) tile_moments<M16, N8, Barrier>(sum, a, shared, at);
}

// x = f(norm(scale sum + bias)) of column of fragments number `column`, which is in registers `j`, in their place; what is
// no element becomes 0. Returns the largest of finite_order(). If WHOLE, f is piecewise linear.
template <bool WHOLE, int M16, int N8>
__device__ __forceinline__ unsigned layer_column(float (&sum)[64], int j, unsigned column, const Matmul& a,
                                                 const float* shared, const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    const PairNorm norms(shared, at, column);
    const float2 biases = pair_of(shared, BIAS, at, column);
    unsigned most = 0;
#pragma unroll
    for (int c = 0; c < 2; ++c) {
        const ColumnNorm norm = norms.of(c);
        const float bias = c == 0 ? biases.x : biases.y;
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            float& x = element<N8>(sum, i, j, c);
            const float h = norm.affine(norm.standard(scale * x + bias));
            x = WHOLE ? activate_piecewise(a.input.activation, h) : activate(a.input.activation, h);
            if (!WHOLE && (at.row + 8 * i >= a.m || at.column + 8 * column + c >= a.n)) x = 0.0f;
            most = max(most, finite_order(x));
        }
    }
    return most;
}

// All of them; largest[h] becomes that of half h of the tile's columns.
template <bool WHOLE, int M16, int N8>
__device__ __forceinline__ void layer_columns(float (&sum)[64], unsigned (&largest)[2], const Matmul& a,
                                              const float* shared, const Place<M16, N8>& at) {
    each_column<WHOLE, M16, N8>(sum, [&](int j, unsigned column) {
        const unsigned most = layer_column<WHOLE, M16, N8>(sum, j, column, a, shared, at);
        if (at.first_column + 8 * column < BLOCK_COLUMNS) largest[0] = max(largest[0], most);
        else largest[1] = max(largest[1], most);
    });
}

// x to out, in planes; those of a half of the columns times to_range of it.
template <bool WHOLE, Number NUMBER, unsigned PLANES, int M16, int N8>
__device__ __forceinline__ void write_layer(float (&x)[64], const float (&to_range)[2], const Matmul& a,
                                            const Place<M16, N8>& at) {
    unsigned* out = static_cast<unsigned*>(a.out.data) + (size_t(at.row) * a.ldo + at.column) / 2;
    each_column<WHOLE, M16, N8>(x, [&](int j, unsigned column) {
        const float factor = at.first_column + 8 * column < BLOCK_COLUMNS ? to_range[0] : to_range[1];
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i) {
            if (!WHOLE && (at.row + 8 * i >= a.m || at.column + 8 * column >= a.ldo)) continue;
            const float first = element<N8>(x, i, j, 0), second = element<N8>(x, i, j, 1);
            unsigned* to = out + size_t(4 * i) * a.ldo + 4 * column;
            if constexpr (NUMBER == Number::BF16) {
                *to = pack_bfloat(first, second);
            } else {
                const HalfPairs pair(first * factor, second * factor);
                *to = pair.high;
                if constexpr (PLANES == 2) to[a.plane_stride / 2] = pair.low;
            }
        }
    });
}

// out = x = f(norm(scale sum + bias)) as operand: what operands_of_inputs (planes.cu) makes of z, bit for bit. A tile is
// two of its blocks.
template <Number NUMBER, unsigned PLANES, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_layer(float (&sum)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    put_columns(a, shared, at);
    Barrier::sync();
    const bool whole = is_whole(a, at.m0, at.n0);
    unsigned largest[2] = {0, 0};
    if (whole && is_piecewise_linear(a.input.activation)) layer_columns<true>(sum, largest, a, shared, at);
    else layer_columns<false>(sum, largest, a, shared, at);
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
    if (whole) write_layer<true, NUMBER, PLANES>(sum, to_range, a, at);
    else write_layer<false, NUMBER, PLANES>(sum, to_range, a, at);
    Barrier::sync();   // the next tile's largest must not come before these are read
}

// The z of the layer below at a lane's elements of COLUMNS columns of fragments, [column][row][of the pair].
template <int M16, int COLUMNS>
struct FieldBelow {
    float z[COLUMNS][2 * M16][2] = {};

    // From column of fragments number `first` on; zero beyond the matrix.
    template <Pairs PAIRS, bool NARROW, int N8>
    __device__ __forceinline__ void read(const Matmul& a, const Place<M16, N8>& at, unsigned first) {
        const Values& from = a.input.field.z;
        const size_t here = size_t(at.row) * a.n + at.column;
        const bool aligned = pairs_aligned(from.data, a.n);
#pragma unroll
        for (int j = 0; j < COLUMNS; ++j)
#pragma unroll
            for (int i = 0; i < 2 * M16; ++i) {
                const unsigned row = at.row + 8 * i, column = at.column + 8 * (first + j);
                float& x = z[j][i][0];
                float& y = z[j][i][1];
                x = y = 0.0f;
                if (PAIRS != Pairs::EACH || (row < a.m && from.data))
                    read_pair<PAIRS, NARROW>(from, here + size_t(8 * i) * a.n + 8 * (first + j), column, a.n, aligned, x, y);
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
// of these elements. If PAIRS promises a whole tile, f is piecewise linear, and there is neither noise nor dropout.
template <Pairs PAIRS, bool NARROW, int M16, int N8>
__device__ __forceinline__ void below_column(float (&sum)[64], int j, unsigned column, const float (&z)[2 * M16][2],
                                             const Matmul& a, float* shared, const Place<M16, N8>& at) {
    constexpr bool WHOLE = PAIRS != Pairs::EACH;
    const float scale = scale_of(a);
    const bool aligned = pairs_aligned(a.out.data, a.ldo);
    const size_t first = size_t(at.row) * a.ldo + at.column;
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
            if (!WHOLE && (row >= a.m || n + c >= a.n)) continue;
            float standard;
            g = scale * g;
            if constexpr (WHOLE) {
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
        if (WHOLE || at.row + 8 * i < a.m)
            store_pair<PAIRS, NARROW>(a.out, first + size_t(8 * i) * a.ldo + 8 * column, n, a.n, aligned,
                                      element<N8>(sum, i, j, 0), element<N8>(sum, i, j, 1));
    if (!a.first) return;
    fold<2>(v, 4);
    fold<1>(v, 8);
    v[0] += __shfl_xor_sync(FULL_WARP, v[0], 16);
    const unsigned lane = at.thread % WARP;
    float* to = shared + (OF_COLUMN + (lane & 4 ? Place<M16, N8>::BELOW_EACH_OTHER : 0)) * TILE;
    if (lane < 16) to[at.warp_row * TILE + at.first_column + 8 * column + lane % 4 * 2 + (lane >> 3 & 1)] = v[0];
}

// All columns of fragments. z is asked for AHEAD of them before it is needed: memory takes as long as these.
template <Pairs PAIRS, bool NARROW, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void below_columns(float (&sum)[64], const Matmul& a, float* shared,
                                              const Place<M16, N8>& at) {
    FieldBelow<M16, AHEAD == 0 ? 1 : AHEAD> field, next;
    if constexpr (AHEAD > 0) next.template read<PAIRS, NARROW>(a, at, 0);
    put_columns(a, shared, at);
    Barrier::sync();
    each_column<PAIRS != Pairs::EACH, M16, N8>(sum, [&](int j, unsigned column) {
        if constexpr (AHEAD == 0) {
            field.template read<PAIRS, NARROW>(a, at, column);
        } else if (column % AHEAD == 0) {
            field = next;
            if (column + AHEAD < N8) next.template read<PAIRS, NARROW>(a, at, column + AHEAD);
        }
        below_column<PAIRS, NARROW, M16, N8>(sum, j, column, field.z[0], a, shared, at);
        field.advance();
    });
}

// out = g = scale sum f'(h) dropout of the layer below, and the sums of g and g x-hat over the tile's rows.
template <bool NARROW, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish_below(float (&sum)[64], const Matmul& a, float* shared,
                                             const Place<M16, N8>& at) {
    const Input& input = a.input;
    const Values& z = input.field.z;
    const bool simple = z.data && pairs_aligned(z.data, a.n) && !input.field.xi && input.dropout.scale == 0.0f &&
                        is_piecewise_linear(input.activation) && (!NARROW || z.narrow == a.out.narrow);
    const Pairs pairs = AHEAD > 0 && simple ? pairs_of<NARROW>(a, at.m0, at.n0) : Pairs::EACH;
    if (AHEAD > 0 && pairs == Pairs::F32) below_columns<Pairs::F32, NARROW, AHEAD, M16, N8, Barrier>(sum, a, shared, at);
    else if (AHEAD > 0 && NARROW && pairs == Pairs::BF16)
        below_columns<Pairs::BF16, NARROW, AHEAD, M16, N8, Barrier>(sum, a, shared, at);
    else below_columns<Pairs::EACH, NARROW, AHEAD, M16, N8, Barrier>(sum, a, shared, at);
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
template <Pairs PAIRS, int M16, int N8>
__device__ __forceinline__ void write_split(float (&sum)[64], const Matmul& a, unsigned split,
                                            const Place<M16, N8>& at) {
    constexpr bool WHOLE = PAIRS != Pairs::EACH;
    const float scale = scale_of(a);
    const size_t first = (size_t(split) * a.m + at.row) * a.ldo + at.column;
    const bool aligned = pairs_aligned(a.out.data, a.ldo);
    each_column<WHOLE, M16, N8>(sum, [&](int j, unsigned number) {
#pragma unroll
        for (int i = 0; i < 2 * M16; ++i)
            if (WHOLE || at.row + 8 * i < a.m)
                store_pair<PAIRS, false>(a.out, first + size_t(8 * i) * a.ldo + 8 * number, at.column + 8 * number, a.n,
                                         aligned, scale * element<N8>(sum, i, j, 0), scale * element<N8>(sum, i, j, 1));
    });
}

template <int M16, int N8>
__device__ __forceinline__ void finish_weight(float (&sum)[64], const Matmul& a, unsigned split,
                                              const Place<M16, N8>& at) {
    if (pairs_of<false>(a, at.m0, at.n0) == Pairs::F32) write_split<Pairs::F32>(sum, a, split, at);
    else write_split<Pairs::EACH>(sum, a, split, at);
}

// The same, transposed: eight lanes have neighbours.
template <bool WHOLE, int M16, int N8>
__device__ __forceinline__ void write_flipped(float (&sum)[64], const Matmul& a, unsigned split,
                                              const Place<M16, N8>& at) {
    const float scale = scale_of(a);
    float* out = static_cast<float*>(a.out.data) + (size_t(split) * a.n + at.column) * a.ldo + at.row;
    each_column<WHOLE, M16, N8>(sum, [&](int j, unsigned number) {
#pragma unroll
        for (int i = 0; i < 4 * M16; ++i)
            if (WHOLE || (at.row + i / 2 * 8 < a.m && at.column + 8 * number + i % 2 < a.n))
                out[size_t(8 * number + i % 2) * a.ldo + i / 2 * 8] = scale * element<N8>(sum, i / 2, j, i % 2);
    });
}

template <int M16, int N8>
__device__ __forceinline__ void finish_flipped(float (&sum)[64], const Matmul& a, unsigned split,
                                               const Place<M16, N8>& at) {
    if (is_whole(a, at.m0, at.n0)) write_flipped<true>(sum, a, split, at);
    else write_flipped<false>(sum, a, split, at);
}

// Everything that is left to do for the tile at row m0, column n0. `thread` counts the 256 threads of the eight
// warps; `shared` has EPILOGUE_FLOATS<M16> floats, which nothing else may still be using. Afterwards `sum` is
// undefined, and the caller's next call needs no barrier before it. NUMBER and PLANES: those of an operand; of bf16 z
// and g may rest as such. AHEAD: for the z of so many columns of fragments there are registers; with 0 neither are there
// any for more than one way to write z.
template <Product PRODUCT, Number NUMBER, unsigned PLANES, unsigned AHEAD, int M16, int N8, class Barrier>
__device__ __forceinline__ void finish(float (&sum)[64], const Matmul& a, unsigned m0, unsigned n0, unsigned split,
                                       unsigned thread, float* shared) {
    static_assert(M16 * N8 == 16 && N8 >= 4, "eight warps make a tile");
    constexpr bool NARROW = NUMBER == Number::BF16;
    const Place<M16, N8> at(thread, m0, n0);
    if constexpr (PRODUCT == LAYER) finish_layer<NUMBER, PLANES, M16, N8, Barrier>(sum, a, shared, at);
    else if constexpr (PRODUCT == FORWARD) finish_forward<NARROW, AHEAD, M16, N8, Barrier>(sum, a, shared, at);
    else if constexpr (PRODUCT == BELOW) finish_below<NARROW, AHEAD, M16, N8, Barrier>(sum, a, shared, at);
    else if constexpr (PRODUCT == WEIGHT) finish_weight<M16, N8>(sum, a, split, at);
    else finish_flipped<M16, N8>(sum, a, split, at);
}
