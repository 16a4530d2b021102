// driver.cpp -- a stand-in for libcuda.so.1: the calls that src/backend/cuda makes, as strict as the driver's manual.
//
// Streams do their work at once, or (HOST_CUDA_ASYNC=stream) not before something waits for them.
#include "block.hpp"
#include "memory.hpp"

#include <cstdio>
#include <cstring>

using namespace host_cuda;

namespace {

// As in cuda.h.
enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
};
enum Attribute {
    MAX_THREADS_PER_BLOCK = 1,
    WARP_SIZE = 10,
    MULTIPROCESSORS = 16,
    CAPABILITY_MAJOR = 75,
    CAPABILITY_MINOR = 76,
    MAX_SHARED_PER_BLOCK_OPTIN = 97,
};
constexpr int MAX_DYNAMIC_SHARED = 8;          // a function's attribute
constexpr unsigned PLAIN_SHARED = 48 * 1024;   // more must be asked for

struct Function {
    const Kernel* kernel;
    unsigned most_shared = PLAIN_SHARED;
};

bool initialised = false;
char primary_context, only_stream, only_module;
thread_local void* current_context = nullptr;   // a thread has to bind one

Result bounded(Address at, size_t bytes) { return is_allocated(at, bytes) ? SUCCESS : INVALID_VALUE; }

}  // namespace

#define NEEDS_CONTEXT \
    if (!current_context) return INVALID_CONTEXT

extern "C" {

Result cuInit(unsigned) {
    initialised = options.device;
    return initialised ? SUCCESS : NO_DEVICE;
}
Result cuDriverGetVersion(int* version) {
    *version = options.driver;
    return SUCCESS;
}
Result cuDeviceGetCount(int* count) {
    *count = 1;
    return initialised ? SUCCESS : NOT_INITIALIZED;
}
Result cuDeviceGet(int* device, int ordinal) {
    *device = 0;
    return ordinal == 0 ? SUCCESS : INVALID_DEVICE;
}
Result cuDeviceGetName(char* name, int bytes, int) {
    snprintf(name, size_t(bytes), "host CPU standing in for a GPU");
    return SUCCESS;
}
Result cuDeviceTotalMem_v2(size_t* bytes, int) {
    *bytes = options.memory;
    return SUCCESS;
}
Result cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
    case MAX_THREADS_PER_BLOCK: *value = MOST_THREADS; return SUCCESS;
    case WARP_SIZE: *value = WARP; return SUCCESS;
    case MULTIPROCESSORS: *value = 4; return SUCCESS;   // few, so that grid-stride loops go round
    case CAPABILITY_MAJOR: *value = options.capability / 10; return SUCCESS;
    case CAPABILITY_MINOR: *value = options.capability % 10; return SUCCESS;
    case MAX_SHARED_PER_BLOCK_OPTIN: *value = MOST_SHARED; return SUCCESS;
    default: *value = 0; return INVALID_VALUE;
    }
}

Result cuDevicePrimaryCtxRetain(void** context, int) {
    *context = &primary_context;
    return SUCCESS;
}
Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
Result cuCtxGetCurrent(void** context) {
    *context = current_context;
    return SUCCESS;
}
Result cuCtxSetCurrent(void* context) {
    current_context = context;
    return SUCCESS;
}
Result cuCtxSynchronize() {
    NEEDS_CONTEXT;
    return SUCCESS;
}
Result cuStreamCreate(void** stream, unsigned) {
    NEEDS_CONTEXT;
    *stream = &only_stream;
    return SUCCESS;
}
Result cuStreamDestroy_v2(void*) { return SUCCESS; }
Result cuStreamSynchronize(void*) {
    NEEDS_CONTEXT;
    return SUCCESS;
}

Result cuMemAlloc_v2(Address* at, size_t bytes) {
    NEEDS_CONTEXT;
    if (bytes == 0) return INVALID_VALUE;
    *at = allocate(bytes);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemFree_v2(Address at) {
    NEEDS_CONTEXT;
    return release(at) ? SUCCESS : INVALID_VALUE;
}
Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    NEEDS_CONTEXT;
    *free = free_memory();
    *total = options.memory;
    return SUCCESS;
}
Result cuMemsetD8Async(Address at, unsigned char value, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (const Result bad = bounded(at, bytes)) return bad;
    memset(reinterpret_cast<void*>(at), value, bytes);
    return SUCCESS;
}
Result cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (const Result bad = bounded(to, bytes)) return bad;
    memcpy(reinterpret_cast<void*>(to), from, bytes);
    return SUCCESS;
}
Result cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (const Result bad = bounded(from, bytes)) return bad;
    memcpy(to, reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
}
Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (bounded(from, bytes) || bounded(to, bytes)) return INVALID_VALUE;
    memmove(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
    return SUCCESS;
}

Result cuModuleLoadData(void** module, const void*) {
    NEEDS_CONTEXT;
    *module = &only_module;
    return SUCCESS;
}
Result cuModuleGetFunction(void** function, void*, const char* name) {
    for (const Kernel& kernel : kernels())
        if (!strcmp(kernel.name, name)) {
            *function = new Function{&kernel};   // lives as long as its module, which is never unloaded
            return SUCCESS;
        }
    return NOT_FOUND;
}
Result cuFuncSetAttribute(void* function, int attribute, int value) {
    if (attribute != MAX_DYNAMIC_SHARED || value < 0 || unsigned(value) > MOST_SHARED) return INVALID_VALUE;
    static_cast<Function*>(function)->most_shared = unsigned(value);
    return SUCCESS;
}
Result cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned shared, void*, void** params, void**) {
    NEEDS_CONTEXT;
    const auto& f = *static_cast<const Function*>(function);
    const Launch launch{f.kernel, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared, params[0]};
    const bool fits = launch.grid.count() > 0 && grid_y <= 65535 && grid_z <= 65535 && launch.block.count() > 0 &&
                      launch.block.count() <= f.kernel->most_threads && shared <= f.most_shared;
    if (!fits) return INVALID_VALUE;
    return run(launch) && guards_are_intact(f.kernel->name) ? SUCCESS : LAUNCH_FAILED;
}

Result cuGetErrorName(Result error, const char** name) {
    switch (error) {
    case SUCCESS: *name = "CUDA_SUCCESS"; break;
    case INVALID_VALUE: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case OUT_OF_MEMORY: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case NOT_INITIALIZED: *name = "CUDA_ERROR_NOT_INITIALIZED"; break;
    case NO_DEVICE: *name = "CUDA_ERROR_NO_DEVICE"; break;
    case INVALID_DEVICE: *name = "CUDA_ERROR_INVALID_DEVICE"; break;
    case INVALID_CONTEXT: *name = "CUDA_ERROR_INVALID_CONTEXT"; break;
    case NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}
Result cuGetErrorString(Result error, const char** text) { return cuGetErrorName(error, text); }

}  // extern "C"
