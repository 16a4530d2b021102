// archs: 90a
// matmul_hopper_single.cu -- the products of matmul_hopper.cu, with an `a` that nobody wrote in planes: f32 in memory.
//
//   FORWARD, LAYER, BELOW, WEIGHT, FLIPPED as in matmul.cuh, each with its epilogue (epilogue.cuh)
//   single_PRODUCT_PQ takes P halves of each element of a, and has Q planes of fp16 in b:
//   a b = (a.high b.low + a.low b.high) + a.high b.high, of which those are left out that are not taken
//   formed_PRODUCT_PQ has in memory the z of which a is x = ReLU(norm(z))
//
// The fragments of a go from memory to the registers that tensor cores read, and are formed and split on the way: each
// 64 of the contraction of a row have their own power of two. That costs less than a pass over memory that writes
// planes, and spares the reading of a from shared memory for each product.
//
// Shapes    a: f32, matmul.cuh; b: planes, and its tensor map; out [splits][m][ldo], of LAYER as many planes as b has,
//           of FLIPPED [splits][n][ldo]
// Aliasing  out may not overlap anything
// Launch    as hopper_block() (matmul_hopper.cuh); formed_forward with FORMED_SHARED bytes of shared memory
// Domain    m, n, k >= 1; FORWARD, LAYER, BELOW: k and a's pitch even, its data aligned to 8 bytes; formed_forward:
//           k <= MOST_FEATURES; formed: no noise, no dropout; of b as in matmul_hopper.cu. What lies beyond an operand's
//           columns is not read. What is below 2^-114 in all may come out as 0
// Repeats   the same bits whatever the number of blocks, as matmul_hopper.cu
// Cost      2 m n k operations a product; reads (a once per 128 columns of out, b once per 128 rows) 4 bytes an element
//           of a and 2 a plane and element of b, writes 4 an element of out: bound by arithmetic for k >= 512
// Rust      src/backend/cuda/matmul/hopper.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "matmul_hopper.cuh"

// The norms of the features of x stand behind all else in shared memory.
constexpr unsigned MOST_FEATURES = 1280, OF_NORM = 4;
constexpr unsigned FORMED_SHARED = HOPPER_SHARED + MOST_FEATURES * OF_NORM * sizeof(float);
static_assert(FORMED_SHARED <= 227 * 1024, "what a block may have");

// What a thread has of its warpgroup's 64 x 64 of a, as the fragments of wgmma.cuh have it: of each step of 16, four
// registers of a pair each. Register r is of the lane's row r % 2.
using Fragments = float[STEPS][4][2];

// Those that begin at row `line` of out and `along` of the contraction, zero where there is nothing; WHOLE: there is no
// such place.
template <bool MN, bool WHOLE>
__device__ __forceinline__ void read(Fragments& v, const Matmul& m, unsigned line, unsigned along, unsigned end) {
    const unsigned lane = threadIdx.x % WARP;
    line += threadIdx.x % GROUP / WARP * 16 + lane / 4;
    along += lane % 4 * 2;
    const unsigned left = end - min(end, along);
    const float* from = static_cast<const float*>(m.a.data) + (MN ? size_t(along) * m.a.pitch + line
                                                                  : size_t(line) * m.a.pitch + along);
#pragma unroll
    for (unsigned s = 0; s < STEPS; ++s)
#pragma unroll
        for (unsigned r = 0; r < 4; ++r) {
            const unsigned down = r % 2 * 8, right = s * 16 + r / 2 * 8;   // lines, and along the contraction
            const bool exists = WHOLE || line + down < m.m;
            if constexpr (MN) {
#pragma unroll
                for (unsigned e = 0; e < 2; ++e)
                    v[s][r][e] = exists && (WHOLE || right + e < left) ? from[size_t(right + e) * m.a.pitch + down] : 0.0f;
            } else {
                float2 pair = make_float2(0.0f, 0.0f);
                if (exists && (WHOLE || right < left))
                    pair = *reinterpret_cast<const float2*>(from + size_t(down) * m.a.pitch + right);
                v[s][r][0] = pair.x;
                v[s][r][1] = pair.y;
            }
        }
}

