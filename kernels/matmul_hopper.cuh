// matmul_hopper.cuh -- what matmul_hopper.cu and matmul_hopper_single.cu share: arguments, shared memory, the block and
// the warpgroup that copies.
#pragma once
#include "epilogue.cuh"
#include "tiles.cuh"
#include "wgmma.cuh"

// a and b are maps of m.a, if that is copied, and m.b: columns, rows, planes, in boxes of a WgmmaTile.
// src/backend/cuda/matmul/hopper.rs makes them.
struct HopperMatmul {
    TensorMap a, b;
    Matmul m;
};

// Shared memory, in bytes: stages, of which there are as many as fit; barriers, two a stage and two for turns; the
// epilogue's own.
constexpr unsigned HOPPER_STAGES = 192 * 1024, MOST_STAGES = 6;
constexpr unsigned HOPPER_BARRIERS = (2 * MOST_STAGES + 2) * sizeof(uint64_t);
constexpr unsigned HOPPER_SHARED = HOPPER_STAGES + HOPPER_BARRIERS + EPILOGUE_FLOATS<1> * sizeof(float);

constexpr unsigned GROUP = 128, CONSUMERS = 2 * GROUP;   // threads
constexpr unsigned STEPS = WGMMA_DEPTH / 16;             // of a stage, of 16 of the contraction each

// The barrier of the warpgroups that multiply.
struct Consumers {
    static __device__ __forceinline__ void sync() { bar_sync(1, CONSUMERS); }
};

// A product of so many planes of both operands. A_COPIED: tiles of a come to shared memory, as those of b do.
template <Product PRODUCT_, unsigned A_PLANES_, unsigned B_PLANES_, Number NUMBER_, bool A_COPIED_>
struct Plan {
    static constexpr Product PRODUCT = PRODUCT_;
    static constexpr Number NUMBER = NUMBER_;
    static constexpr unsigned A_PLANES = A_PLANES_, B_PLANES = B_PLANES_;
    static constexpr bool A_COPIED = A_COPIED_;
    static constexpr bool A_MN = PRODUCT == WEIGHT || PRODUCT == FLIPPED, B_MN = A_MN || PRODUCT == BELOW;
    using A = WgmmaTile<A_MN, A_PLANES>;
    using B = WgmmaTile<B_MN, B_PLANES>;
    static constexpr unsigned A_BYTES = A_COPIED ? A::BYTES : 0, STAGE = A_BYTES + B::BYTES;   // a comes first
    static constexpr unsigned STAGES = HOPPER_STAGES / STAGE < MOST_STAGES ? HOPPER_STAGES / STAGE : MOST_STAGES;
    static_assert(STAGES >= 3);
};

// Steps of a tile's contraction: a stage each, and at its end the tensor-core sum is added to the one in f32.
__device__ __forceinline__ unsigned steps_of(const Tile& tile) {
    return (tile.k_end - tile.k_begin + WGMMA_DEPTH - 1) / WGMMA_DEPTH;
}

__device__ __forceinline__ unsigned tiles_of(const Matmul& m) {
    return (m.m + TILE - 1) / TILE * ((m.n + TILE - 1) / TILE) * m.splits;
}

// A place in the ring of stages, and the parity of the phases that its barriers are in.
template <unsigned STAGES>
struct Ring {
    uint8_t* smem;
    unsigned stage, parity;

    __device__ __forceinline__ Ring(uint8_t* smem, unsigned parity) : smem(smem), stage(0), parity(parity) {}
    __device__ __forceinline__ uint64_t* full() const {
        return reinterpret_cast<uint64_t*>(smem + HOPPER_STAGES) + stage;
    }
    __device__ __forceinline__ uint64_t* empty(unsigned of) const {
        return reinterpret_cast<uint64_t*>(smem + HOPPER_STAGES) + MOST_STAGES + of;
    }
    // Of a warpgroup that multiplies.
    __device__ __forceinline__ uint64_t* turn(unsigned of) const {
        return reinterpret_cast<uint64_t*>(smem + HOPPER_STAGES) + 2 * MOST_STAGES + of;
    }
    __device__ __forceinline__ void advance() {
        if (++stage == STAGES) {
            stage = 0;
            parity ^= 1;
        }
    }
};

