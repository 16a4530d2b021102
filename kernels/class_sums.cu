// class_sums.cu -- class centres, and how close samples lie to them.
//
//   class_sums     sums[k][c] += sum over the rows of class k of x[.][c]
//   class_cosines  cosines[i] = x[i] . centre / (|x[i]| |centre|) with the centre of the row's class; 0 for a zero vector
//
// Shapes    x [rows][features] in any form; class_of [rows]; sums, centres [classes][features], f64; cosines [rows], f64
// Aliasing  none
// Launch    class_sums 256 threads, a feature of a class each, grid (blocks of features, classes up to 65535, in
//           strides); class_cosines 256 threads, a warp a row
// Domain    rows, features, classes >= 1; classes are known (kernels/classes.cu)
// Repeats   class_sums: the same bits everywhere and for any cut of a set into calls, since every sum takes its rows one
//           after the other; class_cosines: run to run
// Cost      class_sums reads x once and the classes once for each class: bound by the latency of a chain of additions;
//           class_cosines reads x once: memory-bound
// Rust      src/backend/cuda/class_sums.rs
// Test      tests/class_sums.rs
#include "input.cuh"

struct ClassSums {
    Input input;
    const uint8_t* class_of;
    double* sums;            // class_cosines: centres
    double* cosines;
    uint64_t rows;
    unsigned features, classes;
};

extern "C" __global__ void __launch_bounds__(256) class_sums(const __grid_constant__ ClassSums a) {
    const unsigned column = blockIdx.x * 256 + threadIdx.x;
    if (column >= a.features) return;
    for (unsigned k = blockIdx.y; k < a.classes; k += gridDim.y) {
        double sum = a.sums[size_t(k) * a.features + column];
        for (size_t row = 0; row < a.rows; ++row)
            if (a.class_of[row] == k) sum += input_at(a.input, row, column, a.features);
        a.sums[size_t(k) * a.features + column] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(256) class_cosines(const __grid_constant__ ClassSums a) {
    const size_t row = size_t(blockIdx.x) * 8 + threadIdx.x / WARP;
    if (row >= a.rows) return;   // uniform over the warp, so shuffles stay whole
    const double* centre = a.sums + size_t(a.class_of[row]) * a.features;
    double product = 0.0, own = 0.0, its = 0.0;
    for (unsigned c = threadIdx.x % WARP; c < a.features; c += WARP) {
        const double x = input_at(a.input, row, c, a.features);
        product += x * centre[c];
        own += x * x;
        its += centre[c] * centre[c];
    }
    const double lengths = sqrt(warp_sum(own)) * sqrt(warp_sum(its));
    product = warp_sum(product);
    if (threadIdx.x % WARP == 0) a.cosines[row] = lengths == 0.0 ? 0.0 : product / lengths;
}
