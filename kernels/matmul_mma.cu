// matmul_mma.cu -- the three matrix products of a layer on the tensor cores of every card from sm_80 on.
//
//   FORWARD, LAYER, BELOW, WEIGHT as in matmul.cuh, each with its epilogue (epilogue.cuh)
//   mma_PRODUCT_PQ has P planes of fp16 in a and Q in b, mma_PRODUCT_bf16 one plane of bf16 in each:
//   a b = (a.high b.low + a.low b.high) + a.high b.high, of which those are left out that have no plane
//
// Shapes    a, b: planes, matmul.cuh; out [splits][m][ldo], of LAYER as many planes as b has
// Aliasing  out may not overlap anything
// Launch    256 threads and 3 x 8192 (P + Q) bytes of shared memory; grid.x is the number of tiles times splits.
//           A warp makes 64 x 32 of a tile
// Domain    m, n, k >= 1; pitches and plane strides that are multiples of 8, data aligned to 16 bytes. What lies
//           beyond an operand's columns is not read. What is below 2^-114 in all may come out as 0
// Repeats   the same bits on cards of one architecture: each element is summed in the order of k, split by split.
//           Tensor cores round their sums toward zero or nearly so: every 64 of k they are added to one in f32, which
//           also brings every block of an operand back from its own power of two
// Cost      2 m n k operations a product of planes; reads (a once per 128 columns of out, b once per 128 rows) 2 bytes
//           a plane and element, writes 4 an element of out: bound by arithmetic for k >= 512
// Rust      src/backend/cuda/matmul.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "epilogue.cuh"
#include "mma.cuh"
#include "tiles.cuh"

constexpr unsigned STAGES = 3;
constexpr unsigned PROMOTE = 64;   // of the contraction

// The thread's share of a tile of an operand, all planes: zero beyond `lines` and k_end.
template <bool MN, unsigned PLANES>
__device__ __forceinline__ void copy_tile(const Operand& from, uint32_t to, unsigned line0, unsigned lines, unsigned k0,
                                          unsigned k_end) {
#pragma unroll
    for (unsigned i = 0; i < MMA_CHUNKS / 256; ++i) {
        const Chunk chunk = mma_chunk<MN>(threadIdx.x + i * 256);
        const unsigned row = (MN ? k0 : line0) + chunk.row, rows = MN ? k_end : lines;
        const unsigned column = (MN ? line0 : k0) + chunk.column * 8, columns = MN ? lines : k_end;
        const unsigned bytes = row < rows && column < columns ? min(8u, columns - column) * 2 : 0;
        const uint16_t* data = static_cast<const uint16_t*>(from.data);
        if (bytes) data += size_t(row) * from.pitch + column;
#pragma unroll
        for (unsigned plane = 0; plane < PLANES; ++plane)
            cp_async16(to + plane * MMA_PLANE + mma_chunk_at<MN>(chunk), data + plane * from.plane_stride, bytes);
    }
}

template <Number NUMBER>
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    if constexpr (NUMBER == Number::FP16) mma_f16(d, a, b0, b1);
    else mma_bf16(d, a, b0, b1);
}

// A warp's tensor-core sum: 64 x 32 in fragments [m16][n8].
struct WarpSum {
    float of[4][4][4];

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < 64; ++i) of[i / 16][i / 4 % 4][i % 4] = 0.0f;
    }
    __device__ __forceinline__ void add_to(float (&sum)[64], float scale) const {
#pragma unroll
        for (int i = 0; i < 64; ++i) sum[i] = fmaf(of[i / 16][i / 4 % 4][i % 4], scale, sum[i]);
    }
    // Adds the product of 64 x 16 of a with 16 x 32 of b.
    template <Number NUMBER>
    __device__ __forceinline__ void multiply(const uint32_t (&a)[4][4], const uint32_t (&b)[2][4]) {
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) mma<NUMBER>(of[i][j], a[i], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
};

template <bool MN>
__device__ __forceinline__ void load_a(uint32_t (&a)[4][4], uint32_t plane, unsigned line, unsigned k) {
#pragma unroll
    for (int i = 0; i < 4; ++i) ldmatrix4<MN>(a[i], plane + mma_fragment_a<MN>(line + i * 16, k, threadIdx.x % WARP));
}
template <bool MN>
__device__ __forceinline__ void load_b(uint32_t (&b)[2][4], uint32_t plane, unsigned line, unsigned k) {
#pragma unroll
    for (int j = 0; j < 2; ++j) ldmatrix4<MN>(b[j], plane + mma_fragment_b<MN>(line + j * 16, k, threadIdx.x % WARP));
}

