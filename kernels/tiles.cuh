// tiles.cuh -- where the tensor-core products keep tiles of their operands in shared memory, and where they read them.
//
// A tile is 128 lines of an operand -- rows of out for a, columns of out for b -- by some of the contraction. Memory
// has it K-major (a line is contiguous) or MN-major (each k is contiguous over the lines), and shared memory keeps
// that: what multiplies reads either. tests/host_cuda/selftest_tiles.cpp tries every element of these functions.
#pragma once
#include "matmul.cuh"


// What 16 bits are.
enum class Number { FP16, BF16 };

// ---- for ldmatrix ---------------------------------------------------------------------------------------------------

constexpr unsigned MMA_DEPTH = 32;                      // of the contraction, in a tile
constexpr unsigned MMA_PLANE = TILE * MMA_DEPTH * 2;    // bytes of a plane of a tile
constexpr unsigned MMA_CHUNKS = MMA_PLANE / 16;

// Eight neighbouring elements of a tile: 16 bytes. K-major tiles have 128 rows of 4 chunks, MN-major ones 32 of 16.
struct Chunk {
    unsigned row, column;   // column: counted in chunks
};

// Neighbours in memory are neighbours in number.
template <bool MN>
__device__ __forceinline__ constexpr Chunk mma_chunk(unsigned number) {
    return MN ? Chunk{number / 16, number % 16} : Chunk{number / 4, number % 4};
}

// Where a chunk is, in bytes. Chunks of a row change places in such a way that the eight rows that ldmatrix reads in
// one go, at one column, lie in different banks.
template <bool MN>
__device__ __forceinline__ constexpr unsigned mma_chunk_at(Chunk c) {
    return MN ? c.row * 256 + (c.column ^ c.row % 8) * 16 : c.row * 64 + (c.column ^ c.row / 2 % 4) * 16;
}

// The address that a lane gives ldmatrix (transposed if MN) for the 16 lines x 16 k of a at these; matrices in the
// order of an A fragment: lines and then k go up by eight.
template <bool MN>
__device__ __forceinline__ constexpr unsigned mma_fragment_a(unsigned line, unsigned k, unsigned lane) {
    return MN ? mma_chunk_at<true>({k + lane % 8 + lane / 16 * 8, line / 8 + lane / 8 % 2})
              : mma_chunk_at<false>({line + lane % 16, k / 8 + lane / 16});
}

// The same of b: 16 lines x 16 k, two B fragments one after the other: k and then lines go up by eight.
template <bool MN>
__device__ __forceinline__ constexpr unsigned mma_fragment_b(unsigned line, unsigned k, unsigned lane) {
    return MN ? mma_chunk_at<true>({k + lane % 16, line / 8 + lane / 16})
              : mma_chunk_at<false>({line + lane % 8 + lane / 16 * 8, k / 8 + lane / 8 % 2});
}
