// matmul_hopper.cuh -- arguments and shared memory of matmul_hopper.cu.
#pragma once
#include "hopper.cuh"
#include "tiles.cuh"

// a and b are maps of m.a and m.b: columns, rows, planes, in boxes of a WgmmaTile. src/backend/cuda/matmul_hopper.rs
// makes them.
struct HopperMatmul {
    TensorMap a, b;
    Matmul m;
    uint64_t unused[2];
};

// Shared memory: stages, of which there are as many as fit; for each a barrier `full` and a barrier `empty`; floats of
// the epilogue.
constexpr unsigned HOPPER_STAGES_BYTES = 192 * 1024, MOST_STAGES = 6;
constexpr unsigned HOPPER_BARRIERS_BYTES = 2 * MOST_STAGES * sizeof(uint64_t);
