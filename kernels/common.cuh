// common.cuh -- what every kernel shares: integer names, its beginning, the warp, sums in a fixed order.
//
// No kernel is defined here. Kernels are compiled with --fmad=false: where a fused multiply-add is wanted it is
// written (fmaf), so that everything else rounds as on the CPU.
#pragma once
#include <stdint.h>

constexpr unsigned WARP = 32;
constexpr unsigned FULL_WARP = 0xffffffffu;

// ---- programmatic dependent launch: from sm_90 on a kernel may begin while the one before it is still at work --------
#ifndef HOST_CUDA
__device__ __forceinline__ void grid_dependency_wait() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}
__device__ __forceinline__ void grid_launch_dependents() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}
#endif

// What every thread of every kernel does before it touches memory of the card. Then the kernel before it is done, and so
// is what came before that, which did the same, and what they wrote is to be seen. Only now may the next one begin in
// what room there is: no more than two are ever there.
__device__ __forceinline__ void wait_for_last_kernel() {
    grid_dependency_wait();
    grid_launch_dependents();
}

__device__ __forceinline__ float real_nan() { return __uint_as_float(0x7fc00000u); }

// The sum over a warp's lanes, in every lane. The butterfly visits lanes in the same order each time, so equal inputs
// give equal bits.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
    for (unsigned step = WARP / 2; step > 0; step /= 2) v += __shfl_xor_sync(FULL_WARP, v, step);
    return v;
}
