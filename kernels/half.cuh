// half.cuh -- 16-bit floating point as bits, and splitting f32 into it.
//
//   fp16     1 + 5 + 10 bits; subnormal below 2^-14, down to 2^-24
//   bf16     1 + 8 + 7 bits: the range of f32
#pragma once
#include "common.cuh"

// What 16 bits are.
enum class Number { FP16, BF16 };
#ifdef HOST_CUDA
#include "half.hpp"
#else
// To the nearest, ties to even; a NaN stays one. Of a pair, the first is in the lower half.
__device__ __forceinline__ unsigned pack_half(float first, float second) {
    unsigned bits;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
}
__device__ __forceinline__ unsigned pack_bfloat(float first, float second) {
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(second), "f"(first));
    return bits;
}
__device__ __forceinline__ float from_half(uint16_t bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
#endif

__device__ __forceinline__ uint16_t to_bfloat(float x) { return uint16_t(pack_bfloat(x, 0.0f)); }

__device__ __forceinline__ float power_of_two(int exponent) { return __uint_as_float(unsigned(127 + exponent) << 23); }

// 2^-(a + b): what brings a product of two blocks back. Beyond f32 it is 0 or infinite: the product then is below
// 2^-114, or the largest elements of the blocks would make one of 2^155, and what comes out is not finite.
__device__ __forceinline__ float product_scale(int a, int b) {
    const int half = (a + b) / 2;
    return power_of_two(-half) * power_of_two(half - a - b);
}

// In the order of finite magnitudes, from 2^24 on; below for an infinity or NaN.
__device__ __forceinline__ unsigned finite_order(float x) { return 2 * __float_as_uint(x) + (1u << 24); }

// The exponent of the power of two that brings magnitudes up to that of order `largest` below 2^15, fp16's range with a
// bit to spare. It stops at +-126: a subnormal f32 then is a multiple of 2^-23, which fp16 still has.
__device__ __forceinline__ int plane_exponent(unsigned largest) {
    if (largest <= 1u << 24) return 0;   // there is nothing, or zeros
    return max(-126, min(126, 14 + 127 + 1 - int(largest >> 24)));
}

// Two x = high + low but for 2^-22 of x, and for 2^-25. Infinity and NaN are all in the high parts.
struct HalfPairs {
    unsigned high, low;

    __device__ __forceinline__ HalfPairs(float first, float second) : high(pack_half(first, second)) {
        low = pack_half(rest(first, uint16_t(high)), rest(second, uint16_t(high >> 16)));
    }
    static __device__ __forceinline__ float rest(float x, uint16_t high) {
        const float rest = x - from_half(high);
        return fabsf(rest) <= 65504.0f ? rest : 0.0f;   // not for a NaN
    }
};