template <bool MN>
__device__ __forceinline__ void read(Fragments& v, const Matmul& m, unsigned line, unsigned along, unsigned end) {
    if (line + 64 <= m.m && along + WGMMA_DEPTH <= end) read<MN, true>(v, m, line, along, end);
    else read<MN, false>(v, m, line, along, end);
}

__device__ __forceinline__ float formed(float z, const ColumnNorm& norm) {
    return activate(RELU, norm.affine(norm.standard(z)));
}

// x where features are along the contraction. Their norms are in shared memory, [OF_NORM][MOST_FEATURES].
struct FormedAlong {
    float* norms;

    // Once, by both warpgroups. Beyond the features there are zeros, which form a zero.
    __device__ __forceinline__ FormedAlong(const Matmul& m, uint8_t* smem)
        : norms(reinterpret_cast<float*>(smem + HOPPER_SHARED)) {
        for (unsigned i = threadIdx.x - GROUP; i < MOST_FEATURES; i += CONSUMERS) {
            const ColumnNorm norm = i < m.k ? ColumnNorm(m.input.field.norm, i) : ColumnNorm(0.0f, 0.0f, 0.0f, 0.0f);
            norms[i] = norm.mean;
            norms[MOST_FEATURES + i] = norm.inv_std;
            norms[2 * MOST_FEATURES + i] = norm.gamma;
            norms[3 * MOST_FEATURES + i] = norm.beta;
        }
        Consumers::sync();
    }
    __device__ __forceinline__ void enter(const Matmul&, unsigned) {}
    __device__ __forceinline__ void form(Fragments& v, unsigned along, unsigned) const {
        const float* at = norms + along + threadIdx.x % 4 * 2;
#pragma unroll
        for (unsigned i = 0; i < 2 * STEPS; ++i) {   // eight of the contraction
            float2 of[OF_NORM];
#pragma unroll
            for (unsigned what = 0; what < OF_NORM; ++what)
                of[what] = *reinterpret_cast<const float2*>(at + what * MOST_FEATURES + 8 * i);
            const ColumnNorm first(of[0].x, of[1].x, of[2].x, of[3].x), second(of[0].y, of[1].y, of[2].y, of[3].y);
#pragma unroll
            for (unsigned row = 0; row < 2; ++row) {
                float(&pair)[2] = v[i / 2][i % 2 * 2 + row];
                pair[0] = formed(pair[0], first);
                pair[1] = formed(pair[1], second);
            }
        }
    }
};

// x where a feature is a row of out: that of each of the lane's rows.
struct FormedAcross {
    ColumnNorm norm[2];

    __device__ __forceinline__ FormedAcross(const Matmul&, uint8_t*)
        : norm{ColumnNorm(0.0f, 0.0f, 0.0f, 0.0f), ColumnNorm(0.0f, 0.0f, 0.0f, 0.0f)} {}
    // The warpgroup's 64 rows begin at `line`.
    __device__ __forceinline__ void enter(const Matmul& m, unsigned line) {
        line += threadIdx.x % GROUP / WARP * 16 + threadIdx.x % WARP / 4;
#pragma unroll
        for (unsigned row = 0; row < 2; ++row) norm[row] = ColumnNorm(m.input.field.norm, min(line + 8 * row, m.m - 1));
    }
    __device__ __forceinline__ void form(Fragments& v, unsigned along, unsigned end) const {
#pragma unroll
        for (unsigned i = 0; i < STEPS * 8; ++i) {
            float& x = v[i / 8][i / 2 % 4][i % 2];
            x = formed(x, norm[i / 2 % 2]);
        }
        if (along + WGMMA_DEPTH <= end) return;
        // What is of no sample shall not count as largest.
        along += threadIdx.x % 4 * 2;
#pragma unroll
        for (unsigned i = 0; i < STEPS * 8; ++i)
            if (along + i / 8 * 16 + i / 4 % 2 * 8 + i % 2 >= end) v[i / 8][i / 2 % 4][i % 2] = 0.0f;
    }
};

