// batch_norm.cu -- 1/sqrt(var + eps) of each column, and the running statistics.
//
//   inv_std = 1/sqrt(var + eps)
//   running_mean = (1 - momentum) running_mean + momentum mean
//   running_var  = (1 - momentum) running_var  + momentum unbiased var
//
// A batch statistic that is not finite leaves its running value as it was: training falls back on the state before
// the batch that overflowed.
//
// With a set status, which training leaves when it stops (update.cu), they all stay.
//
// Shapes    everything [features]; status [2]; running_mean null: no running statistics
// Aliasing  none
// Launch    256 threads, one column a thread
// Domain    features >= 1; unbiased = rows/(rows - 1), computed by the launcher
// Repeats   the same bits everywhere
// Cost      at most 28 bytes a column: bound by the launch
// Rust      src/backend/cuda/batch_norm.rs
// Test      tests/batch_norm.rs
#include "common.cuh"

struct BatchNorm {
    const float *mean, *var;
    float *inv_std, *running_mean, *running_var;
    const unsigned* status;
    double eps, momentum, unbiased;
    unsigned features, unused;
};

__device__ __forceinline__ void blend(float* running, double batch, double momentum) {
    // False for NaN too.
    if (fabs(batch) <= 1.7976931348623157e308) *running = float((1.0 - momentum) * double(*running) + momentum * batch);
}

extern "C" __global__ void __launch_bounds__(256) batch_norm(const __grid_constant__ BatchNorm a) {
    wait_for_last_kernel();
    const unsigned column = blockIdx.x * 256 + threadIdx.x;
    if (column >= a.features) return;
    const double mean = a.mean[column], var = a.var[column];
    a.inv_std[column] = float(1.0 / sqrt(var + a.eps));
    if (!a.running_mean || a.status[0] != 0) return;
    blend(a.running_mean + column, mean, a.momentum);
    blend(a.running_var + column, var * a.unbiased, a.momentum);
}
