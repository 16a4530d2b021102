// philox.cuh -- Philox4x32-10 (Salmon et al., SC 2011): four random words for a 64-bit key and a 128-bit counter.
//
// The twin of src/rng.rs, word for word.
#pragma once
#include "common.cuh"

struct Words { unsigned x[4]; };

__device__ __forceinline__ Words philox(uint64_t key, unsigned c0, unsigned c1, unsigned c2, unsigned c3) {
    unsigned k0 = unsigned(key), k1 = unsigned(key >> 32);
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
        c0 = unsigned(p1 >> 32) ^ c1 ^ k0;
        c1 = unsigned(p1);
        c2 = unsigned(p0 >> 32) ^ c3 ^ k1;
        c3 = unsigned(p0);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}

// (word + 1/2) 2^-32, in (0, 1).
__device__ __forceinline__ double unit(unsigned word) { return (double(word) + 0.5) * (1.0 / 4294967296.0); }
