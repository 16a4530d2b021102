// tiles.cuh -- where the tensor-core products keep tiles of their operands in shared memory, and where they read them.
//
// A tile is 128 lines of an operand -- rows of out for a, columns of out for b -- by some of the contraction. Memory
// has it K-major (a line is contiguous) or MN-major (each k is contiguous over the lines), and shared memory keeps
// that: what multiplies reads either. tests/host_cuda/selftest_tiles.cpp tries every element of these functions.
#pragma once
#include "matmul.cuh"

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

// ---- for wgmma: tiles come by tensor maps, whose rows of 128 bytes are swizzled -------------------------------------

constexpr unsigned WGMMA_DEPTH = 64;   // of the contraction, in a tile

// A tile of an operand of PLANES planes. K-major: [plane][128 lines][64 k], in one copy. MN-major:
// [2 halves of the lines][plane][64 k][64 lines], a copy for each half.
//
// The descriptor of what a product reads, as the PTX manual lays it out: the start in 16 bytes; from bit 16 the leading
// and from bit 32 the stride offset, in 16 bytes; bits 62-63 are 1 for rows of 128 bytes. The swizzle repeats after
// eight rows: the stride offset goes on to the next eight. The leading offset goes on to the next 64 lines of an
// MN-major tile; a K-major tile has no use for it.
template <bool MN, unsigned PLANES>
struct WgmmaTile {
    static constexpr unsigned ROW = 128, BOX_COLUMNS = 64, BOX_ROWS = MN ? WGMMA_DEPTH : TILE;   // a box has all planes
    static constexpr unsigned COPIES = MN ? 2 : 1, COPY = PLANES * BOX_ROWS * ROW, BYTES = COPIES * COPY;
    static constexpr unsigned PLANE = BOX_ROWS * ROW;                     // from a plane to the next, in bytes
    static constexpr unsigned STEP = MN ? 16 * ROW : 32;                  // from 16 of the contraction to the next
    static constexpr unsigned HALF = MN ? COPY : TILE / 2 * ROW;          // from the first 64 lines to the others
    static constexpr unsigned LEADING = MN ? COPY : 16, STRIDE = 8 * ROW;

    // Which box of the operand copy number `copy` brings, for the tile at these.
    static __device__ __forceinline__ constexpr unsigned box_column(unsigned line, unsigned k, unsigned copy) {
        return MN ? line + copy * 64 : k;
    }
    static __device__ __forceinline__ constexpr unsigned box_row(unsigned line, unsigned k) { return MN ? k : line; }

    // The lower half of a descriptor of the tile at this address, or of the other 64 lines in it.
    static __device__ __forceinline__ constexpr uint32_t base(uint32_t address) {
        return (address & 0x3ffff) >> 4 | LEADING >> 4 << 16;   // above: which block of a cluster
    }
    // The descriptor of the 16 of the contraction from 16 `step` on, in a plane.
    static __device__ __forceinline__ constexpr uint64_t descriptor(uint32_t base, unsigned plane, unsigned step) {
        return uint64_t(1) << 62 | uint64_t(STRIDE >> 4) << 32 | (base + ((plane * PLANE + step * STEP) >> 4));
    }
};
