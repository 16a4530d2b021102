// memory.cpp -- allocations by address.
#include "memory.hpp"
#include "block.hpp"

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace host_cuda {
namespace {

constexpr size_t ALIGNMENT = 256, GUARD = 256;
constexpr uint8_t FRESH = 0xff, UNTOUCHED = 0xa5;

std::mutex mutex;
std::map<Address, size_t> device, pinned;
size_t used = 0;

// The guard zones of an allocation: before it, and from its end, which need not be aligned.
uint8_t* before(Address at) { return reinterpret_cast<uint8_t*>(at) - GUARD; }
uint8_t* behind(Address at, size_t bytes) { return reinterpret_cast<uint8_t*>(at) + bytes; }

void set_guards(Address at, size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(before(at), GUARD);
    __asan_poison_memory_region(behind(at, bytes), GUARD);
#else
    memset(before(at), UNTOUCHED, GUARD);
    memset(behind(at, bytes), UNTOUCHED, GUARD);
#endif
}

bool untouched(const uint8_t* zone) {
#if defined(__SANITIZE_ADDRESS__)
    return zone != nullptr;   // the sanitizer has watched it
#else
    return std::all_of(zone, zone + GUARD, [](uint8_t byte) { return byte == UNTOUCHED; });
#endif
}

bool lies_in(const std::map<Address, size_t>& blocks, Address at, size_t bytes) {
    const std::lock_guard lock(mutex);
    auto block = blocks.upper_bound(at);
    return block != blocks.begin() && (--block, at + bytes <= block->first + block->second);
}

}  // namespace

Address allocate(size_t bytes) {
    const std::lock_guard lock(mutex);
    if (bytes > options.memory - used) return 0;
    const size_t whole = (GUARD + bytes + GUARD + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    void* memory = aligned_alloc(ALIGNMENT, whole);
    if (!memory) return 0;
    const Address at = reinterpret_cast<Address>(memory) + GUARD;
    memset(reinterpret_cast<void*>(at), FRESH, bytes);
    set_guards(at, bytes);
    device[at] = bytes;
    used += bytes;
    return at;
}

bool release(Address at) {
    const std::lock_guard lock(mutex);
    const auto block = device.find(at);
    if (block == device.end()) return false;
    used -= block->second;
    memset(reinterpret_cast<void*>(at), FRESH, block->second);
    device.erase(block);
    free(before(at));
    return true;
}

bool is_allocated(Address at, size_t bytes) { return lies_in(device, at, bytes); }

bool guards_are_intact(const char* after) {
    const std::lock_guard lock(mutex);
    for (const auto& [at, bytes] : device) {
        if (untouched(before(at)) && untouched(behind(at, bytes))) continue;
        on_report("host_cuda: kernel " + std::string(after) + " wrote beside an allocation of " +
                  std::to_string(bytes) + " bytes\n");
        set_guards(at, bytes);
        return false;
    }
    return true;
}

size_t free_memory() {
    const std::lock_guard lock(mutex);
    return options.memory - used;
}

void* allocate_pinned(size_t bytes) {
    void* memory = malloc(bytes);
    const std::lock_guard lock(mutex);
    if (memory) pinned[reinterpret_cast<Address>(memory)] = bytes;
    return memory;
}

bool release_pinned(void* at) {
    const std::lock_guard lock(mutex);
    if (!pinned.erase(reinterpret_cast<Address>(at))) return false;
    free(at);
    return true;
}

bool is_pinned(const void* at, size_t bytes) { return lies_in(pinned, reinterpret_cast<Address>(at), bytes); }

}  // namespace host_cuda
