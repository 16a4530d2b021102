// cuda.hpp -- CUDA C++ as seen by kernels/*.cu, in terms of C++20. Included before the kernel's file.
//
// Only what some kernel uses is here; a name that is missing is a compile error, and is added then.
#pragma once
#include "block.hpp"

#include <cmath>
#include <cstring>
#include <type_traits>

#define HOST_CUDA 1
#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __shared__ HOST_CUDA_SHARED


#define threadIdx (host_cuda::worker->thread->index)
#define blockIdx (host_cuda::worker->block_index)
#define blockDim (host_cuda::worker->launch->block)
#define gridDim (host_cuda::worker->launch->grid)

#define HOST_CUDA_VECTOR(T, name)                                                                          \
    struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                     \
    struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) name##4 { T x, y, z, w; };                     \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                             \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
HOST_CUDA_VECTOR(float, float)
HOST_CUDA_VECTOR(double, double)
HOST_CUDA_VECTOR(int, int)
HOST_CUDA_VECTOR(unsigned, uint)
HOST_CUDA_VECTOR(unsigned short, ushort)
HOST_CUDA_VECTOR(unsigned char, uchar)

namespace host_cuda {

template <class T>
uint64_t to_bits(T value) {
    static_assert(sizeof(T) <= 8);
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    return bits;
}
template <class T>
T from_bits(uint64_t bits) {
    T value;
    memcpy(&value, &bits, sizeof(T));
    return value;
}

// Replaces *at by change(*at), as one step to everybody.
template <class T, class F>
T atomically(T* at, F change) {
    T old, wanted;
    __atomic_load(at, &old, __ATOMIC_RELAXED);
    do wanted = change(old);
    while (!__atomic_compare_exchange(at, &old, &wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return old;
}

}  // namespace host_cuda

// ---- programmatic dependent launch: each kernel runs to its end before the next one begins ----------------------------
inline void grid_dependency_wait() { host_cuda::worker->thread->waited = true; }
inline void grid_launch_dependents() {}

// ---- barriers and warps ---------------------------------------------------------------------------------------------
#define HOST_CUDA_HERE host_cuda::Site site = host_cuda::Site::current()

inline void __syncthreads(HOST_CUDA_HERE) { host_cuda::worker->sync(0, host_cuda::EVERYBODY, site); }
inline void __syncwarp(unsigned mask = ~0u, HOST_CUDA_HERE) { host_cuda::worker->exchange(mask, {0}, site); }

template <class T>
__forceinline__ T __shfl_sync(unsigned mask, T value, int from, int width = 32, HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(mask, {host_cuda::to_bits(value)}, site);
    const int segment = int(host_cuda::lane()) & ~(width - 1);
    return host_cuda::from_bits<T>(lanes[segment + (from & (width - 1))]);
}
template <class T>
__forceinline__ T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(mask, {host_cuda::to_bits(value)}, site);
    const unsigned lane = host_cuda::lane();
    return lane % width + by < unsigned(width) ? host_cuda::from_bits<T>(lanes[lane + by]) : value;
}
template <class T>
__forceinline__ T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(mask, {host_cuda::to_bits(value)}, site);
    const unsigned lane = host_cuda::lane();
    return lane % width >= by ? host_cuda::from_bits<T>(lanes[lane - by]) : value;
}
template <class T>
__forceinline__ T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32, HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(mask, {host_cuda::to_bits(value)}, site);
    const unsigned lane = host_cuda::lane(), from = lane ^ unsigned(by);
    return from / width <= lane / width ? host_cuda::from_bits<T>(lanes[from]) : value;
}
inline unsigned __ballot_sync(unsigned mask, int predicate, HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(mask, {predicate != 0}, site);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (lanes.partners >> lane & 1) votes |= unsigned(lanes[lane]) << lane;
    return votes;
}
inline int __any_sync(unsigned mask, int predicate, HOST_CUDA_HERE) {
    return __ballot_sync(mask, predicate, site) != 0;
}
inline int __all_sync(unsigned mask, int predicate, HOST_CUDA_HERE) {
    return __ballot_sync(mask, !predicate, site) == 0;
}
template <class T>
unsigned __match_any_sync(unsigned mask, T value, HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(mask, {host_cuda::to_bits(value)}, site);
    unsigned equal = 0;
    for (unsigned lane = 0; lane < 32; ++lane)
        if (lanes.partners >> lane & 1 && lanes[lane] == host_cuda::to_bits(value)) equal |= 1u << lane;
    return equal;
}
#define HOST_CUDA_REDUCE(name, combine)                                                                    \
    inline unsigned name(unsigned mask, unsigned value, HOST_CUDA_HERE) {                                  \
        const auto lanes = host_cuda::worker->exchange(mask, {value}, site);                                 \
        for (unsigned lane = 0; lane < 32; ++lane)                                                         \
            if (lanes.partners >> lane & 1 && lane != host_cuda::lane()) {                                 \
                const auto other = unsigned(lanes[lane]);                                                  \
                value = combine;                                                                           \
            }                                                                                              \
        return value;                                                                                      \
    }
