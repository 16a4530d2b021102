// matmul.cuh -- what the matrix products share: operands, products, arguments.
//
//   FORWARD  z  [rows][outputs] = x W^T        a = x,  b = W        contraction over inputs
//   BELOW    g  [rows][inputs]  = dz W         a = dz, b = W        contraction over outputs
//   WEIGHT   dW [outputs][inputs] = dz^T x     a = dz, b = x        contraction over rows, in splits
//
// Nothing is ever transposed in memory: where the contraction runs along rows of an operand, its tiles are read
// transposed. src/backend/cuda/matmul.rs fills these structs, field for field.
#pragma once
#include "input.cuh"

// A row-major matrix: `planes` of 16-bit values whose sum times *inv_scale it is, or f32 where planes is 0.
struct Operand {
    const void* data;
    const float* inv_scale;   // null: 1
    uint64_t plane_stride;    // elements from a plane to the next, a multiple of 8
    unsigned pitch;           // elements from a row to the next; for planes a multiple of 8
    unsigned planes;
};

enum Product : unsigned { FORWARD, BELOW, WEIGHT };

constexpr unsigned TILE = 128;   // rows and columns of out that one block makes

// out[split][m][ldo]; every split but WEIGHT's is the only one. The epilogue of the product is applied. Split s
// contracts over k_per_split s .. min(k, k_per_split (s + 1)); k_per_split is a multiple of 64, and no split is empty.
struct Matmul {
    Operand a, b;
    float* out;
    unsigned m, n, k, ldo;
    unsigned splits, k_per_split;
    const float* bias;        // FORWARD: [n] or null
    // Of the rows of each tile, [ceil(m / TILE)][n], or null. FORWARD: mean of the tile's column and sum of squared
    // deviations from it. BELOW: sum of g and sum of g x-hat.
    double *first, *second;
    Input input;              // BELOW: of the layer below; its f'(h) and dropout multiply g
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
