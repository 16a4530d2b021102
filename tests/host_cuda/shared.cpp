// shared.cpp -- shared memory: what a kernel finds there before it has written it, and what lies behind it.
#include "block.hpp"

#include <cstring>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#include <link.h>
#endif

HOST_CUDA_DYNAMIC_SHARED uint8_t smem[host_cuda::MOST_SHARED] __attribute__((aligned(1024)));

namespace host_cuda {

#if defined(__SANITIZE_ADDRESS__)

// Has the sanitizer refuse what lies behind the dynamic shared memory of this launch.
void Worker::poison_shared() {
    __asan_unpoison_memory_region(smem, launch->shared);
    __asan_poison_memory_region(smem + launch->shared, MOST_SHARED - launch->shared);
}

#else

namespace {

// The calling thread's copy of what this library declares thread_local.
std::pair<uint8_t*, size_t> thread_local_memory() {
    smem[0] = 0;   // the first touch allocates it
    std::pair<uint8_t*, size_t> found{nullptr, 0};
    dl_iterate_phdr(
        [](dl_phdr_info* module, size_t, void* found) {
            const auto begin = static_cast<uint8_t*>(module->dlpi_tls_data);
            for (unsigned i = 0; i < module->dlpi_phnum; ++i) {
                const size_t bytes = module->dlpi_phdr[i].p_memsz;
                if (module->dlpi_phdr[i].p_type != PT_TLS || smem < begin || smem >= begin + bytes) continue;
                *static_cast<std::pair<uint8_t*, size_t>*>(found) = {begin, bytes};
            }
            return 0;
        },
        &found);
    return found;
}

}  // namespace

// Shared memory begins undefined. All of this library's thread-local memory is shared arrays, but for `worker`.
void Worker::poison_shared() {
    const auto [begin, bytes] = thread_local_memory();
    memset(begin, 0xff, bytes);
    worker = this;
}

#endif

}  // namespace host_cuda
