// matmul_hopper.cuh -- arguments and shared memory of matmul_hopper.cu.
#pragma once
#include "epilogue.cuh"
#include "hopper.cuh"
#include "tiles.cuh"

// a and b are maps of m.a and m.b: columns, rows, planes, in boxes of a WgmmaTile. src/backend/cuda/matmul/hopper.rs
// makes them.
struct HopperMatmul {
    TensorMap a, b;
    Matmul m;
};

// Shared memory, in bytes: stages, of which there are as many as fit; barriers, two a stage; the epilogue's own.
constexpr unsigned HOPPER_STAGES = 192 * 1024, MOST_STAGES = 6;
constexpr unsigned HOPPER_BARRIERS = 2 * MOST_STAGES * sizeof(uint64_t);
constexpr unsigned HOPPER_SHARED = HOPPER_STAGES + HOPPER_BARRIERS + EPILOGUE_FLOATS<1> * sizeof(float);
