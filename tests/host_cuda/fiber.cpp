// fiber.cpp -- how a stack is made, and the switch itself.
#include "fiber.hpp"

#include <cstdio>
#include <cstdlib>

#if defined(__x86_64__)
// Callee-saved registers go on the stack that is left; the return address is already there. Not `ret`: the processor
// would predict a return to the caller on the stack that is left, and be wrong every time.
__asm__(R"(
    .text
    .globl host_cuda_switch
    .hidden host_cuda_switch
    .type host_cuda_switch, @function
host_cuda_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    pop %rcx
    jmp *%rcx
)");
#endif

namespace host_cuda {

Fiber::Fiber(void (*entry)(), unsigned number) {
    void* mapped = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) {
        perror("host_cuda: a stack for a thread");
        abort();
    }
    memory = static_cast<char*>(mapped);
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(memory, STACK);   // of the frames that an abandoned fiber had there
#endif
    mprotect(memory, GUARD, PROT_NONE);
    // Tops at one distance from each other would all fall into the same few cache lines.
    const size_t stagger = number * 832 % 32768;
    context.bottom = memory + GUARD;
    context.bytes = STACK - GUARD - stagger;
#if defined(__x86_64__)
    auto top = reinterpret_cast<void**>(memory + STACK - stagger);
    *--top = nullptr;   // as after a call: the stack is 16-byte aligned less 8
    *--top = reinterpret_cast<void*>(entry);
    for (int saved = 0; saved < 6; ++saved) *--top = nullptr;
    context.stack_pointer = top;
#else
    getcontext(&context.machine);
    context.machine.uc_stack.ss_sp = memory + GUARD;
    context.machine.uc_stack.ss_size = context.bytes;
    context.machine.uc_link = nullptr;
    makecontext(&context.machine, entry, 0);
#endif
}

}  // namespace host_cuda
