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
inline unsigned pack_half(float first, float second) { return to_half(first) | unsigned(to_half(second)) << 16; }
inline unsigned pack_bfloat(float first, float second) {
    const auto bits_of = [](float x) -> unsigned {
        unsigned bits;
        memcpy(&bits, &x, sizeof(bits));
        return x == x ? (bits + 0x7fff + (bits >> 16 & 1)) >> 16 : 0x7fff;
    };
    return bits_of(first) | bits_of(second) << 16;
}
