// fiber.hpp -- stacks to switch between: one for each CUDA thread that has begun and not ended.
//
// On x86-64 a switch is a dozen instructions; elsewhere ucontext does it, some ten times slower. AddressSanitizer is
// told of every switch.
#pragma once
#include <cstddef>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace host_cuda {

// A point to come back to, and the stack it lies on. The sanitizer fills in the stack of one not made here.
struct Context {
#if defined(__x86_64__)
    void* stack_pointer = nullptr;
#else
    ucontext_t machine;
#endif
    const void* bottom = nullptr;
    size_t bytes = 0;
    void* shadow = nullptr;
};

#if defined(__x86_64__)
extern "C" void host_cuda_switch(void** save, void* load);
#endif

inline void switch_context(Context& from, Context& to) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&from.shadow, to.bottom, to.bytes);
#endif
#if defined(__x86_64__)
    host_cuda_switch(&from.stack_pointer, to.stack_pointer);
#else
    swapcontext(&from.machine, &to.machine);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(from.shadow, nullptr, nullptr);
#endif
}

// The first thing on a new fiber: `from` is the context that switched to it.
inline void arrived_from([[maybe_unused]] Context& from) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &from.bottom, &from.bytes);
#endif
}

// A stack with `entry`, which never returns, waiting on it.
class Fiber {
public:
    Context context;

    Fiber(void (*entry)(), unsigned number);
    ~Fiber() { munmap(memory, STACK); }
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

private:
    // Only what is touched takes memory.
    static constexpr size_t STACK = 256 * 1024, GUARD = 4096;
    char* memory;
};

}  // namespace host_cuda
