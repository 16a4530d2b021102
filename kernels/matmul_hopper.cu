// archs: 90a
// matmul_hopper.cu -- the three matrix products of a layer on the tensor cores of compute capability 9.0.
//
//   FORWARD, LAYER, BELOW, WEIGHT as in matmul.cuh, each with its epilogue (epilogue.cuh)
//   hopper_PRODUCT_PQ has P planes of fp16 in a and Q in b, hopper_PRODUCT_bf16 one plane of bf16 in each:
//   a b = (a.high b.low + a.low b.high) + a.high b.high, of which those are left out that have no plane
//
// Shapes    a, b: planes, matmul.cuh, and their tensor maps; out [splits][m][ldo], of LAYER as many planes as b has
// Aliasing  out may not overlap anything
// Launch    as hopper_block() (matmul_hopper.cuh)
// Domain    m, n, k >= 1; pitches and plane strides that are multiples of 8, data aligned to 16 bytes. What lies
//           beyond an operand's columns is not read. What is below 2^-114 in all may come out as 0
// Repeats   the same bits whatever the number of blocks: each element is summed in the order of k, split by split.
//           Tensor cores round their sums toward zero or nearly so: every 64 of k they are added to one in f32, which
//           also brings every block of an operand back from its own power of two
// Cost      2 m n k operations a product of planes; reads (a once per 128 columns of out, b once per 128 rows) 2 bytes
//           a plane and element, writes 4 an element of out: bound by arithmetic for k >= 512
// Rust      src/backend/cuda/matmul/hopper.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "matmul_hopper.cuh"

// A stage whose tiles of both operands are in shared memory, at these.
template <class P>
struct Copied {
    float (&d)[64];
    uint32_t a, b;

    template <int ADD>
    __device__ __forceinline__ void multiply(unsigned a_plane, unsigned b_plane, unsigned step) const {
        const uint64_t a_tile = P::A::descriptor(a, a_plane, step), b_tile = P::B::descriptor(b, b_plane, step);
        if constexpr (P::NUMBER == Number::FP16) wgmma_f16_m64n128k16<P::A_MN, P::B_MN, ADD>(d, a_tile, b_tile);
        else wgmma_bf16_m64n128k16<P::A_MN, P::B_MN, ADD>(d, a_tile, b_tile);
    }
};

// What the tensor cores make of one step: a warpgroup's 64 x 128, and the powers of two in it, which b may have
// different in both halves of the columns.
struct Part {
    float of[64];
    int exponent_a, exponent_b[2];
};

// A warpgroup that multiplies. Two tensor-core sums take turns: while the products of one step run into the one, the
// other is added to the sum of the tile in f32.
//
// The compiler keeps products asynchronous only as long as it sees that nobody touches their sums meanwhile: no
// branches of which one has products under way and the other has not, and fences for the registers where it would
// move reads and writes of sums across.
template <class P>
struct Consumer {
    const Matmul& m;
    Ring<P::STAGES> ring;
    unsigned held;         // the stage that the newest products are reading
    unsigned warpgroup;    // 0 has the upper half of a tile

    __device__ __forceinline__ Consumer(const Matmul& m, uint8_t* smem, unsigned warpgroup)
        : m(m), ring(smem, 0), held(0), warpgroup(warpgroup) {}

    // Nobody reads stage `held` any more. Each warp says so for itself: the four do not finish together.
    __device__ __forceinline__ void release() {
        if (threadIdx.x % WARP == 0) mbar_arrive(ring.empty(held));
    }

    // Read long before they are needed: while the products run.
    __device__ __forceinline__ void read_exponents(Part& of, const Tile& tile, unsigned k) const {
        of.exponent_a = block_exponent<P::A_MN>(m.a, tile.m0 + warpgroup * 64, k);
        of.exponent_b[0] = block_exponent<P::B_MN>(m.b, tile.n0, k);
        of.exponent_b[1] = P::B_MN ? block_exponent<P::B_MN>(m.b, tile.n0 + 64, k) : of.exponent_b[0];
    }

    // Begins the products of step number `number` of a tile into `into`. If there were others before, waits for these,
    // which are in `from`, and adds them to `sum`.
    template <bool OTHERS>
    __device__ __forceinline__ void step(Part& into, Part& from, float (&sum)[64], const Tile& tile, unsigned number) {
        if constexpr (P::NUMBER == Number::FP16) read_exponents(into, tile, tile.k_begin + number * WGMMA_DEPTH);
        mbar_wait(ring.full(), ring.parity);
        const uint32_t stage = smem_u32(ring.smem) + ring.stage * P::STAGE;
        reg_fence(into.of);
        wgmma_fence();
        multiply_stage<P>(Copied<P>{into.of, P::A::base(stage + warpgroup * P::A::HALF), P::B::base(stage + P::A::BYTES)});
        wgmma_commit();
        if constexpr (OTHERS) {
            wgmma_wait<1>();
            take(from, sum);
        }
        held = ring.stage;
        ring.advance();
    }

