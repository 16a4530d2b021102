// rank_sort.cu -- full ranks by a sort, and from them the mass of every class in each bin of the rank axis.
//
//   rank_sort    sorts the (key, row) pairs of each neuron: radix sort from the lowest byte up, four stable passes
//   rank_groups  equal keys share an interval of positions [first, end); each class is counted by bin
//
// The second way to what kernels/rank_mass.cu counts without a sort: it takes whatever rows, classes and bins there
// are, and neurons with too many distinct keys at the borders of bins.
//
// Shapes    keys, row, spare_keys, spare_row [count][rows]; class [rows]; counts [count][2][classes][bins];
//           mass [neurons][classes][bins]. rank_sort leaves its results in keys and row; rank_groups uses the spares
// Aliasing  none
// Launch    512 threads, a block a neuron
// Domain    any rows below 2^32; a NaN has a place like any key
// Repeats   the same bits everywhere: rows of equal keys keep their order, counts are whole numbers
// Cost      rank_sort reads 12 and writes 8 bytes a key in each of four passes: bound by memory and shared memory
// Rust      src/backend/cuda/rank_sort.rs
// Test      tests/rank_sort.rs, tests/rank_mass.rs
#include "rank_axis.cuh"

constexpr unsigned THREADS = 512, WARPS = THREADS / WARP;
constexpr unsigned DIGITS = 256, DIGIT_BITS = 8;
constexpr unsigned ITEMS = 8;                       // keys of a thread at a time
constexpr unsigned WARP_KEYS = ITEMS * WARP, BLOCK_KEYS = WARPS * WARP_KEYS;

struct RankSort {
    unsigned *keys, *row, *spare_keys, *spare_row;
    const uint8_t* class_of;
    unsigned* counts;
    double* mass;
    Neurons neurons;
    uint64_t rows;
    unsigned classes, bins;
};

struct Pairs { unsigned *keys, *row; };

// One pass over a neuron's pairs: stable, by the digit at `shift`. Rows are numbered in the first.
__device__ __forceinline__ void sort_by_digit(Pairs from, Pairs to, size_t rows, unsigned shift) {
    __shared__ unsigned next[DIGITS];           // where a digit's next key goes
    __shared__ unsigned of_warp[WARPS][DIGITS]; // keys of a digit in a warp's run, then where they go
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const unsigned before_lane = (1u << lane) - 1;

    for (unsigned d = threadIdx.x; d < DIGITS; d += THREADS) next[d] = 0;
    __syncthreads();
    for (size_t i = threadIdx.x; i < rows; i += THREADS) atomicAdd(&next[from.keys[i] >> shift & (DIGITS - 1)], 1u);
    __syncthreads();
    exclusive_sums(next, DIGITS);

    for (size_t base = 0; base < rows; base += BLOCK_KEYS) {
        for (unsigned d = lane; d < DIGITS; d += WARP) of_warp[warp][d] = 0;
        __syncwarp();
        unsigned keys[ITEMS], rank[ITEMS];
        const size_t run = base + warp * WARP_KEYS + lane;
#pragma unroll
        for (unsigned j = 0; j < ITEMS; ++j) {
            const bool valid = run + j * WARP < rows;
            keys[j] = valid ? from.keys[run + j * WARP] : 0;
            const unsigned digit = keys[j] >> shift & (DIGITS - 1);
            const unsigned equals = __match_any_sync(FULL_WARP, valid ? digit : DIGITS);
            rank[j] = of_warp[warp][digit] + __popc(equals & before_lane);
            __syncwarp();
            if (valid && (equals & before_lane) == 0) of_warp[warp][digit] += __popc(equals);
            __syncwarp();
        }
        __syncthreads();
        for (unsigned d = threadIdx.x; d < DIGITS; d += THREADS) {
            unsigned at = next[d];
            for (unsigned w = 0; w < WARPS; ++w) {
                const unsigned count = of_warp[w][d];
                of_warp[w][d] = at;
                at += count;
            }
            next[d] = at;
        }
        __syncthreads();
#pragma unroll
        for (unsigned j = 0; j < ITEMS; ++j) {
            const size_t i = run + j * WARP;
            if (i >= rows) continue;
            const size_t at = size_t(of_warp[warp][keys[j] >> shift & (DIGITS - 1)]) + rank[j];
            to.keys[at] = keys[j];
            to.row[at] = shift == 0 ? unsigned(i) : from.row[i];
        }
        __syncthreads();
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) rank_sort(const __grid_constant__ RankSort a) {
    wait_for_last_kernel();
    const size_t start = blockIdx.x * a.rows;
    const Pairs pairs{a.keys + start, a.row + start}, spare{a.spare_keys + start, a.spare_row + start};
    for (unsigned pass = 0; pass < 4; pass += 2) {
        sort_by_digit(pairs, spare, a.rows, pass * DIGIT_BITS);
        sort_by_digit(spare, pairs, a.rows, (pass + 1) * DIGIT_BITS);
    }
}

// The group of equal keys at each of the sorted positions: `first` of every position, `end` at the first of each group.
__device__ __forceinline__ void find_groups(const unsigned* keys, size_t rows, unsigned* first, unsigned* end) {
    unsigned latest = 0;
    for (size_t base = 0; base < rows; base += THREADS) {
        const size_t i = base + threadIdx.x;
        const bool begins = i < rows && (i == 0 || keys[i - 1] != keys[i]);
        const unsigned group = block_scan(begins ? unsigned(i) : 0, latest, [](unsigned x, unsigned y) { return max(x, y); });
        if (i >= rows) continue;
        first[i] = group;
        if (i + 1 == rows || keys[i + 1] != keys[i]) end[group] = unsigned(i) + 1;
    }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(THREADS) rank_groups(const __grid_constant__ RankSort a) {
    wait_for_last_kernel();
    const size_t start = blockIdx.x * a.rows, cells = size_t(a.classes) * a.bins;
    const unsigned* row = a.row + start;
    unsigned *first = a.spare_keys + start, *end = a.spare_row + start;
    unsigned *whole = a.counts + blockIdx.x * 2 * cells, *tied = whole + cells;
    const Axis axis{a.rows, a.bins};

    for (size_t i = threadIdx.x; i < 2 * cells; i += THREADS) whole[i] = 0;
    find_groups(a.keys + start, a.rows, first, end);
    for (size_t i = threadIdx.x; i < a.rows; i += THREADS) {
        const uint64_t group = first[i], to = end[group];
        const size_t class_row = size_t(a.class_of[row[i]]) * a.bins;
        const uint64_t bin = group * axis.bins / axis.rows;
        if (to * axis.bins <= (bin + 1) * axis.rows) atomicAdd(&whole[class_row + bin], 1u);
        else atomicAdd(&tied[class_row + axis.border(group)], 1u);
    }
    __syncthreads();
    const auto group_at = [&](unsigned border) {
        const unsigned group = first[axis.position(border)];
        return Group{group, end[group]};
    };
    mass_from_counts(axis, a.classes, group_at, whole, tied, a.mass + neuron_at(a.neurons, blockIdx.x) * cells);
}
