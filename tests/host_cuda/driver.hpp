// driver.hpp -- what the parts of the stand-in driver share: results and functions as in cuda.h, queued work.
#pragma once
#include "block.hpp"

namespace host_cuda {

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    NOT_FOUND = 500,
    NOT_READY = 600,
    LAUNCH_FAILED = 719,
};

struct Function {
    const Kernel* kernel;
    unsigned most_shared = 48 * 1024;   // of dynamic shared memory; more must be asked for
};

// A thread has to bind a context before most calls.
extern thread_local void* current_context;

// The work of all streams, in the order of the calls. It is done at once, or (HOST_CUDA_ASYNC=stream) not before
// something waits for it.
using Work = std::function<Result()>;
Result enqueue(Work work);
// Does all that is queued; the first failure.
Result finish_queue();
// Does the first piece, so that asking again and again comes to an end.
void advance_queue();

}  // namespace host_cuda

#define NEEDS_CONTEXT                                                                                      \
    if (!host_cuda::current_context) return host_cuda::INVALID_CONTEXT
