// driver.cpp -- the stand-in for libcuda.so.1, first part: device, context, streams, events, memory, copies.
//
// The calls that src/backend/cuda makes, as strict as the driver's manual; a call that is missing makes cudarc panic
// with its name, and is added then.
#include "driver.hpp"
#include "memory.hpp"

#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <mutex>

using namespace host_cuda;

namespace host_cuda {

thread_local void* current_context = nullptr;

namespace {

std::recursive_mutex queue_mutex;
std::deque<Work> queue;

Result do_first() {
    const Work work = std::move(queue.front());
    queue.pop_front();
    return work();
}

}  // namespace

Result enqueue(Work work) {
    const std::lock_guard lock(queue_mutex);
    if (!options.late_stream) return work();
    queue.push_back(std::move(work));
    return SUCCESS;
}

Result finish_queue() {
    const std::lock_guard lock(queue_mutex);
    Result first = SUCCESS;
    while (!queue.empty())
        if (const Result result = do_first(); first == SUCCESS) first = result;
    return first;
}

void advance_queue() {
    const std::lock_guard lock(queue_mutex);
    if (!queue.empty()) do_first();
}

}  // namespace host_cuda

namespace {

// As in cuda.h.
enum Attribute {
    MAX_THREADS_PER_BLOCK = 1,
    WARP_SIZE = 10,
    MULTIPROCESSORS = 16,
    CAPABILITY_MAJOR = 75,
    CAPABILITY_MINOR = 76,
    MAX_SHARED_PER_BLOCK_OPTIN = 97,
};

struct Event {
    std::chrono::steady_clock::time_point time;
    bool recorded = true;   // what was asked of it last is done
};

bool initialised = false;
char primary_context, stream_handle;

void* pointer(Address at) { return reinterpret_cast<void*>(at); }

}  // namespace

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
    snprintf(name, size_t(bytes), "CPU standing in for a GPU");
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
    case MULTIPROCESSORS: *value = 4; return SUCCESS;   // few, so that persistent blocks go round
    case CAPABILITY_MAJOR: *value = options.capability / 10; return SUCCESS;
    case CAPABILITY_MINOR: *value = options.capability % 10; return SUCCESS;
    case MAX_SHARED_PER_BLOCK_OPTIN: *value = MOST_SHARED; return SUCCESS;
    default: *value = 0; return INVALID_VALUE;
    }
}

Result cuDevicePrimaryCtxRetain(void** context, int) {
    *context = &primary_context;
    return initialised ? SUCCESS : NOT_INITIALIZED;
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
    return finish_queue();
}

Result cuStreamCreate(void** stream, unsigned) {
    NEEDS_CONTEXT;
    *stream = &stream_handle;
    return SUCCESS;
}
Result cuStreamDestroy_v2(void*) { return SUCCESS; }
Result cuStreamSynchronize(void*) {
    NEEDS_CONTEXT;
    return finish_queue();
}
Result cuStreamWaitEvent(void*, void*, unsigned) { return SUCCESS; }   // the queue is in the order of the calls

Result cuEventCreate(void** event, unsigned) {
    NEEDS_CONTEXT;
    *event = new Event;
    return SUCCESS;
}
Result cuEventDestroy_v2(void* event) {
    const Result result = finish_queue();
    delete static_cast<Event*>(event);
    return result;
}
Result cuEventRecord(void* handle, void*) {
    NEEDS_CONTEXT;
    const auto event = static_cast<Event*>(handle);
    event->recorded = false;
    return enqueue([event] {
        event->time = std::chrono::steady_clock::now();
        event->recorded = true;
        return SUCCESS;
    });
}
Result cuEventSynchronize(void*) { return finish_queue(); }
Result cuEventQuery(void* handle) {
    advance_queue();
    return static_cast<Event*>(handle)->recorded ? SUCCESS : NOT_READY;
}
Result cuEventElapsedTime_v2(float* milliseconds, void* from, void* to) {
    const auto first = static_cast<Event*>(from), last = static_cast<Event*>(to);
    if (!first->recorded || !last->recorded) return NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(last->time - first->time).count();
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
    const Result result = finish_queue();
    return release(at) ? result : INVALID_VALUE;
}
Result cuMemGetInfo_v2(size_t* free, size_t* total) {
    NEEDS_CONTEXT;
    *free = free_memory();
    *total = options.memory;
    return SUCCESS;
}
Result cuMemHostAlloc(void** at, size_t bytes, unsigned) {
    NEEDS_CONTEXT;
    *at = allocate_pinned(bytes);
    return *at ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemFreeHost(void* at) {
    NEEDS_CONTEXT;
    const Result result = finish_queue();
    return release_pinned(at) ? result : INVALID_VALUE;
}

Result cuMemsetD8Async(Address at, unsigned char value, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (!is_allocated(at, bytes)) return INVALID_VALUE;
    return enqueue([=] { return memset(pointer(at), value, bytes), SUCCESS; });
}
// From memory that is not page-locked the driver has read everything when it returns.
Result cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (!is_allocated(to, bytes)) return INVALID_VALUE;
    if (!options.late_stream || is_pinned(from, bytes))
        return enqueue([=] { return memcpy(pointer(to), from, bytes), SUCCESS; });
    const auto first = static_cast<const uint8_t*>(from);
    return enqueue([to, copy = std::vector<uint8_t>(first, first + bytes)] {
        return memcpy(pointer(to), copy.data(), copy.size()), SUCCESS;
    });
}
// To memory that is not page-locked the driver has written everything when it returns.
Result cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (!is_allocated(from, bytes)) return INVALID_VALUE;
    const Result result = enqueue([=] { return memcpy(to, pointer(from), bytes), SUCCESS; });
    return is_pinned(to, bytes) ? result : finish_queue();
}
Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, void*) {
    NEEDS_CONTEXT;
    if (!is_allocated(from, bytes) || !is_allocated(to, bytes)) return INVALID_VALUE;
    return enqueue([=] { return memmove(pointer(to), pointer(from), bytes), SUCCESS; });
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
    case INVALID_HANDLE: *name = "CUDA_ERROR_INVALID_HANDLE"; break;
    case NOT_FOUND: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case NOT_READY: *name = "CUDA_ERROR_NOT_READY"; break;
    case LAUNCH_FAILED: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    default: return INVALID_VALUE;
    }
    return SUCCESS;
}
Result cuGetErrorString(Result error, const char** text) { return cuGetErrorName(error, text); }

}  // extern "C"