    // `from` is complete: adds it to `sum`.
    __device__ __forceinline__ void take(Part& from, float (&sum)[64]) {
        release();
        reg_fence(from.of);
        if constexpr (P::NUMBER == Number::FP16) {
            const float scale[2] = {product_scale(from.exponent_a, from.exponent_b[0]),
                                    product_scale(from.exponent_a, from.exponent_b[1])};
#pragma unroll
            for (int i = 0; i < 64; ++i) sum[i] = fmaf(from.of[i], scale[i / 32], sum[i]);
        } else {
#pragma unroll
            for (int i = 0; i < 64; ++i) sum[i] += from.of[i];
        }
        reg_fence(sum);
    }

    // Waits for the last products of a tile.
    __device__ __forceinline__ void last(Part& from, float (&sum)[64]) {
        wgmma_wait<0>();
        take(from, sum);
    }

    // After code that lanes may have left by different ways: the compiler shall know that these are the same in all.
    __device__ __forceinline__ void reunite() {
        __syncwarp();
        ring.stage = __shfl_sync(FULL_WARP, ring.stage, 0);
        ring.parity = __shfl_sync(FULL_WARP, ring.parity, 0);
        held = __shfl_sync(FULL_WARP, held, 0);
    }
};

template <class P>
__device__ __forceinline__ void consume(const Matmul& m, uint8_t* smem, unsigned warpgroup) {
    Consumer<P> consumer(m, smem, warpgroup);
    Part even, odd;
    float sum[64];
    const unsigned tiles = tiles_of(m);
    unsigned t = blockIdx.x;
    consumer.template step<false>(even, odd, sum, Tile(m, t), 0);
    for (;;) {
#pragma unroll
        for (int i = 0; i < 64; ++i) sum[i] = 0.0f;
        const Tile tile(m, t);
        const unsigned steps = steps_of(tile);
        unsigned begun = 1;
        for (; begun + 1 < steps; begun += 2) {
            consumer.template step<true>(odd, even, sum, tile, begun);
            consumer.template step<true>(even, odd, sum, tile, begun + 1);
        }
        if (begun < steps) {
            consumer.template step<true>(odd, even, sum, tile, begun);
            consumer.last(odd, sum);
        } else {
            consumer.last(even, sum);
        }
        const unsigned done = t;
        t += gridDim.x;
        if (t >= tiles) break;
        consumer.template step<false>(even, odd, sum, Tile(m, t), 0);   // which runs behind the epilogue
        finish_tile<P>(sum, m, Tile(m, done), smem);
        consumer.reunite();
    }
    finish_tile<P>(sum, m, Tile(m, t - gridDim.x), smem);
}

template <class P>
__device__ __forceinline__ void matmul_hopper(const HopperMatmul& g) {
    extern __shared__ __align__(1024) uint8_t smem[];
    put_barriers<P>(smem);
    wait_for_last_kernel();
    hopper_block<P>(g, smem, [&](unsigned warpgroup) { consume<P>(g.m, smem, warpgroup); });
}

#define ENTRY(name, product, a_planes, b_planes, number)                                                             \
    extern "C" __global__ void __launch_bounds__(384, 1) name(const __grid_constant__ HopperMatmul g) {              \
        matmul_hopper<Plan<product, a_planes, b_planes, Number::number, true>>(g);                                         \
    }
ENTRY(hopper_forward_22, FORWARD, 2, 2, FP16)
ENTRY(hopper_forward_12, FORWARD, 1, 2, FP16)
ENTRY(hopper_forward_11, FORWARD, 1, 1, FP16)
ENTRY(hopper_forward_bf16, FORWARD, 1, 1, BF16)
ENTRY(hopper_layer_22, LAYER, 2, 2, FP16)
ENTRY(hopper_layer_12, LAYER, 1, 2, FP16)
ENTRY(hopper_layer_11, LAYER, 1, 1, FP16)
ENTRY(hopper_layer_bf16, LAYER, 1, 1, BF16)
ENTRY(hopper_below_22, BELOW, 2, 2, FP16)
ENTRY(hopper_below_11, BELOW, 1, 1, FP16)
ENTRY(hopper_below_bf16, BELOW, 1, 1, BF16)
ENTRY(hopper_weight_22, WEIGHT, 2, 2, FP16)
ENTRY(hopper_weight_21, WEIGHT, 2, 1, FP16)
ENTRY(hopper_weight_11, WEIGHT, 1, 1, FP16)
ENTRY(hopper_weight_bf16, WEIGHT, 1, 1, BF16)
