// mma.cuh -- asynchronous copies into shared memory, fragments from there, and products of fragments: sm_80 and later.
//
// One instruction each; tests/host_cuda/mma.hpp has a model of every one.
#pragma once
#include "common.cuh"
#ifdef HOST_CUDA
#include "mma.hpp"
#else

// An address in shared memory as instructions want it.
__device__ __forceinline__ uint32_t smem_u32(const void* at) { return uint32_t(__cvta_generic_to_shared(at)); }

// 16 bytes to shared memory, of which the last 16 - bytes become zero without being read.
__device__ __forceinline__ void cp_async16(uint32_t to, const void* from, uint32_t bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(to), "l"(__cvta_generic_to_global(from)), "r"(bytes) : "memory");
}
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }

// Until all but the newest OPEN groups are there.
template <int OPEN>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;" :: "n"(OPEN) : "memory");
}

// Four 8 x 8 matrices of 16-bit elements; lane 8i + r gives the address of row r of matrix i, and r[i] is the lane's
// part of matrix i: row l/4, columns l%4*2 and the next, or with rows and columns exchanged.
template <bool TRANSPOSED>
__device__ __forceinline__ void ldmatrix4(uint32_t (&r)[4], uint32_t at) {
    if constexpr (TRANSPOSED)
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
    else
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}

// d [16][8] += a [16][16] b [16][8].
#define MMA_M16N8K16(name, type)                                                                                     \
    __device__ __forceinline__ void name(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {          \
        asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 "                                           \
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"                                        \
            : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])                                                         \
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));                                         \
    }
MMA_M16N8K16(mma_f16, "f16")
MMA_M16N8K16(mma_bf16, "bf16")
#undef MMA_M16N8K16
#endif
