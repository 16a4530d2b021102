// loss.cu -- loss of each row of logits, and its gradient.
//
//   cross-entropy   loss = log(s) - (z[y] - m)      grad[c] = (exp(z[c] - m)/s - (c == y))/rows
//                   m = max_c z[c]                  s = sum_c exp(z[c] - m)
//   squared error   loss = mean_c (z[c] - (c == y))^2      grad[c] = 2 (z[c] - (c == y))/(rows classes)
//
// Shapes    logits, grad [rows][classes]; row_loss [rows], f64; grad null: none
// Aliasing  none
// Launch    blocks of 256 threads, grid ceil(rows/8): a warp owns a row
// Domain    rows, classes >= 1; a label that is no class gives NaN in the row's loss and gradient
// Repeats   run to run, bit for bit: lanes take every 32nd class, a butterfly joins them
// Cost      reads the row from memory once (later passes hit the cache), writes 4 bytes a logit: memory-bound
// Rust      src/backend/cuda/loss.rs
// Test      tests/loss.rs
#include "input.cuh"

struct Loss {
    const float* logits;
    const uint8_t* labels;
    RowList which;
    double* row_loss;
    float* grad;
    uint64_t rows;
    unsigned classes, squared;
};

// The larger of two; what is not a number loses.
__device__ __forceinline__ double warp_largest(double v) {
    for (unsigned step = WARP / 2; step > 0; step /= 2) v = fmax(v, __shfl_xor_sync(FULL_WARP, v, step));
    return v;
}

__device__ __forceinline__ double cross_entropy(const Loss& a, const float* z, float* grad, unsigned label) {
    const unsigned lane = threadIdx.x % WARP;
    double largest = -__longlong_as_double(0x7ff0000000000000ll);
    for (unsigned c = lane; c < a.classes; c += WARP) largest = fmax(largest, double(z[c]));
    largest = warp_largest(largest);
    double sum = 0.0;
    for (unsigned c = lane; c < a.classes; c += WARP) sum += exp(double(z[c]) - largest);
    sum = warp_sum(sum);
    if (grad)
        for (unsigned c = lane; c < a.classes; c += WARP)
            grad[c] = float((exp(double(z[c]) - largest) / sum - (c == label ? 1.0 : 0.0)) / double(a.rows));
    return log(sum) - (double(z[label]) - largest);
}

__device__ __forceinline__ double mean_squared(const Loss& a, const float* z, float* grad, unsigned label) {
    const unsigned lane = threadIdx.x % WARP;
    double sum = 0.0;
    for (unsigned c = lane; c < a.classes; c += WARP) {
        const double off = double(z[c]) - (c == label ? 1.0 : 0.0);
        if (grad) grad[c] = float(2.0 * off / double(a.rows * a.classes));
        sum += off * off;
    }
    return warp_sum(sum) / double(a.classes);
}

extern "C" __global__ void __launch_bounds__(256, 4) loss(const __grid_constant__ Loss a) {
    wait_for_last_kernel();
    const size_t row = size_t(blockIdx.x) * 8 + threadIdx.x / WARP;
    if (row >= a.rows) return;   // uniform over the warp, so shuffles stay whole
    const unsigned label = a.labels[row_at(a.which, row)], lane = threadIdx.x % WARP;
    const float* z = a.logits + row * a.classes;
    float* grad = a.grad ? a.grad + row * a.classes : nullptr;
    double loss = __longlong_as_double(0x7ff8000000000000ll);
    if (label < a.classes) loss = a.squared ? mean_squared(a, z, grad, label) : cross_entropy(a, z, grad, label);
    else if (grad)
        for (unsigned c = lane; c < a.classes; c += WARP) grad[c] = real_nan();
    if (lane == 0) a.row_loss[row] = loss;
}
