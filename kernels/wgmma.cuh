// wgmma.cuh -- the product of a warpgroup: d [64][128] += a [64][16] b [16][128].
//
// d[4j + 2h + e] of thread t is row 16 (t / 32) + t % 32 / 4 + 8 h, column 8 j + t % 4 * 2 + e. Operands are in shared
// memory and given by descriptors (tiles.cuh), or a is in registers: a[2h' + h] has in its half e row
// 16 (t / 32) + t % 32 / 4 + 8 h, column 8 h' + t % 4 * 2 + e. MN is 0 for a K-major operand and 1 for an MN-major one;
// ADD 0 begins a new sum.
#pragma once
#include "hopper.cuh"
#ifndef HOST_CUDA

#define FOUR(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define SIXTEEN(d, i) FOUR(d, i), FOUR(d, i + 4), FOUR(d, i + 8), FOUR(d, i + 12)
#define SUM "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                                   \
            "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                           \
            "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                           \
            "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
#define WGMMA_M64N128K16(name, type)                                                                                 \
    template <int A_MN, int B_MN, int ADD>                                                                           \
    __device__ __forceinline__ void name(float (&d)[64], uint64_t a, uint64_t b) {                                   \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\n"                                                \
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " SUM                            \
                     "%64, %65, add, 1, 1, %67, %68;\n}\n"                                                           \
                     : SIXTEEN(d, 0), SIXTEEN(d, 16), SIXTEEN(d, 32), SIXTEEN(d, 48)                                 \
                     : "l"(a), "l"(b), "n"(ADD), "n"(A_MN), "n"(B_MN));                                              \
    }                                                                                                                \
    template <int B_MN, int ADD>                                                                                     \
    __device__ __forceinline__ void name(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {                       \
        asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\n"                                                \
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " " SUM                            \
                     "{%64, %65, %66, %67}, %68, add, 1, 1, %70;\n}\n"                                               \
                     : SIXTEEN(d, 0), SIXTEEN(d, 16), SIXTEEN(d, 32), SIXTEEN(d, 48)                                 \
                     : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"(ADD), "n"(B_MN));                     \
    }
WGMMA_M64N128K16(wgmma_f16_m64n128k16, "f16")
WGMMA_M64N128K16(wgmma_bf16_m64n128k16, "bf16")
#undef WGMMA_M64N128K16
#undef SUM
#undef SIXTEEN
#undef FOUR
#endif