struct AsStored {
    __device__ __forceinline__ AsStored(const Matmul&, uint8_t*) {}
    __device__ __forceinline__ void enter(const Matmul&, unsigned) {}
    __device__ __forceinline__ void form(Fragments&, unsigned, unsigned) const {}
};

// The halves of fragments, each row times 2^exponent. Without LOW, high is all there is.
template <bool LOW>
struct Halves {
    uint32_t high[STEPS][4], low[STEPS][4];
    int exponent[2];   // of the lane's rows

    __device__ __forceinline__ explicit Halves(const Fragments& v) {
        unsigned largest[2] = {0, 0};
        float to_range[2];
#pragma unroll
        for (unsigned i = 0; i < STEPS * 8; ++i)
            largest[i / 2 % 2] = max(largest[i / 2 % 2], finite_order(v[i / 8][i / 2 % 4][i % 2]));
#pragma unroll
        for (unsigned row = 0; row < 2; ++row) {
            // Four lanes share a row.
            largest[row] = max(largest[row], __shfl_xor_sync(FULL_WARP, largest[row], 1));
            largest[row] = max(largest[row], __shfl_xor_sync(FULL_WARP, largest[row], 2));
            exponent[row] = plane_exponent(largest[row]);
            to_range[row] = power_of_two(exponent[row]);
        }
#pragma unroll
        for (unsigned i = 0; i < STEPS * 4; ++i) {
            const float(&pair)[2] = v[i / 4][i % 4];
            const HalfPairs halves(pair[0] * to_range[i % 2], pair[1] * to_range[i % 2]);
            high[i / 4][i % 4] = halves.high;
            if constexpr (LOW) low[i / 4][i % 4] = halves.low;
        }
    }
    // For products that read them.
    __device__ __forceinline__ void fence() {
#pragma unroll
        for (unsigned s = 0; s < STEPS; ++s) {
            reg_fence(high[s]);
            if constexpr (LOW) reg_fence(low[s]);
        }
    }
};

// A stage whose tile of b is in shared memory at this.
template <class P>
struct Taken {
    float (&d)[64];
    const Halves<P::A_PLANES == 2>& a;
    uint32_t b;

    template <int ADD>
    __device__ __forceinline__ void multiply(unsigned a_plane, unsigned b_plane, unsigned step) const {
        wgmma_f16_m64n128k16<P::B_MN, ADD>(d, a_plane ? a.low[step] : a.high[step], P::B::descriptor(b, b_plane, step));
    }
};

