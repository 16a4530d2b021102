// activation.cuh -- the nonlinearities f and their slopes f'. The twin of src/backend/cpu/activation.rs.
#pragma once
#include "common.cuh"

// Numbers as in src/backend/cuda/args.rs.
enum Activation : unsigned { RELU, TANH, IDENTITY, GAUSSIAN, LEAKY_RELU, SIGMOID, GELU };

constexpr float LEAK = 0.01f;

// Phi(h) = (1 + erf(h/sqrt 2))/2.
__device__ __forceinline__ float normal_cdf(float h) { return 0.5f * (1.0f + erff(h * 0.70710678118654752f)); }

__device__ __forceinline__ float activate(unsigned f, float h) {
    switch (f) {
    // `h <= 0` and not `h > 0`: a NaN must come out as a NaN.
    case RELU: return h <= 0.0f ? 0.0f : h;
    case TANH: return tanhf(h);
    case GAUSSIAN: return expf(-(h * h));
    case LEAKY_RELU: return h <= 0.0f ? LEAK * h : h;
    case SIGMOID: return 1.0f / (1.0f + expf(-h));
    case GELU: return h * normal_cdf(h);
    default: return h;
    }
}

// Those that take a few instructions: where code is repeated for many registers, the others are not worth their size.
__device__ __forceinline__ bool is_piecewise_linear(unsigned f) { return f == RELU || f == IDENTITY || f == LEAKY_RELU; }

// activate() and slope() of these.
__device__ __forceinline__ float activate_piecewise(unsigned f, float h) {
    const float below = f == RELU ? 0.0f : f == LEAKY_RELU ? LEAK * h : h;
    return h <= 0.0f ? below : h;
}
__device__ __forceinline__ float slope_piecewise(unsigned f, float h) {
    const float below = f == RELU ? 0.0f : f == LEAKY_RELU ? LEAK : 1.0f;
    return h <= 0.0f ? below : 1.0f;
}

// ReLU has slope 0 at 0, as in PyTorch.
__device__ __forceinline__ float slope(unsigned f, float h) {
    switch (f) {
    case RELU: return h <= 0.0f ? 0.0f : 1.0f;
    case TANH: {
        const float x = tanhf(h);
        return 1.0f - x * x;
    }
    case GAUSSIAN: return -2.0f * h * expf(-(h * h));
    case LEAKY_RELU: return h <= 0.0f ? LEAK : 1.0f;
    case SIGMOID: {
        const float x = 1.0f / (1.0f + expf(-h));
        return x * (1.0f - x);
    }
    case GELU: return normal_cdf(h) + h * (0.39894228040143268f * expf(-0.5f * h * h));
    default: return 1.0f;
    }
}
