// matmul_simt.cu -- the three matrix products of a layer in plain 32-bit fused multiply-adds.
//
//   FORWARD, BELOW, WEIGHT as in matmul.cuh, each with its epilogue (epilogue.cuh)
//
// Shapes    a, b: f32 operands, matmul.cuh; out [splits][m][ldo]
// Aliasing  out may not overlap anything
// Launch    256 threads; grid.x is the number of tiles times splits. A warp makes 64 x 32 of a tile, a thread 8 x 8
// Domain    m, n, k >= 1; any pitch. What lies beyond an operand's columns is not read
// Repeats   the same bits everywhere: each element is summed in the order of k, split by split
// Cost      2 m n k operations; reads (a once per 128 columns of out, b once per 128 rows) 4 bytes an element,
//           writes 4 an element of out: bound by arithmetic for k >= 128
// Rust      src/backend/cuda/matmul.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "epilogue.cuh"

// Of the contraction at a time; and floats from one k to the next in shared memory, with a gap against bank conflicts.
constexpr unsigned DEPTH = 8, PITCH = TILE + 4;
constexpr unsigned THREADS = 256, EACH = TILE * DEPTH / THREADS;

// Where row (of a) or column (of b) i of the tile stands in shared memory, so that the eight that a lane needs are
// neighbours: a lane has rows l/4 + 8 t of its warp's 64, and columns 8 t + l%4*2 + {0, 1} of its warp's 32.
__device__ __forceinline__ unsigned place_of_row(unsigned i) { return i / 64 * 64 + i % 8 * 8 + i / 8 % 8; }
__device__ __forceinline__ unsigned place_of_column(unsigned i) {
    return i / 32 * 32 + i / 2 % 4 * 8 + i / 8 % 4 * 2 + i % 2;
}

// Element e of a thread's share of a tile: its row or column i in the tile, and its k. Neighbouring threads take
// what is neighbouring in memory; ROWS: the contraction runs along rows of the operand.
template <bool ROWS>
struct Share {
    static __device__ __forceinline__ unsigned i(unsigned e) {
        return ROWS ? threadIdx.x % TILE : threadIdx.x / DEPTH + e * (THREADS / DEPTH);
    }
    static __device__ __forceinline__ unsigned k(unsigned e) {
        return ROWS ? threadIdx.x / TILE + e * (THREADS / TILE) : threadIdx.x % DEPTH;
    }
};

// A thread's share of the operand's tile at i0, k0; zero beyond i_end and k_end.
template <bool ROWS>
__device__ __forceinline__ void fetch(float (&v)[EACH], const Operand& from, unsigned i0, unsigned i_end, unsigned k0,
                                      unsigned k_end) {
    const float* data = static_cast<const float*>(from.data);
#pragma unroll
    for (unsigned e = 0; e < EACH; ++e) {
        const unsigned i = i0 + Share<ROWS>::i(e), k = k0 + Share<ROWS>::k(e);
        const size_t at = ROWS ? size_t(k) * from.pitch + i : size_t(i) * from.pitch + k;
        v[e] = i < i_end && k < k_end ? data[at] : 0.0f;
    }
}

template <Product PRODUCT>
__device__ __forceinline__ void matmul_simt(const Matmul& g) {
    constexpr bool A_ROWS = PRODUCT == WEIGHT, B_ROWS = PRODUCT != FORWARD;
    __shared__ __align__(16) float stage[2][2][DEPTH][PITCH];   // [turn][a, b][k][place]
    const Tile tile(g, blockIdx.x);
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const unsigned my_rows = warp / 4 * 64 + lane / 4 * 8, my_columns = warp % 4 * 32 + lane % 4 * 8;

    float next_a[EACH], next_b[EACH], sum[64];
#pragma unroll
    for (int i = 0; i < 64; ++i) sum[i] = 0.0f;
    auto fetch_at = [&](unsigned k0) {
        fetch<A_ROWS>(next_a, g.a, tile.m0, g.m, k0, tile.k_end);
        fetch<B_ROWS>(next_b, g.b, tile.n0, g.n, k0, tile.k_end);
    };
    auto put = [&](unsigned turn) {
#pragma unroll
        for (unsigned e = 0; e < EACH; ++e) {
            stage[turn][0][Share<A_ROWS>::k(e)][place_of_row(Share<A_ROWS>::i(e))] = next_a[e];
            stage[turn][1][Share<B_ROWS>::k(e)][place_of_column(Share<B_ROWS>::i(e))] = next_b[e];
        }
    };
    fetch_at(tile.k_begin);
    put(0);
    __syncthreads();
    unsigned turn = 0;
    for (unsigned k0 = tile.k_begin; k0 < tile.k_end; k0 += DEPTH, turn ^= 1) {
        fetch_at(k0 + DEPTH);   // zeros after the last
#pragma unroll(PRODUCT == BELOW ? 1 : 2)   // more would not leave registers for two blocks a multiprocessor
        for (unsigned k = 0; k < DEPTH; ++k) {
            float4 a[2], b[2];
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                a[half] = *reinterpret_cast<const float4*>(&stage[turn][0][k][my_rows + 4 * half]);
                b[half] = *reinterpret_cast<const float4*>(&stage[turn][1][k][my_columns + 4 * half]);
            }
            const float row[8] = {a[0].x, a[0].y, a[0].z, a[0].w, a[1].x, a[1].y, a[1].z, a[1].w};
            const float column[8] = {b[0].x, b[0].y, b[0].z, b[0].w, b[1].x, b[1].y, b[1].z, b[1].w};
#pragma unroll
            for (int i = 0; i < 8; ++i)
#pragma unroll
                for (int c = 0; c < 8; ++c) {
                    float& to = sum[(i / 2 * 4 + c / 2) * 4 + i % 2 * 2 + c % 2];
                    to = fmaf(row[i], column[c], to);
                }
        }
        put(turn ^ 1);
        __syncthreads();
    }
    finish<PRODUCT, Number::FP16, 0, 0, 4, 4, WholeBlock>(sum, g, tile.m0, tile.n0, tile.split, threadIdx.x,
                                                          &stage[0][0][0][0]);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_simt_forward(const __grid_constant__ Matmul g) {
    wait_for_last_kernel();
    matmul_simt<FORWARD>(g);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_simt_below(const __grid_constant__ Matmul g) {
    wait_for_last_kernel();
    matmul_simt<BELOW>(g);
}

extern "C" __global__ void __launch_bounds__(256, 2) matmul_simt_weight(const __grid_constant__ Matmul g) {
    wait_for_last_kernel();
    matmul_simt<WEIGHT>(g);
}
