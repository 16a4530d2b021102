// moments.cu -- mean of each column of a tile of 128 rows of x, and the sum of squared deviations from it.
//
//   first [tile][c] = mean over the tile's rows of x[.][c]      second [tile][c] = sum over them of (x[.][c] - mean)^2
//
// kernels/combine.cu joins the tiles.
//
// Shapes    x [rows][features] in any form; first, second [ceil(rows/128)][features], f64
// Aliasing  outputs may not overlap the input
// Launch    256 threads for 256 columns of a tile, grid (column blocks, tiles up to 65535, in strides)
// Domain    rows, features >= 1
// Repeats   the same bits everywhere: a thread takes a column's rows in order, in f64
// Cost      reads x twice, the second time from the cache: bound by memory
// Rust      src/backend/cuda/moments.rs
// Test      tests/moments.rs
#include "input.cuh"

constexpr unsigned ROWS = 128;

struct TileMoments {
    Input input;
    double *first, *second;
    uint64_t rows;
    unsigned features, tiles;
};

extern "C" __global__ void __launch_bounds__(256) tile_moments(const __grid_constant__ TileMoments a) {
    wait_for_last_kernel();
    const unsigned column = blockIdx.x * 256 + threadIdx.x;
    if (column >= a.features) return;
    for (unsigned tile = blockIdx.y; tile < a.tiles; tile += gridDim.y) {
        const size_t begin = size_t(tile) * ROWS, end = min(begin + ROWS, size_t(a.rows));
        double sum = 0.0, squares = 0.0;
        for (size_t row = begin; row < end; ++row) sum += input_at(a.input, row, column, a.features);
        const double mean = sum / double(end - begin);
        for (size_t row = begin; row < end; ++row) {
            const double off = double(input_at(a.input, row, column, a.features)) - mean;
            squares += off * off;
        }
        a.first[size_t(tile) * a.features + column] = mean;
        a.second[size_t(tile) * a.features + column] = squares;
    }
}
