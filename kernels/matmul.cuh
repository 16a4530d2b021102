// matmul.cuh -- what the matrix products share: operands, products, arguments.
//
//   FORWARD  z  [rows][outputs] = x W^T        a = x,  b = W        contraction over inputs
//   LAYER    the same, and what becomes of z is the operand x of the layer above
//   BELOW    g  [rows][inputs]  = dz W         a = dz, b = W        contraction over outputs
//   WEIGHT   dW [outputs][inputs] = dz^T x     a = dz, b = x        contraction over rows, in splits
//   FLIPPED  the same dW                       a = x,  b = dz       out, [inputs][outputs], is stored transposed
//
// Nothing is ever transposed in memory: where the contraction runs along rows of an operand, its tiles are read
// transposed. src/backend/cuda/matmul.rs fills these structs, field for field.
#pragma once
#include "input.cuh"

// Rows and columns of an operand whose elements share a power of two.
constexpr unsigned BLOCK_ROWS = 128, BLOCK_COLUMNS = 64;

// A row-major matrix: `scale` times f32 where planes is 0, else times the sum of `planes` of 16-bit values, which
// were multiplied by 2^k, block by block.
struct Operand {
    const void* data;
    const int* exponents;     // k, [ceil(rows / BLOCK_ROWS)][blocks_across]; null: 0
    uint64_t plane_stride;    // elements from a plane to the next, a multiple of 8
    unsigned pitch;           // elements from a row to the next; for planes a multiple of 8
    unsigned planes, blocks_across;
    float scale;
};

enum Product : unsigned { FORWARD, LAYER, BELOW, WEIGHT, FLIPPED };

constexpr unsigned TILE = 128;   // rows and columns of out that one block makes

// out[split][m][ldo], of FLIPPED [split][n][ldo]; every split but WEIGHT's and FLIPPED's is the only one. The epilogue of
// the product is applied. Split s contracts over k_per_split s .. min(k, k_per_split (s + 1)); k_per_split is a multiple
// of 64, and no split is empty.
struct Matmul {
    Operand a, b;
    Values out;
    unsigned m, n, k, ldo;
    unsigned splits, k_per_split;
    const float* bias;        // FORWARD, LAYER: [n] or null
    // Of the rows of each tile, [ceil(m / TILE)][n], or null. FORWARD: mean of the tile's column and sum of squared
    // deviations from it. BELOW: sum of g and sum of g x-hat.
    double *first, *second;
    // LAYER: out has planes, and this is k of its blocks, [ceil(m / BLOCK_ROWS)][ceil(n / BLOCK_COLUMNS)], or null.
    int* exponents;
    uint64_t plane_stride;    // from a plane of out to the next; ldo is a multiple of 8
    // LAYER: norm and f of z. BELOW: the layer below; its f'(h) and dropout multiply g. FORWARD, FLIPPED: x, where the
    // product forms it.
    Input input;
};

// Tile number `index` of out, splits included: columns first, so that tiles at work together share rows of a.
struct Tile {
    unsigned m0, n0, split, k_begin, k_end;

    __device__ __forceinline__ Tile(const Matmul& a, unsigned index) {
        const unsigned across = (a.n + TILE - 1) / TILE, down = (a.m + TILE - 1) / TILE;
        n0 = index % across * TILE;
        m0 = index / across % down * TILE;
        split = index / across / down;
        k_begin = split * a.k_per_split;
        k_end = min(a.k, k_begin + a.k_per_split);
    }
};

// k of the block in which 64 lines of an operand from `line` on -- rows of out for a, columns of out for b -- are
// multiplied with 64 of the contraction from `along` on. MN: the contraction runs along the operand's rows. Beyond the
// operand's columns it is that of the last block.
template <bool MN>
__device__ __forceinline__ int block_exponent(const Operand& of, unsigned line, unsigned along) {
    if (!of.exponents) return 0;
    const unsigned row = MN ? along : line, column = MN ? line : along;
    return of.exponents[size_t(row / BLOCK_ROWS) * of.blocks_across + min(column / BLOCK_COLUMNS, of.blocks_across - 1)];
}
