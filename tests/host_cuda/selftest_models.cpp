// selftest_models.cpp -- the models of the tensor cores and TMA against plain loops, on small integers: exact.
#include "selftest.hpp"

#include <vector>

namespace selftest {
namespace {

// A tile's element: small, so that every sum is exact in f32, and of no symmetry.
float element(unsigned seed, unsigned row, unsigned column) {
    return float(int((row * 37 + column * 101 + row * column * 7 + seed * 59) % 17) - 8);
}

template <host_cuda::Half half>
uint16_t narrow(float value) {
    if constexpr (half == host_cuda::Half::BF16) return uint16_t(host_cuda::to_bits(value) >> 16);
    else return to_half(value);
}

// out[16][8] = A[16][16] B[16][8], by one warp.
struct Small {
    const uint16_t *a, *b;   // b as [8][16], or [16][8] where the kernel reads it transposed
    float* out;
};
template <host_cuda::Half half, bool TRANSPOSED>
void warp_product(Small s) {
    const unsigned lane = threadIdx.x, matrix = lane / 8, row = lane % 8;
    cp_async16(lane * 16, s.a + lane * 8, 16);   // half a row
    if (lane < 16) cp_async16(512 + lane * 16, s.b + lane * 8, 16);
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    uint32_t a[4], b[4];
    ldmatrix4<false>(a, ((matrix % 2 * 8 + row) * 2 + matrix / 2) * 16);
    ldmatrix4<TRANSPOSED>(b, 512 + (TRANSPOSED ? matrix % 2 * 8 + row : row * 2 + matrix % 2) * 16);
    float d[4] = {1, 1, 1, 1};
    if constexpr (half == host_cuda::Half::F16) mma_f16(d, a, b[0], b[1]);
    else mma_bf16(d, a, b[0], b[1]);
    for (unsigned i = 0; i < 4; ++i) s.out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = d[i];
}

template <host_cuda::Half half, bool TRANSPOSED>
bool small_product_is_right() {
    std::vector<uint16_t> a(256), b(128);
    std::vector<float> out(128, NAN);
    for (unsigned i = 0; i < 256; ++i) a[i] = narrow<half>(element(1, i / 16, i % 16));
    for (unsigned k = 0; k < 16; ++k)
        for (unsigned n = 0; n < 8; ++n) b[TRANSPOSED ? k * 8 + n : n * 16 + k] = narrow<half>(element(2, k, n));
    if (!run<warp_product<half, TRANSPOSED>>(Small{a.data(), b.data(), out.data()}, 32, 768).empty()) return false;
    for (unsigned m = 0; m < 16; ++m)
        for (unsigned n = 0; n < 8; ++n) {
            float sum = 1;
            for (unsigned k = 0; k < 16; ++k) sum += element(1, m, k) * element(2, k, n);
            if (out[m * 8 + n] != sum) return false;
        }
    return true;
}

struct alignas(64) Map {
    uint8_t opaque[128];
};

extern "C" int cuTensorMapEncodeTiled(Map*, int type, unsigned rank, void*, const uint64_t* sizes,
                                      const uint64_t* strides, const uint32_t* box, const uint32_t* element_strides,
                                      int, int swizzle, int, int);

// The map of a matrix of 16-bit elements; with a box of `columns`, the widest that the swizzle allows.
Map map_of(host_cuda::Address base, uint64_t rows, uint64_t columns, uint64_t pitch, uint32_t box_columns,
           uint32_t box_rows) {
    Map map;
    const uint64_t sizes[] = {columns, rows}, strides[] = {pitch * 2};
    const uint32_t box[] = {box_columns, box_rows}, ones[] = {1, 1};
    const int bad = cuTensorMapEncodeTiled(&map, 6, 2, reinterpret_cast<void*>(base), sizes, strides, box, ones, 0,
                                           box_columns == 64 ? 3 : 2, 0, 0);
    if (bad) claim(false, "a tensor map is made");
    return map;
}

// out[64][128] = A B over K in steps of a tile, by one warpgroup; the operands come by TMA.
struct Large {
    Map a, b;
    float* out;
    unsigned k;
};
constexpr unsigned TILE_A = 8192, TILE_B = 16384, STAGE = TILE_A + TILE_B;   // bytes, of 64 k

template <int MN>
uint64_t descriptor(uint32_t at, uint32_t leading) {
    return (at >> 4 & 0x3fff) | uint64_t(leading >> 4) << 16 | uint64_t(1024 >> 4) << 32 | uint64_t(1) << 62;
}

// A fault: what is wrong with the kernel.
enum Fault { NONE, EARLY_PRODUCT, EARLY_LOAD, OTHER_OPERAND };

template <int A_MN, int B_MN, Fault fault>
void group_product(Large s) {
    auto* full = reinterpret_cast<uint64_t*>(smem + STAGE);
    if (threadIdx.x == 0) {
        mbar_init(full, 1);
        mbar_init_fence();
    }
    __syncthreads();
    float d[64] = {};
    for (unsigned k = 0, step = 0; k < s.k; k += 64, ++step) {
        if (threadIdx.x == 0) {
            mbar_expect_tx(full, STAGE);
            if (A_MN) tma_load_2d(smem, &s.a, 0, int(k), full);
            else tma_load_2d(smem, &s.a, int(k), 0, full);
            for (int half = 0; half < 2; ++half)
                if (B_MN) tma_load_2d(smem + TILE_A + half * 8192, &s.b, half * 64, int(k), full);
                else tma_load_2d(smem + TILE_A + half * 8192, &s.b, int(k), half * 64, full);
        }
        if (fault != EARLY_PRODUCT) mbar_wait(full, step % 2);
        wgmma_fence();
        for (unsigned i = 0; i < 4; ++i) {
            const uint32_t astray = fault == OTHER_OPERAND && threadIdx.x == 77 ? 32 : 0;
            const uint32_t a = astray + (A_MN ? i * 2048 : i * 32), b = TILE_A + (B_MN ? i * 2048 : i * 32);
            wgmma_f16_m64n128k16<A_MN, B_MN, 1>(d, descriptor<A_MN>(a, 8192), descriptor<B_MN>(b, 8192));
        }
        wgmma_commit();
        if (fault != EARLY_LOAD) wgmma_wait<0>();
        __syncthreads();
    }
    wgmma_wait<0>();
    const unsigned t = threadIdx.x, row = t / 32 * 16 + t % 32 / 4, column = t % 4 * 2;
    for (unsigned i = 0; i < 64; ++i) s.out[(row + i / 2 % 2 * 8) * 128 + i / 4 * 8 + column + i % 2] = d[i];
}

// With 150 in the contraction, 60 rows and 120 columns, so that tiles hang over on every side.
template <int A_MN, int B_MN, Fault fault>
bool large_product_is_right() {
    constexpr unsigned M = 60, N = 120, K = 150, PITCH = 160;
    const auto store = [](bool mn_major, unsigned seed, unsigned count) {
        const host_cuda::Address at = host_cuda::allocate(PITCH * PITCH * 2);
        auto* to = reinterpret_cast<uint16_t*>(at);
        for (unsigned i = 0; i < count; ++i)
            for (unsigned k = 0; k < K; ++k)
                to[mn_major ? k * PITCH + i : i * PITCH + k] = to_half(element(seed, i, k));
        return at;
    };
    const host_cuda::Address a = store(A_MN, 3, M), b = store(B_MN, 4, N);
    std::vector<float> out(64 * 128, NAN);
    const Large args{A_MN ? map_of(a, K, M, PITCH, 64, 64) : map_of(a, M, K, PITCH, 64, 64),
                     B_MN ? map_of(b, K, N, PITCH, 64, 64) : map_of(b, N, K, PITCH, 64, 64), out.data(), K};
    bool right = run<group_product<A_MN, B_MN, fault>>(args, 128, STAGE + 1024).empty();
    for (unsigned m = 0; m < 64; ++m)
        for (unsigned n = 0; n < 128; ++n) {
            float sum = 0;
            for (unsigned k = 0; k < K && m < M && n < N; ++k) sum += element(3, m, k) * element(4, n, k);
            right = right && out[m * 128 + n] == sum;
        }
    host_cuda::release(a);
    host_cuda::release(b);
    return right;
}

}  // namespace

void models() {
    using host_cuda::Half;
    claim(right_in(small_product_is_right<Half::F16, false>) == ALL, "mma.sync f16");
    claim(right_in(small_product_is_right<Half::F16, true>) == ALL, "mma.sync f16, B by transposed ldmatrix");
    claim(right_in(small_product_is_right<Half::BF16, true>) == ALL, "mma.sync bf16");
    claim(right_in(large_product_is_right<0, 0, NONE>) == ALL, "wgmma, both operands K-major");
    claim(right_in(large_product_is_right<0, 1, NONE>) == ALL, "wgmma, B MN-major");
    claim(right_in(large_product_is_right<1, 1, NONE>) == ALL, "wgmma, both operands MN-major");
    claim(right_in(large_product_is_right<0, 0, EARLY_PRODUCT>) < ALL, "a product before its operands are there");
    claim(right_in(large_product_is_right<0, 0, EARLY_LOAD>) < ALL, "operands overwritten before the product");
    claim(right_in(large_product_is_right<0, 0, OTHER_OPERAND>) == 0, "a thread with another operand than its group");
}

}  // namespace selftest