HOST_CUDA_REDUCE(__reduce_add_sync, value + other)
HOST_CUDA_REDUCE(__reduce_min_sync, other < value ? other : value)
HOST_CUDA_REDUCE(__reduce_max_sync, other > value ? other : value)
HOST_CUDA_REDUCE(__reduce_or_sync, value | other)
HOST_CUDA_REDUCE(__reduce_and_sync, value & other)

// ---- memory ---------------------------------------------------------------------------------------------------------
#define HOST_CUDA_ATOMIC(name, changed)                                                                    \
    template <class T>                                                                                     \
    T name(T* at, std::type_identity_t<T> value) {                                                         \
        return host_cuda::atomically(at, [=](T old) { return T(changed); });                               \
    }
HOST_CUDA_ATOMIC(atomicAdd, old + value)
HOST_CUDA_ATOMIC(atomicSub, old - value)
HOST_CUDA_ATOMIC(atomicMin, value < old ? value : old)
HOST_CUDA_ATOMIC(atomicMax, old < value ? value : old)
HOST_CUDA_ATOMIC(atomicAnd, old & value)
HOST_CUDA_ATOMIC(atomicOr, old | value)
HOST_CUDA_ATOMIC(atomicXor, old ^ value)
HOST_CUDA_ATOMIC(atomicExch, value)
template <class T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
    return host_cuda::atomically(at, [=](T old) { return old == expected ? value : old; });
}
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}
template <class T>
T __ldg(const T* at) {
    return *at;
}
template <class T>
T __ldcs(const T* at) {
    return *at;
}
template <class T>
void __stcs(T* at, std::type_identity_t<T> value) {
    *at = value;
}
[[noreturn]] inline void __trap() { host_cuda::worker->fail("__trap()"); }

// ---- numbers --------------------------------------------------------------------------------------------------------
inline int __popc(unsigned v) { return __builtin_popcount(v); }
inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
inline int __clz(int v) { return v ? __builtin_clz(unsigned(v)) : 32; }
inline int __clzll(long long v) { return v ? __builtin_clzll((unsigned long long)v) : 64; }
inline int __ffs(int v) { return __builtin_ffs(v); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t(a) * b >> 32); }
inline int __float_as_int(float v) { return host_cuda::from_bits<int>(host_cuda::to_bits(v)); }
inline unsigned __float_as_uint(float v) { return host_cuda::from_bits<unsigned>(host_cuda::to_bits(v)); }
inline float __int_as_float(int v) { return host_cuda::from_bits<float>(host_cuda::to_bits(v)); }
inline float __uint_as_float(unsigned v) { return host_cuda::from_bits<float>(host_cuda::to_bits(v)); }
inline long long __double_as_longlong(double v) { return host_cuda::from_bits<long long>(host_cuda::to_bits(v)); }
inline double __longlong_as_double(long long v) { return host_cuda::from_bits<double>(host_cuda::to_bits(v)); }
inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline double rsqrt(double v) { return 1.0 / std::sqrt(v); }
// As the overloads of CUDA: of a number and a NaN, the number.
template <class A, class B>
auto min(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmin(T(a), T(b));
    else return T(b) < T(a) ? T(b) : T(a);
}
template <class A, class B>
auto max(A a, B b) {
    using T = std::common_type_t<A, B>;
    if constexpr (std::is_floating_point_v<T>) return std::fmax(T(a), T(b));
    else return T(a) < T(b) ? T(b) : T(a);
}

// ---- registration, by the file that scripts/host-cuda makes for each kernel file ------------------------------------
namespace host_cuda {

template <auto entry>
struct Entry;
template <class Args, void (*entry)(Args)>
struct Entry<entry> {
    static void call(const void* args) { entry(*static_cast<const Args*>(args)); }
    static Kernel named(const char* file, const char* name, unsigned most_threads) {
        return {file, name, call, sizeof(Args), most_threads};
    }
};
struct Registered {
    explicit Registered(const Kernel& kernel) { kernels().push_back(kernel); }
};
// Of the arguments of __launch_bounds__.
constexpr unsigned launch_bounds(unsigned threads = MOST_THREADS, unsigned = 0, unsigned = 0) { return threads; }

}  // namespace host_cuda

#define HOST_CUDA_KERNEL(file, name, ...)                                                                  \
    static const host_cuda::Registered registered_##name(                                                  \
        host_cuda::Entry<&name>::named(file, #name, host_cuda::launch_bounds(__VA_ARGS__)))
