// predict.cu -- index of the largest logit of each row, the lowest among equals.
//
// Shapes    logits [rows][classes]; predicted [rows]
// Aliasing  none
// Launch    256 threads, one row a thread
// Domain    classes 1 to 256; the first number beats a NaN before it, NaN alone gives 0
// Repeats   the same bits everywhere
// Cost      reads 4 bytes a logit, writes 1 a row: memory-bound, a few classes share a sector
// Rust      src/backend/cuda/predict.rs
// Test      tests/predict.rs
#include "common.cuh"

struct Predict {
    const float* logits;
    uint8_t* predicted;
    uint64_t rows;
    unsigned classes, unused;
};

extern "C" __global__ void __launch_bounds__(256) predict(const __grid_constant__ Predict a) {
    wait_for_last_kernel();
    const size_t row = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (row >= a.rows) return;
    const float* z = a.logits + row * a.classes;
    unsigned best = 0;
    float largest = z[0];
#pragma unroll 1   // unrolled, the comparisons spill
    for (unsigned c = 1; c < a.classes; ++c) {
        const float logit = z[c];
        // Later equals beat nobody.
        if (logit > largest || (largest != largest && logit == logit)) {
            best = c;
            largest = logit;
        }
    }
    a.predicted[row] = uint8_t(best);
}
