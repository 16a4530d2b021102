// gram.cu -- centred normal equations of the linear perceptron.
//
//   products[i][j] += sum over rows of (x[.][i] - centre[i]) (w[.][j] - centre[j])      w = x | y
//
// Shapes    x [rows][features] in any form; y [rows][targets]; centre [features + targets], f64;
//           products [features][features + targets], f64
// Aliasing  none
// Launch    256 threads for a tile of 32 x 32 products, four each; grid (columns, rows of tiles up to 65535, in strides)
// Domain    rows, features >= 1; targets may be 0
// Repeats   the same bits everywhere: every product takes its rows in order, in f64
// Cost      two f64 operations a row and product, and forms x once for every 32 columns: bound by f64 arithmetic
// Rust      src/backend/cuda/gram.rs
// Test      tests/gram.rs
#include "input.cuh"

constexpr unsigned SIDE = 32;   // products of a tile along either side
constexpr unsigned ROWS = 16;   // rows of x held at a time

struct Gram {
    Input input;
    const float* targets;
    const double* centre;
    double* products;
    uint64_t rows;
    unsigned features, columns;   // columns of targets
};

// Column `column` of x | y of a row, centred; 0 outside.
__device__ __forceinline__ double centred(const Gram& a, size_t row, unsigned column) {
    if (row >= a.rows || column >= a.features + a.columns) return 0.0;
    const float value = column < a.features ? input_at(a.input, row, column, a.features)
                                            : a.targets[row * a.columns + (column - a.features)];
    return double(value) - a.centre[column];
}

extern "C" __global__ void __launch_bounds__(256, 4) gram(const __grid_constant__ Gram a) {
    wait_for_last_kernel();
    __shared__ double left[ROWS][SIDE], right[ROWS][SIDE];
    const unsigned lane = threadIdx.x % SIDE, warp = threadIdx.x / SIDE, width = a.features + a.columns;
    const unsigned j = blockIdx.x * SIDE + lane;
    const unsigned tiles = (a.features + SIDE - 1) / SIDE;
    for (unsigned tile = blockIdx.y; tile < tiles; tile += gridDim.y) {
        double sum[4] = {0.0, 0.0, 0.0, 0.0};
        for (size_t first = 0; first < a.rows; first += ROWS) {
            for (unsigned r = warp; r < ROWS; r += 8) {
                const unsigned i = tile * SIDE + lane;
                left[r][lane] = i < a.features ? centred(a, first + r, i) : 0.0;
                right[r][lane] = centred(a, first + r, j);
            }
            __syncthreads();
            for (unsigned r = 0; r < ROWS; ++r) {
                const double value = right[r][lane];
#pragma unroll
                for (unsigned k = 0; k < 4; ++k) sum[k] = fma(left[r][warp + 8 * k], value, sum[k]);
            }
            __syncthreads();
        }
#pragma unroll
        for (unsigned k = 0; k < 4; ++k) {
            const unsigned i = tile * SIDE + warp + 8 * k;
            if (i < a.features && j < width) a.products[size_t(i) * width + j] += sum[k];
        }
    }
}
