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
__device__ __forceinline__ uint16_t to_half(float x) {
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
    return bits;
}
__device__ __forceinline__ float from_half(uint16_t bits) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(bits));
    return x;
}
#endif

// To the nearest, ties to even; a NaN stays one.
__device__ __forceinline__ uint16_t to_bfloat(float x) {
    const unsigned bits = __float_as_uint(x);
    return x == x ? uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16) : uint16_t(0x7fc0);
}

__device__ __forceinline__ float power_of_two(int exponent) { return __uint_as_float(unsigned(127 + exponent) << 23); }

// 2^-(a + b): what brings a product of two blocks back. Beyond f32 it is 0 or infinite: the product then is below
// 2^-114, or the largest elements of the blocks would make one of 2^155, and what comes out is not finite.
__device__ __forceinline__ float product_scale(int a, int b) {
    const int half = (a + b) / 2;
    return power_of_two(-half) * power_of_two(half - a - b);
}

// |x| as bits, which are in the order of the numbers; 0 for a NaN or infinity.
__device__ __forceinline__ unsigned finite_magnitude(float x) {
    const unsigned bits = __float_as_uint(x) & 0x7fffffffu;
    return bits < 0x7f800000u ? bits : 0;
}

// The exponent of the power of two that brings magnitudes up to `largest` below 2^15, fp16's range with a bit to
// spare; `largest` as bits. It stops at +-126: a subnormal f32 then is a multiple of 2^-23, which fp16 still has.
__device__ __forceinline__ int plane_exponent(unsigned largest) {
    if (largest == 0) return 0;
    return max(-126, min(126, 14 + 127 - int(largest >> 23)));
}

__device__ __forceinline__ unsigned pack(uint16_t first, uint16_t second) { return first | unsigned(second) << 16; }

// x = high + low but for 2^-22 of x, and for 2^-25. Infinity and NaN are all in the high part.
struct HalfPair {
    uint16_t high, low;

    __device__ __forceinline__ explicit HalfPair(float x) {
        high = to_half(x);
        const float rest = x - from_half(high);
        low = fabsf(rest) <= 65504.0f ? to_half(rest) : uint16_t(0);   // not for a NaN
    }
};
