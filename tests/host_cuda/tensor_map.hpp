// tensor_map.hpp -- what the stand-in driver writes into a CUtensorMap, and the copy model reads from it.
#pragma once
#include <cstdint>

namespace host_cuda {

// A matrix or a stack of matrices of `element` bytes, innermost dimension first; box: what one copy brings.
struct TensorMapContents {
    const uint8_t* base;
    uint64_t size[3], stride[3];   // elements; bytes
    uint32_t box[3];
    uint32_t element, swizzle;     // bytes; 32, 64 or 128, or 0 for none
};
static_assert(sizeof(TensorMapContents) <= 128);

// Where a swizzle puts the byte at shared address `at`: bits from 4 are xor-ed with those from 7.
inline uint32_t swizzled(uint32_t at, uint32_t span) {
    return span ? at ^ (at >> 7 & (span / 16 - 1)) << 4 : at;
}

}  // namespace host_cuda
