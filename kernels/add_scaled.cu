// add_scaled.cu -- out = x + alpha y, element by element.
//
// Shapes    x, y, out [len]
// Aliasing  out may be x or y
// Launch    blocks of 256 threads, one element a thread
// Domain    any len >= 1; alpha is rounded to f32 by the launcher
// Repeats   the same bits everywhere: one multiplication, one addition
// Cost      reads 8 bytes, writes 4 an element: memory-bound
// Rust      src/backend/cuda/add_scaled.rs
// Test      tests/add_scaled.rs
#include "common.cuh"

struct AddScaled {
    const float *x, *y;
    float* out;
    uint64_t len;
    float alpha;
    unsigned unused;
};

extern "C" __global__ void __launch_bounds__(256) add_scaled(const __grid_constant__ AddScaled a) {
    wait_for_last_kernel();
    const size_t i = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (i < a.len) a.out[i] = a.x[i] + a.alpha * a.y[i];
}
