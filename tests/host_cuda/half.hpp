// half.hpp -- the conversions of kernels/half.cuh that are instructions on a card.
#pragma once
#include "cuda.hpp"

inline uint16_t to_half(float x) {
    const _Float16 half = _Float16(x);
    uint16_t bits;
    memcpy(&bits, &half, sizeof(bits));
    return bits;
}
inline float from_half(uint16_t bits) {
    _Float16 half;
    memcpy(&half, &bits, sizeof(bits));
    return float(half);
}