// A warpgroup that multiplies. Both take turns: while the products of one are under way, the other adds up what it has
// and splits what comes next.
//
// That is asked of memory, and formed, while a warpgroup's own products are under way. Asked before, these would wait for
// it: the compiler puts a wait for one of these numbers before the products, and what waits for one waits for all.
template <class P, class First>
__device__ __forceinline__ void consume(const Matmul& m, uint8_t* smem, unsigned warpgroup) {
    Ring<P::STAGES> ring(smem, 0);
    unsigned turn = warpgroup ^ 1;   // the parity of the phases of turns; the first of warpgroup 0 needs nobody
    const unsigned tiles = tiles_of(m);
    Fragments next;
    int next_b[2];   // exponents of both halves of b's columns
    const auto ask = [&](unsigned m0, unsigned n0, unsigned k, unsigned end) {
        read<P::A_MN>(next, m, m0 + warpgroup * 64, k, end);
        next_b[0] = block_exponent<P::B_MN>(m.b, n0, k);
        next_b[1] = P::B_MN ? block_exponent<P::B_MN>(m.b, n0 + 64, k) : next_b[0];
    };
    const Tile begin(m, blockIdx.x);
    ask(begin.m0, begin.n0, begin.k_begin, begin.k_end);
    First first(m, smem);
    first.enter(m, begin.m0 + warpgroup * 64);
    first.form(next, begin.k_begin, begin.k_end);
    for (unsigned t = blockIdx.x; t < tiles; t += gridDim.x) {
        const Tile tile(m, t), after(m, min(t + gridDim.x, tiles - 1));
        float sum[64];
#pragma unroll
        for (int i = 0; i < 64; ++i) sum[i] = 0.0f;
        for (unsigned k = tile.k_begin; k < tile.k_end; k += WGMMA_DEPTH) {
            Halves<P::A_PLANES == 2> a(next);
            const int exponent_b[2] = {next_b[0], next_b[1]};
            float part[64];
            mbar_wait(ring.full(), ring.parity);
            mbar_wait(ring.turn(warpgroup), turn);
            turn ^= 1;
            reg_fence(part);
            a.fence();
            wgmma_fence();
            multiply_stage<P>(Taken<P>{part, a, P::B::base(smem_u32(smem) + ring.stage * P::STAGE)});
            wgmma_commit();
            if (threadIdx.x % WARP == 0) mbar_arrive(ring.turn(warpgroup ^ 1));
            const bool last = k + WGMMA_DEPTH >= tile.k_end;
            const unsigned m0 = last ? after.m0 : tile.m0, n0 = last ? after.n0 : tile.n0;
            const unsigned along = last ? after.k_begin : k + WGMMA_DEPTH, end = last ? after.k_end : tile.k_end;
            ask(m0, n0, along, end);   // after the very last tile in vain
            if (last) first.enter(m, m0 + warpgroup * 64);
            first.form(next, along, end);
#pragma unroll
            for (unsigned i = 0; i < STEPS * 4; ++i) reg_fence(next[i / 4][i % 4]);   // it is formed now, not later
            wgmma_wait<0>();
            if (threadIdx.x % WARP == 0) mbar_arrive(ring.empty(ring.stage));
            reg_fence(part);
            a.fence();
#pragma unroll
            for (int i = 0; i < 64; ++i)
                sum[i] = fmaf(part[i], product_scale(a.exponent[i / 2 % 2], exponent_b[i / 32]), sum[i]);
            ring.advance();
        }
        finish_tile<P>(sum, m, tile, smem);
        // Lanes may have left it by different ways: the compiler shall know that these are the same in all.
        __syncwarp();
        ring.stage = __shfl_sync(FULL_WARP, ring.stage, 0);
        ring.parity = __shfl_sync(FULL_WARP, ring.parity, 0);
        turn = __shfl_sync(FULL_WARP, turn, 0);
    }
}

template <class P, class First>
__device__ __forceinline__ void matmul_hopper_single(const HopperMatmul& g) {
    extern __shared__ __align__(1024) uint8_t smem[];
    put_barriers<P>(smem);
    wait_for_last_kernel();
    hopper_block<P>(g, smem, [&](unsigned warpgroup) { consume<P, First>(g.m, smem, warpgroup); });
}

#define ENTRY(name, product, a_planes, b_planes, First)                                                              \
    extern "C" __global__ void __launch_bounds__(384, 1) name(const __grid_constant__ HopperMatmul g) {              \
        matmul_hopper_single<Plan<product, a_planes, b_planes, Number::FP16, false>, First>(g);                      \
    }
ENTRY(single_forward_22, FORWARD, 2, 2, AsStored)
ENTRY(single_forward_11, FORWARD, 1, 1, AsStored)
ENTRY(single_layer_22, LAYER, 2, 2, AsStored)
ENTRY(single_layer_11, LAYER, 1, 1, AsStored)
ENTRY(single_below_22, BELOW, 2, 2, AsStored)
ENTRY(single_below_11, BELOW, 1, 1, AsStored)
ENTRY(single_weight_22, WEIGHT, 2, 2, AsStored)
ENTRY(single_weight_21, WEIGHT, 2, 1, AsStored)
ENTRY(single_weight_11, WEIGHT, 1, 1, AsStored)
ENTRY(formed_forward_22, FORWARD, 2, 2, FormedAlong)
ENTRY(formed_forward_11, FORWARD, 1, 1, FormedAlong)
ENTRY(formed_flipped_22, FLIPPED, 2, 2, FormedAcross)
ENTRY(formed_flipped_11, FLIPPED, 1, 1, FormedAcross)