// The products of one stage. The small terms of the whole depth come first: as long as the sum is small, what its
// rounding loses is small too.
template <bool A_MN, bool B_MN, unsigned A_PLANES, unsigned B_PLANES, Number NUMBER>
__device__ __forceinline__ void multiply_stage(WarpSum& sum, uint32_t a, uint32_t b) {
    const unsigned warp = threadIdx.x / WARP, row = warp / 4 * 64, column = warp % 4 * 32;
    uint32_t a_high[MMA_DEPTH / 16][4][4], b_high[MMA_DEPTH / 16][2][4];
#pragma unroll
    for (unsigned k = 0; k < MMA_DEPTH / 16; ++k) {
        load_a<A_MN>(a_high[k], a, row, k * 16);
        load_b<B_MN>(b_high[k], b, column, k * 16);
        if constexpr (B_PLANES == 2) {
            uint32_t b_low[2][4];
            load_b<B_MN>(b_low, b + MMA_PLANE, column, k * 16);
            sum.multiply<NUMBER>(a_high[k], b_low);
        }
        if constexpr (A_PLANES == 2) {
            uint32_t a_low[4][4];
            load_a<A_MN>(a_low, a + MMA_PLANE, row, k * 16);
            sum.multiply<NUMBER>(a_low, b_high[k]);
        }
    }
#pragma unroll
    for (unsigned k = 0; k < MMA_DEPTH / 16; ++k) sum.multiply<NUMBER>(a_high[k], b_high[k]);
}

template <Product PRODUCT, unsigned A_PLANES, unsigned B_PLANES, Number NUMBER>
__device__ __forceinline__ void matmul_mma(const Matmul& g) {
    constexpr bool A_MN = PRODUCT == WEIGHT, B_MN = PRODUCT == BELOW || PRODUCT == WEIGHT;
    constexpr unsigned STAGE = (A_PLANES + B_PLANES) * MMA_PLANE;
    static_assert(STAGES * STAGE >= EPILOGUE_FLOATS<4> * sizeof(float) && STAGES * STAGE <= 99 * 1024);
    wait_for_last_kernel();
    extern __shared__ __align__(1024) uint8_t smem[];
    const uint32_t shared = smem_u32(smem);
    const Tile tile(g, blockIdx.x);
    const unsigned steps = (tile.k_end - tile.k_begin + MMA_DEPTH - 1) / MMA_DEPTH;

    auto copy = [&](unsigned step) {
        if (step < steps) {
            const unsigned k = tile.k_begin + step * MMA_DEPTH;
            const uint32_t stage = shared + step % STAGES * STAGE;
            copy_tile<A_MN, A_PLANES>(g.a, stage, tile.m0, g.m, k, tile.k_end);
            copy_tile<B_MN, B_PLANES>(g.b, stage + A_PLANES * MMA_PLANE, tile.n0, g.n, k, tile.k_end);
        }
        cp_async_commit();   // an empty group too, so that a step's group has a fixed number
    };
    float sum[64];
    WarpSum part;
    part.clear();
#pragma unroll
    for (int i = 0; i < 64; ++i) sum[i] = 0.0f;
#pragma unroll
    for (unsigned step = 0; step + 1 < STAGES; ++step) copy(step);
    const unsigned line_a = tile.m0 + threadIdx.x / WARP / 4 * 64, line_b = tile.n0 + threadIdx.x / WARP % 4 / 2 * 64;
    for (unsigned step = 0; step < steps; ++step) {
        const unsigned k = tile.k_begin + step * MMA_DEPTH;
        const float scale = product_scale(block_exponent<A_MN>(g.a, line_a, k), block_exponent<B_MN>(g.b, line_b, k));
        cp_async_wait<STAGES - 2>();
        __syncthreads();   // everybody's copies of this stage are there, and nobody reads the stage before it
        copy(step + STAGES - 1);
        const uint32_t stage = shared + step % STAGES * STAGE;
        multiply_stage<A_MN, B_MN, A_PLANES, B_PLANES, NUMBER>(part, stage, stage + A_PLANES * MMA_PLANE);
        if ((step + 1) % (PROMOTE / MMA_DEPTH) == 0 || step + 1 == steps) {
            part.add_to(sum, scale);
            part.clear();
        }
    }
    __syncthreads();   // the epilogue takes the memory of the stages; no copy is under way any more
    finish<PRODUCT, NUMBER, B_PLANES, 1, 4, 4, WholeBlock>(sum, g, tile.m0, tile.n0, tile.split, threadIdx.x,
                                                           reinterpret_cast<float*>(smem));
}

#define ENTRY(name, product, a_planes, b_planes, number)                                                             \
    extern "C" __global__ void __launch_bounds__(256, 1) name(const __grid_constant__ Matmul g) {                    \
        matmul_mma<product, a_planes, b_planes, Number::number>(g);                                                  \
    }
ENTRY(mma_forward_22, FORWARD, 2, 2, FP16)
ENTRY(mma_forward_12, FORWARD, 1, 2, FP16)
ENTRY(mma_forward_11, FORWARD, 1, 1, FP16)
ENTRY(mma_forward_bf16, FORWARD, 1, 1, BF16)
ENTRY(mma_layer_22, LAYER, 2, 2, FP16)
ENTRY(mma_layer_12, LAYER, 1, 2, FP16)
ENTRY(mma_layer_11, LAYER, 1, 1, FP16)
ENTRY(mma_layer_bf16, LAYER, 1, 1, BF16)
ENTRY(mma_below_22, BELOW, 2, 2, FP16)
ENTRY(mma_below_11, BELOW, 1, 1, FP16)
ENTRY(mma_below_bf16, BELOW, 1, 1, BF16)
ENTRY(mma_weight_22, WEIGHT, 2, 2, FP16)
ENTRY(mma_weight_21, WEIGHT, 2, 1, FP16)
ENTRY(mma_weight_11, WEIGHT, 1, 1, FP16)
ENTRY(mma_weight_bf16, WEIGHT, 1, 1, BF16)
