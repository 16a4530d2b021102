// class_sums.cu -- class centres, and how close samples lie to them.
//
//   class_sums     sums[k][c] += sum over the rows of class k of x[.][c]
//   class_cosines  cosines[i] = x[i] . centre / (|x[i]| |centre|) with the centre of the row's class; 0 for a zero vector
//
// Shapes    x [rows][features] in any form; class_of [rows]; sums, centres [classes][features], f64; cosines [rows], f64
// Aliasing  none
// Launch    class_sums 256 threads for 32 features of a class, grid (blocks of features, classes up to 65535, in
//           strides); class_cosines 256 threads, a warp a row
// Domain    rows, features, classes >= 1; classes are known (kernels/classes.cu)
// Repeats   class_sums: the same bits everywhere and for any cut of a set into calls, since every sum takes its rows one
//           after the other; class_cosines: run to run
// Cost      both read x once; class_sums also the classes, once for each class and 32 features. class_sums is bound by
//           latency: rows are formed 64 at a time by all threads, and added by one warp
// Rust      src/backend/cuda/class_sums.rs
// Test      tests/class_sums.rs
#include "input.cuh"

constexpr unsigned THREADS = 256, COLUMNS = 32;
constexpr unsigned STAGED = 64;   // rows formed at a time

struct ClassSums {
    Input input;
    const uint8_t* class_of;
    double* sums;            // class_cosines: centres
    double* cosines;
    uint64_t rows;
    unsigned features, classes;
};

// Puts the rows of class k among the THREADS from `first` on into `members`, in order; how many, in every thread.
__device__ __forceinline__ unsigned gather(const ClassSums& a, size_t first, unsigned k, unsigned* members) {
    __shared__ unsigned of_warp[THREADS / WARP];
    const size_t row = first + threadIdx.x;
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const bool belongs = row < a.rows && a.class_of[row] == k;
    const unsigned votes = __ballot_sync(FULL_WARP, belongs);
    if (lane == 0) of_warp[warp] = __popc(votes);
    __syncthreads();
    unsigned before = 0, count = 0;
    for (unsigned w = 0; w < THREADS / WARP; ++w) {
        if (w == warp) before = count;
        count += of_warp[w];
    }
    if (belongs) members[before + __popc(votes & ((1u << lane) - 1))] = threadIdx.x;
    __syncthreads();
    return count;
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) class_sums(const __grid_constant__ ClassSums a) {
    wait_for_last_kernel();
    __shared__ unsigned members[THREADS];
    __shared__ float staged[STAGED][COLUMNS];
    const unsigned lane = threadIdx.x % COLUMNS, share = threadIdx.x / COLUMNS;
    const unsigned column = blockIdx.x * COLUMNS + lane;
    const bool adds = share == 0 && column < a.features;
    for (unsigned k = blockIdx.y; k < a.classes; k += gridDim.y) {
        double* to = a.sums + size_t(k) * a.features + column;
        double sum = adds ? *to : 0.0;
        for (size_t first = 0; first < a.rows; first += THREADS) {
            const unsigned count = gather(a, first, k, members);
            for (unsigned start = 0; start < count; start += STAGED) {
                const unsigned end = min(STAGED, count - start);
                if (column < a.features)
                    for (unsigned i = share; i < end; i += THREADS / COLUMNS)
                        staged[i][lane] = input_at(a.input, first + members[start + i], column, a.features);
                __syncthreads();
                if (adds)
                    for (unsigned i = 0; i < end; ++i) sum += staged[i][lane];
                __syncthreads();
            }
        }
        if (adds) *to = sum;
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) class_cosines(const __grid_constant__ ClassSums a) {
    wait_for_last_kernel();
    const size_t row = size_t(blockIdx.x) * (THREADS / WARP) + threadIdx.x / WARP;
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
