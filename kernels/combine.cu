// combine.cu -- joins what the tiles and splits of a matrix product left, in their order.
//
//   combine_moments     mean and biased variance of a column, from the mean of each tile of it and the sum of squared
//                       deviations from that: mean = sum n_i mean_i / n,
//                       var = sum (squares_i + n_i (mean_i - mean)^2) / n, in f64
//   combine_gradients   what a backward pass of a layer leaves, at once: the sums in f64 over the tiles of the gradient
//                       of its bias, and of those of the norm below it; dW = sum over splits of partial
//
// Shapes    first, second [parts][columns], a part being 128 rows of `rows`; their outputs [columns]; partial
//           [splits][len]; out [len]
// Aliasing  outputs may not overlap anything
// Launch    256 threads for 8 columns; then, where there are splits, for 256 of len
// Domain    rows, splits >= 1; columns >= 1 of moments; columns or len 0: none of that
// Repeats   the same bits everywhere: 32 threads a column take every 32nd part each, in order, and are joined pairwise
// Cost      reads 8 or 16 bytes a part and column, for moments twice, the second time from the cache; 4 a split and
//           element: bound by latency or memory
// Rust      src/backend/cuda/combine.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "matmul.cuh"

constexpr unsigned COLUMNS = 8, SHARES = 32;

struct Combine {
    const double *first, *second;   // second null: one quantity
    float *first_out, *second_out;
    unsigned rows, columns;
};

struct CombineSplits {
    const float* partial;
    float* out;
    uint64_t len;
    unsigned splits, unused;
};

struct CombineGradients {
    Combine bias, below;
    CombineSplits weight;
};

// The column of a thread, and its share of what there is of it.
struct Share {
    unsigned column, number, parts;

    __device__ __forceinline__ Share(const Combine& a, unsigned block)
        : column(block * COLUMNS + threadIdx.x % COLUMNS), number(threadIdx.x / COLUMNS),
          parts(column < a.columns ? (a.rows + TILE - 1) / TILE : 0) {}

    // The sum over its parts of term(index in [parts][columns], rows of the part).
    template <class Term>
    __device__ __forceinline__ double sum(const Combine& a, const Term& term) const {
        constexpr unsigned AT_ONCE = 8;   // are asked of memory together
        double sum = 0.0;
        for (unsigned first = number; first < parts; first += AT_ONCE * SHARES) {
            double v[AT_ONCE];
#pragma unroll
            for (unsigned i = 0; i < AT_ONCE; ++i) {
                const unsigned part = first + i * SHARES;
                v[i] = part < parts ? term(size_t(part) * a.columns + column, double(min(TILE, a.rows - part * TILE)))
                                    : 0.0;
            }
#pragma unroll
            for (unsigned i = 0; i < AT_ONCE; ++i) sum += v[i];
        }
        return sum;
    }
};

// The sum over the shares of each column, in all of its threads.
__device__ __forceinline__ double join(double v, const Share& share) {
    __shared__ double of[SHARES][COLUMNS];
    __syncthreads();   // nobody reads the last call's any more
    of[share.number][threadIdx.x % COLUMNS] = v;
    for (unsigned half = SHARES / 2; half > 0; half /= 2) {
        __syncthreads();
        if (share.number < half) of[share.number][threadIdx.x % COLUMNS] += of[share.number + half][threadIdx.x % COLUMNS];
    }
    __syncthreads();
    return of[0][threadIdx.x % COLUMNS];
}

extern "C" __global__ void __launch_bounds__(256) combine_moments(const __grid_constant__ Combine a) {
    wait_for_last_kernel();
    const Share share(a, blockIdx.x);
    const double rows = a.rows;
    const double mean = join(share.sum(a, [&](size_t at, double n) { return n * a.first[at]; }), share) / rows;
    const double squares = join(share.sum(a, [&](size_t at, double n) {
        const double off = a.first[at] - mean;
        return a.second[at] + n * off * off;
    }), share);
    if (share.number != 0 || share.parts == 0) return;
    a.first_out[share.column] = float(mean);
    a.second_out[share.column] = float(squares / rows);
}

__device__ __forceinline__ void combine_sums(const Combine& a, unsigned block) {
    const Share share(a, block);
    const double first = join(share.sum(a, [&](size_t at, double) { return a.first[at]; }), share);
    double second = 0.0;
    if (a.second) second = join(share.sum(a, [&](size_t at, double) { return a.second[at]; }), share);
    if (share.number != 0 || share.parts == 0) return;
    a.first_out[share.column] = float(first);
    if (a.second) a.second_out[share.column] = float(second);
}

__device__ __forceinline__ void combine_splits(const CombineSplits& a, unsigned block) {
    const size_t i = size_t(block) * 256 + threadIdx.x;
    if (i >= a.len) return;
    constexpr unsigned AT_ONCE = 16;
    float sum = 0.0f;
    for (unsigned first = 0; first < a.splits; first += AT_ONCE) {
        float v[AT_ONCE];
#pragma unroll
        for (unsigned s = 0; s < AT_ONCE; ++s)
            v[s] = first + s < a.splits ? a.partial[(first + s) * a.len + i] : 0.0f;
#pragma unroll
        for (unsigned s = 0; s < AT_ONCE; ++s) sum += v[s];
    }
    a.out[i] = sum;
}

extern "C" __global__ void __launch_bounds__(256) combine_gradients(const __grid_constant__ CombineGradients a) {
    wait_for_last_kernel();
    const unsigned of_bias = (a.bias.columns + COLUMNS - 1) / COLUMNS;
    const unsigned of_sums = of_bias + (a.below.columns + COLUMNS - 1) / COLUMNS;
    if (blockIdx.x < of_bias) combine_sums(a.bias, blockIdx.x);
    else if (blockIdx.x < of_sums) combine_sums(a.below, blockIdx.x - of_bias);
    else combine_splits(a.weight, blockIdx.x - of_sums);
}
