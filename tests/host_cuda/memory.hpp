// memory.hpp -- the device's memory: allocations of the host, with bounds, guard zones and a limit.
#pragma once
#include <cstddef>
#include <cstdint>

namespace host_cuda {

using Address = unsigned long long;

// Filled with NaN bits. 0: it does not fit the limit (HOST_CUDA_MEMORY).
Address allocate(size_t bytes);
// False: there is no allocation that begins there.
bool release(Address at);
// Whether the range lies in one allocation.
bool is_allocated(Address at, size_t bytes);
// False, with a report, if something wrote beside an allocation since the last call.
bool guards_are_intact(const char* after);
size_t free_memory();

// Page-locked memory of the host: copies from and to it really are asynchronous.
void* allocate_pinned(size_t bytes);
bool release_pinned(void* at);
bool is_pinned(const void* at, size_t bytes);

}  // namespace host_cuda
