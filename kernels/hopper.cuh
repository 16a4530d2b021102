// hopper.cuh -- compute capability 9.0 with everything it alone has (sm_90a): barriers in shared memory, copies of
// whole tiles, matrix products of a warpgroup (wgmma.cuh), registers that move between warpgroups.
//
// One instruction each; tests/host_cuda/hopper.hpp has a model of every one. All shared memory here is dynamic.
#pragma once
#include "mma.cuh"

// A tensor map, which only the driver can write: how a tile is found in memory. The twin of CUtensorMap; the driver is
// content with 64 bytes of alignment, CUDA 13 made it 128.
struct alignas(128) TensorMap {
    uint64_t opaque[16];
};

#ifdef HOST_CUDA
#include "hopper.hpp"
#else

// ---- barriers: a phase ends when all arrivals and all bytes that it waits for are there -----------------------------
__device__ __forceinline__ void mbar_init(uint64_t* at, uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(smem_u32(at)), "r"(arrivals) : "memory");
}
// Between mbar_init and the first use by a copy.
__device__ __forceinline__ void mbar_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void mbar_arrive(uint64_t* at) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(smem_u32(at)) : "memory");
}
// Arrives, and announces bytes that copies will bring.
__device__ __forceinline__ void mbar_expect_tx(uint64_t* at, uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(smem_u32(at)), "r"(bytes) : "memory");
}
// Until the phase of this parity is over; the first is 0. Of the phase before the first, 1 is over.
__device__ __forceinline__ void mbar_wait(uint64_t* at, uint32_t parity) {
    asm volatile("{\n.reg .pred over;\n"
                 "again:\nmbarrier.try_wait.parity.shared::cta.b64 over, [%0], %1;\n"
                 "@!over bra again;\n}" :: "r"(smem_u32(at)), "r"(parity) : "memory");
}

// ---- copies of tiles: x counts columns, y rows, z planes; what lies outside is zero ---------------------------------
__device__ __forceinline__ void tma_prefetch(const TensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" :: "l"(map) : "memory");
}
__device__ __forceinline__ void tma_load_3d(void* to, const TensorMap* map, int x, int y, int z, uint64_t* barrier) {
    asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5}], [%2];"
                 :: "r"(smem_u32(to)), "l"(map), "r"(smem_u32(barrier)), "r"(x), "r"(y), "r"(z) : "memory");
}

// ---- products, which go on while the warpgroup does other things ----------------------------------------------------
// Before the first product that reads registers or shared memory written by ordinary instructions.
__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Until all but the newest OPEN groups are done.
template <int OPEN>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(OPEN) : "memory");
}
// The compiler does not know that a product writes its sum later, and reads its operand later: here, it must not carry
// anything of d across, and has to have a.
template <int N>
__device__ __forceinline__ void reg_fence(float (&d)[N]) {
#pragma unroll
    for (int i = 0; i < N; ++i) asm volatile("" : "+f"(d[i]) :: "memory");
}
__device__ __forceinline__ void reg_fence(uint32_t (&a)[4]) {
    asm volatile("" : "+r"(a[0]), "+r"(a[1]), "+r"(a[2]), "+r"(a[3]) :: "memory");
}

// ---- the warpgroup's registers a thread, and barriers of a part of the block ----------------------------------------
template <int REGISTERS>
__device__ __forceinline__ void reg_inc() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" :: "n"(REGISTERS));
}
template <int REGISTERS>
__device__ __forceinline__ void reg_dec() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" :: "n"(REGISTERS));
}
__device__ __forceinline__ void bar_sync(int barrier, int threads) {
    asm volatile("bar.sync %0, %1;" :: "r"(barrier), "r"(threads) : "memory");
}
#endif
