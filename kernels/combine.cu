// combine.cu -- joins what the tiles and splits of a matrix product left, in their order.
//
//   combine_moments   mean and biased variance of a column, from the mean of each tile of it and the sum of squared
//                     deviations from that: Chan, Golub & LeVeque (1979), in f64
//   combine_sums      sums in f64 over the tiles, of one or two quantities
//   combine_splits    out = sum over splits of partial
//
// Shapes    first, second, and the outputs' sources [parts][columns], a part being 128 rows of `rows`; outputs
//           [columns]; partial [splits][len]; out [len]
// Aliasing  outputs may not overlap anything
// Launch    256 threads: for 32 columns (moments, sums), or for 256 elements (splits)
// Domain    rows, columns, splits, len >= 1
// Repeats   the same bits everywhere: eight threads a column take one eighth of the parts each, in order, and are
//           joined in order
// Cost      reads 8 or 16 bytes a part and column, 4 a split and element: bound by latency or memory
// Rust      src/backend/cuda/combine.rs
// Test      tests/linear.rs
// Test      tests/linear_backward.rs
#include "matmul.cuh"

constexpr unsigned COLUMNS = 32, SHARES = 8;

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

// Which column and parts a thread has.
struct Share {
    unsigned column, part, part_end;

    __device__ __forceinline__ explicit Share(const Combine& a) {
        const unsigned parts = (a.rows + TILE - 1) / TILE, each = (parts + SHARES - 1) / SHARES;
        column = blockIdx.x * COLUMNS + threadIdx.x % COLUMNS;
        part = threadIdx.x / COLUMNS * each;
        part_end = column < a.columns ? min(parts, part + each) : 0;
    }
};

struct Moments {
    double count, mean, squares;

    __device__ __forceinline__ void join(const Moments& other) {
        if (other.count == 0.0) return;
        const double share = other.count / (count + other.count), off = other.mean - mean;
        mean += off * share;
        squares += other.squares + off * off * count * share;
        count += other.count;
    }
};

extern "C" __global__ void __launch_bounds__(256) combine_moments(const __grid_constant__ Combine a) {
    __shared__ Moments of_share[SHARES][COLUMNS];
    const Share share(a);
    Moments total = {0.0, 0.0, 0.0};
    for (unsigned part = share.part; part < share.part_end; ++part) {
        const size_t at = size_t(part) * a.columns + share.column;
        total.join({double(min(TILE, a.rows - part * TILE)), a.first[at], a.second[at]});
    }
    of_share[threadIdx.x / COLUMNS][threadIdx.x % COLUMNS] = total;
    __syncthreads();
    if (threadIdx.x >= COLUMNS || share.column >= a.columns) return;
    for (unsigned i = 1; i < SHARES; ++i) total.join(of_share[i][threadIdx.x]);
    a.first_out[share.column] = float(total.mean);
    a.second_out[share.column] = float(total.squares / double(a.rows));
}

extern "C" __global__ void __launch_bounds__(256) combine_sums(const __grid_constant__ Combine a) {
    __shared__ double of_share[SHARES][2][COLUMNS];
    const Share share(a);
    double first = 0.0, second = 0.0;
    for (unsigned part = share.part; part < share.part_end; ++part) {
        const size_t at = size_t(part) * a.columns + share.column;
        first += a.first[at];
        if (a.second) second += a.second[at];
    }
    of_share[threadIdx.x / COLUMNS][0][threadIdx.x % COLUMNS] = first;
    of_share[threadIdx.x / COLUMNS][1][threadIdx.x % COLUMNS] = second;
    __syncthreads();
    if (threadIdx.x >= COLUMNS || share.column >= a.columns) return;
    for (unsigned i = 1; i < SHARES; ++i) {
        first += of_share[i][0][threadIdx.x];
        second += of_share[i][1][threadIdx.x];
    }
    a.first_out[share.column] = float(first);
    if (a.second) a.second_out[share.column] = float(second);
}

extern "C" __global__ void __launch_bounds__(256) combine_splits(const __grid_constant__ CombineSplits a) {
    const size_t i = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (i >= a.len) return;
    float sum = a.partial[i];
    for (unsigned split = 1; split < a.splits; ++split) sum += a.partial[split * a.len + i];
    a.out[i] = sum;
}