// One thread: fills stage after stage, as they become empty.
template <class P>
__device__ __forceinline__ void produce(const HopperMatmul& g, uint8_t* smem) {
    if constexpr (P::A_COPIED) tma_prefetch(&g.a);
    tma_prefetch(&g.b);
    Ring<P::STAGES> ring(smem, 1);   // at first every stage is empty
    const unsigned tiles = tiles_of(g.m);
    for (unsigned t = blockIdx.x; t < tiles; t += gridDim.x) {
        const Tile tile(g.m, t);
        for (unsigned k = tile.k_begin; k < tile.k_end; k += WGMMA_DEPTH, ring.advance()) {
            mbar_wait(ring.empty(ring.stage), ring.parity);
            mbar_expect_tx(ring.full(), P::STAGE);
            uint8_t* to = smem + ring.stage * P::STAGE;
#pragma unroll
            for (unsigned i = 0; P::A_COPIED && i < P::A::COPIES; ++i)
                tma_load_3d(to + i * P::A::COPY, &g.a, int(P::A::box_column(tile.m0, k, i)),
                            int(P::A::box_row(tile.m0, k)), 0, ring.full());
#pragma unroll
            for (unsigned i = 0; i < P::B::COPIES; ++i)
                tma_load_3d(to + P::A_BYTES + i * P::B::COPY, &g.b, int(P::B::box_column(tile.n0, k, i)),
                            int(P::B::box_row(tile.n0, k)), 0, ring.full());
        }
    }
}

// The products of one stage, by stage.multiply<ADD>(plane of a, of b, 16 of the contraction). The small terms of the whole
// depth come first: as long as the sum is small, what its rounding loses is small too.
template <class P, class Stage>
__device__ __forceinline__ void multiply_stage(const Stage& stage) {
    constexpr bool A_LOW = P::A_PLANES == 2, B_LOW = P::B_PLANES == 2;
#pragma unroll
    for (unsigned step = 0; step < STEPS; ++step) {
        if constexpr (B_LOW) {
            if (step == 0) stage.template multiply<0>(0, 1, step);
            else stage.template multiply<1>(0, 1, step);
        }
        if constexpr (A_LOW) {
            if (step == 0 && !B_LOW) stage.template multiply<0>(1, 0, step);
            else stage.template multiply<1>(1, 0, step);
        }
    }
#pragma unroll
    for (unsigned step = 0; step < STEPS; ++step) {
        if (step == 0 && !A_LOW && !B_LOW) stage.template multiply<0>(0, 0, step);
        else stage.template multiply<1>(0, 0, step);
    }
}

template <class P>
__device__ __forceinline__ void finish_tile(float (&sum)[64], const Matmul& m, const Tile& tile, uint8_t* smem) {
    finish<P::PRODUCT, P::NUMBER, P::B_PLANES, 4, 1, 16, Consumers>(
        sum, m, tile.m0, tile.n0, tile.split, threadIdx.x - GROUP,
        reinterpret_cast<float*>(smem + HOPPER_STAGES + HOPPER_BARRIERS));
}

// Before hopper_block().
template <class P>
__device__ __forceinline__ void put_barriers(uint8_t* smem) {
    if (threadIdx.x != 0) return;
    const Ring<P::STAGES> ring(smem, 0);
    for (unsigned i = 0; i < P::STAGES; ++i) {
        mbar_init(ring.full() + i, 1);
        mbar_init(ring.empty(i), CONSUMERS / WARP);
    }
    for (unsigned i = 0; i < 2; ++i) mbar_init(ring.turn(i), GROUP / WARP);
    mbar_init_fence();
}

// The block: 384 threads and HOPPER_SHARED bytes of shared memory; at most as many blocks as there are tiles times splits.
// It makes one tile after the other. Warpgroup 0 copies, 1 and 2 multiply, 64 x 128 of a tile each: consume(which of these).
template <class P, class Consume>
__device__ __forceinline__ void hopper_block(const HopperMatmul& g, uint8_t* smem, const Consume& consume) {
    __syncthreads();
    const unsigned warpgroup = __shfl_sync(FULL_WARP, threadIdx.x / GROUP, 0);
    // 65,536 registers in all: 168 a thread at first, then 24 for a group and 240 for two.
    if (warpgroup == 0) {
        reg_dec<24>();
        if (threadIdx.x == 0) produce<P>(g, smem);
    } else {
        reg_inc<240>();
        consume(warpgroup - 1);
    }
}
