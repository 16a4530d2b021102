// rank_axis.cuh -- what the two ways to a class's mass by rank share: keys that follow the descending order of fields,
// the neurons at work, a scan over a block, and the last step from counts to mass.
//
// The rank axis has rows x bins units, of which a position is `bins` long and a bin `rows`, so that positions, groups
// of equal keys and bins are whole numbers. The twin of src/backend/cpu/rank_mass/bins.rs.
#pragma once
#include "common.cuh"

// Ascends while h descends, equal for -0 and +0.
__device__ __forceinline__ unsigned descending(float h) {
    const unsigned bits = __float_as_uint(h + 0.0f);   // -0 + 0 = +0
    return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

__device__ __forceinline__ float field_of(unsigned key) {
    return __uint_as_float(key >> 31 ? key : ~key & 0x7fffffffu);
}

// The neurons of one launch, one a block: listed[0..count), or from `first` on where listed is null.
struct Neurons {
    const unsigned* listed;
    uint64_t first, count;
};

__device__ __forceinline__ size_t neuron_at(const Neurons& neurons, size_t i) {
    return neurons.listed ? neurons.listed[i] : neurons.first + i;
}

struct Axis {
    uint64_t rows, bins;

    // The position that begins at or before border b and reaches beyond it.
    __device__ unsigned position(uint64_t border) const { return unsigned(border * rows / bins); }

    // The first border 0 < b < bins whose position is `position` or a later one.
    __device__ unsigned border(uint64_t position) const {
        const uint64_t b = (position * bins + rows - 1) / rows;
        return b > 0 ? unsigned(b) : 1;
    }
};

// Positions [first, end) of equal keys.
struct Group { unsigned first, end; };

// What a bin takes of the group at one of its borders.
struct Slice {
    unsigned border;   // where the group's samples are counted; 0: nothing
    bool whole;        // the group lies in the bin
    double share;      // else, of each of its samples
};

__device__ __forceinline__ Slice slice(const Axis& axis, const Group& group, unsigned bin) {
    const uint64_t start = group.first * axis.bins, end = group.end * axis.bins;
    const uint64_t low = bin * axis.rows, high = low + axis.rows;
    const uint64_t from = start > low ? start : low, to = end < high ? end : high;
    if (from >= to) return {0, false, 0.0};
    // A quotient of whole numbers, so that ranks counted from the other end give the same bits.
    return {axis.border(group.first), to - from == end - start, double(to - from) / double(end - start)};
}

// Mass [classes][bins] of a neuron. group_at(b) is the group at border b; `whole` [classes][bins] counts the samples
// of groups that lie in one bin, `tied` [classes][bins] those of a group at borders, under axis.border(group.first); a
// group that lies in one bin may be counted in either.
//
// Shares come from at most two groups, those at the bin's two borders, and whole samples are added last: no sum
// depends on the order of its terms. The whole block calls it.
template <class GroupAt>
__device__ __forceinline__ void mass_from_counts(const Axis& axis, unsigned classes, GroupAt group_at,
                                                 const unsigned* whole, const unsigned* tied, double* mass) {
    const unsigned bins = unsigned(axis.bins);
    for (unsigned bin = threadIdx.x; bin < bins; bin += blockDim.x) {
        Slice slices[2] = {{0, false, 0.0}, {0, false, 0.0}};
        if (bin > 0) slices[0] = slice(axis, group_at(bin), bin);
        if (bin + 1 < bins) slices[1] = slice(axis, group_at(bin + 1), bin);
        if (slices[0].border == slices[1].border) slices[1].border = 0;   // one group at both
        for (size_t at = bin; at < size_t(classes) * bins; at += bins) {
            unsigned count = whole[at];
            double shares = 0.0;
            for (const Slice& slice : slices) {
                if (slice.border == 0) continue;
                const unsigned in_group = tied[at - bin + slice.border];
                if (slice.whole) count += in_group;
                else shares += double(in_group) * slice.share;
            }
            mass[at] = shares + double(count);
        }
    }
}

// The value of a scan over the warp's lanes up to and with this one.
template <class T, class Join>
__device__ __forceinline__ T warp_scan(T v, Join join) {
    const unsigned lane = threadIdx.x % WARP;
    for (unsigned step = 1; step < WARP; step *= 2) {
        const T before = __shfl_up_sync(FULL_WARP, v, step);
        if (lane >= step) v = join(before, v);
    }
    return v;
}

// The scan over the block's threads up to and with this one, started from `carry`, which becomes the scan over all.
// The whole block calls it, with at most 32 warps.
template <class T, class Join>
__device__ __forceinline__ T block_scan(T v, T& carry, Join join) {
    __shared__ T warps[WARP];
    const unsigned warp = threadIdx.x / WARP;
    v = warp_scan(v, join);
    if (threadIdx.x % WARP == WARP - 1) warps[warp] = v;
    __syncthreads();
    T before = carry;
    for (unsigned w = 0; w < blockDim.x / WARP; ++w) {
        if (w == warp) before = carry;
        carry = join(carry, warps[w]);
    }
    __syncthreads();
    return join(before, v);
}

// Makes each of n counts the sum of those before it; returns the sum of all. The whole block calls it.
__device__ __forceinline__ unsigned exclusive_sums(unsigned* counts, unsigned n) {
    unsigned sum = 0;
    for (unsigned base = 0; base < n; base += blockDim.x) {
        const unsigned i = base + threadIdx.x;
        const unsigned count = i < n ? counts[i] : 0;
        const unsigned through = block_scan(count, sum, [](unsigned a, unsigned b) { return a + b; });
        if (i < n) counts[i] = through - count;
    }
    __syncthreads();
    return sum;
}
