// classes.cu -- class of each row that takes part, and whether all of them are classes.
//
// Shapes    labels of a stored set; class_of [count]; lowest [1], all ones before: the first row whose label is none
// Aliasing  none
// Launch    256 threads, one row a thread
// Domain    a label that is no class is written as 0 and reported
// Repeats   the same bits everywhere: a minimum of integers
// Cost      2 bytes a row, 4 more for a list: bound by the launch
// Rust      src/backend/cuda/classes.rs
// Test      tests/class_sums.rs
#include "input.cuh"

struct Classes {
    const uint8_t* labels;
    RowList rows;
    uint8_t* class_of;
    unsigned* lowest;
    uint64_t count;
    unsigned classes, unused;
};

extern "C" __global__ void __launch_bounds__(256) known_classes(const __grid_constant__ Classes a) {
    wait_for_last_kernel();
    const size_t i = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (i >= a.count) return;
    const unsigned label = a.labels[row_at(a.rows, i)];
    if (label >= a.classes) atomicMin(a.lowest, unsigned(i));
    a.class_of[i] = uint8_t(label < a.classes ? label : 0);
}
