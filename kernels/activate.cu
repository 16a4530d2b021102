// activate.cu -- writes out the x that an input stands for.
//
// Shapes    x [rows][features], contiguous
// Aliasing  x may not overlap the input
// Launch    blocks of 256 threads, one element a thread
// Domain    rows, features >= 1; a NaN comes out as a NaN
// Repeats   the same bits everywhere: every element by itself
// Cost      reads 1 (pixels) to 8 bytes, writes 4 an element: memory-bound
// Rust      src/backend/cuda/activate.rs
// Test      tests/activate.rs
#include "input.cuh"

struct Activate {
    Input input;
    float* x;
    uint64_t len;
    unsigned features, unused;
};

extern "C" __global__ void __launch_bounds__(256) activate_input(const __grid_constant__ Activate a) {
    wait_for_last_kernel();
    const size_t i = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (i < a.len) a.x[i] = input_at(a.input, i / a.features, unsigned(i % a.features), a.features);
}
