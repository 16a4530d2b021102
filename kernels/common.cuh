// common.cuh -- what every kernel shares: integer names, the warp, sums in a fixed order.
//
// No kernel is defined here. Kernels are compiled with --fmad=false: where a fused multiply-add is wanted it is
// written (fmaf), so that everything else rounds as on the CPU.
#pragma once
#include <stdint.h>

constexpr unsigned WARP = 32;
constexpr unsigned FULL_WARP = 0xffffffffu;

__device__ __forceinline__ float real_nan() { return __uint_as_float(0x7fc00000u); }

// The sum over a warp's lanes, in every lane. The butterfly visits lanes in the same order each time, so equal inputs
// give equal bits.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
    for (unsigned step = WARP / 2; step > 0; step /= 2) v += __shfl_xor_sync(FULL_WARP, v, step);
    return v;
}
