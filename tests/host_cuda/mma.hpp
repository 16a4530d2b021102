// mma.hpp -- models of cp.async, ldmatrix and mma.sync, the twins of the wrappers in kernels/mma.cuh.
//
// Not yet compared with a chip. The layouts of fragments are those of the PTX manual. A product sums 16 exact
// products and the accumulator in f64 and rounds once, to nearest or (HOST_CUDA_ACCUMULATE=truncate) toward zero;
// what chips do lies between. A copy is made at once, or (HOST_CUDA_ASYNC=copy) when its group is waited for.
#pragma once
#include "half.hpp"

// An address in shared memory, of which only the dynamic part has one here.
inline uint32_t smem_u32(const void* at) {
    const ptrdiff_t offset = static_cast<const uint8_t*>(at) - smem;
    if (offset < 0 || offset >= ptrdiff_t(host_cuda::worker->launch->shared))
        host_cuda::worker->fail("an address outside the dynamic shared memory of this launch");
    return uint32_t(offset);
}

namespace host_cuda {

enum class Half { F16, BF16 };

template <Half half>
float number(uint16_t bits) {
    if constexpr (half == Half::BF16) return from_bits<float>(uint32_t(bits) << 16);
    else return from_half(bits);
}

inline float rounded(double sum) {
    const auto nearest = float(sum);
    const bool away = std::fabs(double(nearest)) > std::fabs(sum);
    return options.truncate && away ? std::nextafter(nearest, 0.0f) : nearest;
}

// The dynamic shared memory from `at`, which has to be aligned to `bytes` and to lie inside.
inline uint8_t* shared_at(uint32_t at, uint32_t bytes) {
    if (at % bytes || at + bytes > worker->launch->shared) worker->fail("a bad address in shared memory");
    return smem + at;
}

// d[2h + e] += sum over k of A[g + 8h][k] B[k][2t + e], for lane 4g + t.
template <Half half>
void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Site site) {
    const auto pair = [](auto low, auto high) { return to_bits(low) | to_bits(high) << 32; };
    const Lanes lanes = worker->exchange(
        ~0u, {pair(a[0], a[1]), pair(a[2], a[3]), pair(b0, b1), pair(d[0], d[1]), pair(d[2], d[3])}, site);
    const auto multiply = [&](float* out) {
        float of_a[16][16], of_b[16][8];
        double sums[16][8];
        for (unsigned lane = 0; lane < WARP; ++lane) {
            const unsigned group = lane / 4, thread = lane % 4;
            const auto element = [&](unsigned word, unsigned index) {
                return number<half>(uint16_t(lanes.word(lane, word) >> 16 * index));
            };
            for (unsigned h = 0; h < 2; ++h)
                for (unsigned e = 0; e < 2; ++e) {
                    for (unsigned upper = 0; upper < 2; ++upper)
                        of_a[group + h * 8][upper * 8 + thread * 2 + e] = element(upper, h * 2 + e);
                    of_b[h * 8 + thread * 2 + e][group] = element(2, h * 2 + e);
                    sums[group + h * 8][thread * 2 + e] = from_bits<float>(lanes.word(lane, 3 + h) >> 32 * e);
                }
        }
        for (unsigned m = 0; m < 16; ++m)
            for (unsigned k = 0; k < 16; ++k)
                for (unsigned n = 0; n < 8; ++n) sums[m][n] += double(of_a[m][k]) * of_b[k][n];
        for (unsigned i = 0; i < 16 * 8; ++i) out[i] = rounded(sums[i / 8][i % 8]);
    };
    const float* product = worker->together(worker->warp(), worker->thread->products++, {}, 16 * 8, multiply);
    const unsigned group = lane() / 4, thread = lane() % 4;
    for (unsigned i = 0; i < 4; ++i) d[i] = product[(group + i / 2 * 8) * 8 + thread * 2 + i % 2];
}

}  // namespace host_cuda

// 16 bytes to shared memory, of which the last 16 - bytes become zero without being read.
inline void cp_async16(uint32_t to, const void* from, uint32_t bytes) {
    uint8_t* at = host_cuda::shared_at(to, 16);
    if (bytes > 16 || uintptr_t(from) % 16) host_cuda::worker->fail("cp.async: a bad source");
    const auto copy = [=] {
        memset(at, 0, 16);
        memcpy(at, from, bytes);
    };
    if (host_cuda::options.late_copies) host_cuda::worker->my(host_cuda::worker->copy_groups).add(copy);
    else copy();
}
inline void cp_async_commit() { host_cuda::worker->my(host_cuda::worker->copy_groups).commit(); }
template <int OPEN>
void cp_async_wait() {
    host_cuda::worker->my(host_cuda::worker->copy_groups).wait(OPEN);
}

// Four 8 x 8 matrices of 16-bit elements; lane 8i + r gives the address of row r of matrix i.
template <bool TRANSPOSED>
void ldmatrix4(uint32_t (&r)[4], uint32_t at, HOST_CUDA_HERE) {
    uint64_t row[2];
    memcpy(row, host_cuda::shared_at(at, 16), 16);
    const auto lanes = host_cuda::worker->exchange(~0u, {row[0], row[1]}, site);
    const unsigned group = host_cuda::lane() / 4, thread = host_cuda::lane() % 4;
    for (unsigned i = 0; i < 4; ++i) {
        r[i] = 0;
        for (unsigned j = 0; j < 2; ++j) {
            const unsigned from = TRANSPOSED ? thread * 2 + j : group, column = TRANSPOSED ? group : thread * 2 + j;
            const auto element = uint16_t(lanes.word(i * 8 + from, column / 4) >> 16 * (column % 4));
            r[i] |= uint32_t(element) << 16 * j;
        }
    }
}

inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, HOST_CUDA_HERE) {
    host_cuda::mma_m16n8k16<host_cuda::Half::F16>(d, a, b0, b1, site);
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, HOST_CUDA_HERE) {
    host_cuda::mma_m16n8k16<host_cuda::Half::BF16>(d, a, b0, b1, site);
}
