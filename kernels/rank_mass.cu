// rank_mass.cu -- the mass of every class in each bin of the rank axis, exactly and without a sort (multi-select).
//
//   rank_classes  class [i] = label of row i, and whether all labels are classes
//   rank_keys     key [neuron][row] ascends while h = gamma (z + a xi - mean) inv_std + beta descends
//   rank_select   for every border b of the axis the group of equal keys at position floor(b rows / bins); then the
//                 samples of each class between and in these groups are counted, which is all that the mass needs
//
// rank_select spreads a neuron's keys over narrow buckets that follow their order. Only members of the few buckets
// that hold a border's position are gathered and sorted, in shared memory. Where they are too many, buckets of one
// value are left out; where they are still too many, the neuron is marked for kernels/rank_sort.cu.
//
// Shapes    field [rows][features]; class [rows]; keys [count][rows]; mass [neurons][classes][bins]
// Aliasing  none
// Launch    rank_classes 256 threads, a row a thread; rank_keys 256 threads for a tile of 32 rows x 32 neurons, grid
//           (row tiles, neuron tiles); rank_select 512 threads, a block a neuron, shared memory of
//           4 (max(4096 + room, 2 classes bins) + 7 bins) bytes, room a power of two
// Domain    any rows below 2^32; a label that is no class, or a NaN, is reported in `lowest`
// Repeats   the same bits everywhere: integer counts, and sums of two terms
// Cost      rank_keys reads z (and xi) once and writes 4 bytes a key; rank_select reads the keys three times, five
//           times where buckets are crowded: bound by memory and by atomics in shared memory
// Rust      src/backend/cuda/rank_mass.rs
// Test      tests/rank_mass.rs, tests/rank_sort.rs
#include "input.cuh"
#include "rank_axis.cuh"

constexpr unsigned BUCKETS = 4096;
constexpr unsigned SAMPLE = 256;
constexpr unsigned NONE = 0xffffffffu;

extern __shared__ __align__(1024) uint8_t smem[];

struct RankClasses {
    const uint8_t* labels;
    RowList rows;
    uint8_t* class_of;
    unsigned* lowest;   // the first row whose label is no class
    uint64_t count;
    unsigned classes, unused;
};

extern "C" __global__ void __launch_bounds__(256) rank_classes(const __grid_constant__ RankClasses a) {
    const size_t i = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (i >= a.count) return;
    const unsigned label = a.labels[row_at(a.rows, i)];
    if (label >= a.classes) atomicMin(a.lowest, unsigned(i));
    a.class_of[i] = uint8_t(label < a.classes ? label : 0);
}

struct RankKeys {
    Field field;
    Neurons neurons;
    unsigned* keys;
    unsigned* lowest;   // the first neuron with a NaN
    uint64_t rows;
    unsigned features, unused;
};

extern "C" __global__ void __launch_bounds__(256) rank_keys(const __grid_constant__ RankKeys a) {
    __shared__ unsigned tile[WARP][WARP + 1];   // the odd column keeps a column's elements in different banks
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const size_t row = size_t(blockIdx.x) * WARP, first = size_t(blockIdx.y) * WARP;
    if (first + lane < a.neurons.count) {
        const size_t neuron = neuron_at(a.neurons, first + lane);
        for (unsigned r = warp; r < WARP && row + r < a.rows; r += 256 / WARP) {
            const float h = local_field(a.field, row + r, unsigned(neuron), a.features);
            if (h != h) atomicMin(a.lowest, unsigned(neuron));
            tile[r][lane] = descending(h);
        }
    }
    __syncthreads();
    if (row + lane >= a.rows) return;
    for (unsigned n = warp; n < WARP && first + n < a.neurons.count; n += 256 / WARP)
        a.keys[(first + n) * a.rows + row + lane] = tile[lane][n];
}

// A map of fields to buckets that keeps their (descending) order and spreads most distributions evenly:
// 1/2 / (1 + t) for t = (h - centre)/spread >= 0 and its mirror image below. Every step is correctly rounded, hence
// monotonic. Centre and spread come from a few samples and matter to speed alone.
struct Squash {
    float centre, per_spread;

    __device__ unsigned bucket(unsigned key) const {
        constexpr float SHIFT = 8388608.0f;   // 2^23: adding it rounds to whole numbers in the low bits
        const float t = (centre - field_of(key)) * per_spread;
        const float half = 0.5f / (1.0f + fabsf(t));
        const float share = t < 0.0f ? half : 1.0f - half;
        return __float_as_uint(share * float(BUCKETS - 1) + SHIFT) % BUCKETS;   // of a NaN: any bucket
    }
};

__device__ __forceinline__ bool finite(float v) { return fabsf(v) <= 3.402823466e38f; }

// The fit to a sample's keys in their order.
__device__ __forceinline__ Squash fit(const unsigned* sample, unsigned n) {
    const auto quantile = [&](unsigned eighths) { return field_of(sample[eighths * (n - 1) / 8]); };
    // Half the interquartile distance suits a normal distribution best; the tails serve when most values are equal.
    float spread = 0.0f;
    for (unsigned low = 3; low-- > 0;) {
        const float width = 0.5f * (quantile(low) - quantile(8 - low));
        if (spread == 0.0f && width > 0.0f && finite(width)) spread = width;
    }
    const float per_spread = spread == 0.0f ? 1.0f : fminf(fmaxf(1.0f / spread, 1e-30f), 1e30f);
    const float centre = quantile(4);
    return {finite(centre) ? centre : 0.0f, per_spread};
}

// Sorts n keys. The array has room for the power of two above. The whole block calls it.
__device__ __forceinline__ void sort_keys(unsigned* keys, unsigned n) {
    unsigned size = 1;
    while (size < n) size *= 2;
    for (unsigned i = n + threadIdx.x; i < size; i += blockDim.x) keys[i] = 0xffffffffu;
    __syncthreads();
    for (unsigned run = 2; run <= size; run *= 2) {
        for (unsigned step = run / 2; step > 0; step /= 2) {
            for (unsigned i = threadIdx.x; i < size / 2; i += blockDim.x) {
                const unsigned low = 2 * i - i % step, high = low + step;
                const unsigned a = keys[low], b = keys[high];
                if ((a > b) == ((low & run) == 0)) {
                    keys[low] = b;
                    keys[high] = a;
                }
            }
            __syncthreads();
        }
    }
}

// How many of n ascending keys are below `key`; up to and with it.
__device__ __forceinline__ unsigned count_below(const unsigned* keys, unsigned n, unsigned key) {
    unsigned low = 0;
    while (n > 0) {
        const unsigned half = n / 2;
        if (keys[low + half] < key) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}
__device__ __forceinline__ unsigned count_through(const unsigned* keys, unsigned n, unsigned key) {
    return key == 0xffffffffu ? n : count_below(keys, n, key + 1);
}

struct RankSelect {
    const unsigned* keys;
    const uint8_t* class_of;
    double* mass;
    unsigned* crowded;   // [neurons], 1 for those that this kernel leaves to the sort
    Neurons neurons;
    uint64_t rows;
    unsigned classes, bins;
    unsigned room;       // most gathered keys
    unsigned unused;
};

// A block's memory. Arrays over borders have `bins` elements of which the first is unused; a bucket is known by the
// first border in it, its owner.
struct Select {
    unsigned *table;     // [BUCKETS] first position of each bucket, then its owner
    unsigned *gathered;  // [room]
    unsigned *bucket;    // of a border
    unsigned *first, *end;      // positions of a border's bucket, then of its group
    unsigned *offset;    // where an owner's keys stand in `gathered`
    unsigned *key;       // an owner's cursor, then the key of a border's group
    unsigned *low, *high;       // keys of a crowded bucket, by owner; equal: it holds one value
    unsigned *counts;    // [2][classes][bins], over table and gathered

    __device__ Select(uint8_t* memory, const RankSelect& a) {
        table = counts = reinterpret_cast<unsigned*>(memory);
        gathered = table + BUCKETS;
        const unsigned tally = 2 * a.classes * a.bins, work = BUCKETS + a.room;
        unsigned** of_borders[] = {&bucket, &first, &end, &offset, &key, &low, &high};
        unsigned* next = table + (tally > work ? tally : work);
        for (unsigned** array : of_borders) {
            *array = next;
            next += a.bins;
        }
    }

    __device__ bool one_value(unsigned owner) const { return low[owner] == high[owner]; }
};

// Finds every border's bucket: bucket, first, end; table becomes the owners.
__device__ __forceinline__ void find_buckets(const Select& m, const Axis& axis) {
    exclusive_sums(m.table, BUCKETS);
    for (unsigned b = 1 + threadIdx.x; b < axis.bins; b += blockDim.x) {
        const unsigned bucket = count_through(m.table, BUCKETS, axis.position(b)) - 1;
        m.bucket[b] = bucket;
        m.first[b] = m.table[bucket];
        m.end[b] = bucket + 1 < BUCKETS ? m.table[bucket + 1] : unsigned(axis.rows);
        m.low[b] = NONE;
        m.high[b] = 0;
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BUCKETS; i += blockDim.x) m.table[i] = NONE;
    __syncthreads();
    for (unsigned b = 1 + threadIdx.x; b < axis.bins; b += blockDim.x)
        if (b == 1 || m.bucket[b - 1] != m.bucket[b]) m.table[m.bucket[b]] = b;
    __syncthreads();
}

// Lays out the buckets to be gathered, all but those known to hold one value; returns the number of their keys.
__device__ __forceinline__ unsigned lay_out(const Select& m, unsigned bins) {
    for (unsigned b = threadIdx.x; b < bins; b += blockDim.x) {
        const bool gathers = b > 0 && m.table[m.bucket[b]] == b && !m.one_value(b);
        m.offset[b] = gathers ? m.end[b] - m.first[b] : 0;
    }
    __syncthreads();
    const unsigned sum = exclusive_sums(m.offset, bins);
    for (unsigned b = threadIdx.x; b < bins; b += blockDim.x) m.key[b] = m.offset[b];
    __syncthreads();
    return sum;
}

// Every border's group: its key and its positions.
__device__ __forceinline__ void find_groups(const Select& m, const Axis& axis) {
    for (unsigned b = 1 + threadIdx.x; b < axis.bins; b += blockDim.x) {
        const unsigned owner = m.table[m.bucket[b]];
        if (m.one_value(owner)) {
            m.key[b] = m.low[owner];
            continue;
        }
        const unsigned* members = m.gathered + m.offset[owner];
        const unsigned first = m.first[b], size = m.end[b] - first;
        m.key[b] = members[axis.position(b) - first];
        m.first[b] = first + count_below(members, size, m.key[b]);
        m.end[b] = first + count_through(members, size, m.key[b]);
    }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(512, 2) rank_select(const __grid_constant__ RankSelect a) {
    const Select m(smem, a);
    const Axis axis{a.rows, a.bins};
    const size_t neuron = neuron_at(a.neurons, blockIdx.x);
    const unsigned* keys = a.keys + blockIdx.x * a.rows;

    const uint64_t stride = (a.rows + SAMPLE - 1) / SAMPLE;
    const unsigned sampled = unsigned((a.rows + stride - 1) / stride);
    for (unsigned i = threadIdx.x; i < sampled; i += blockDim.x) m.table[i] = keys[i * stride];
    sort_keys(m.table, sampled);
    const Squash squash = fit(m.table, sampled);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BUCKETS; i += blockDim.x) m.table[i] = 0;
    __syncthreads();
    for (size_t i = threadIdx.x; i < a.rows; i += blockDim.x) atomicAdd(&m.table[squash.bucket(keys[i])], 1u);
    __syncthreads();
    find_buckets(m, axis);

    unsigned gathered = lay_out(m, a.bins);
    if (gathered > a.room) {
        for (size_t i = threadIdx.x; i < a.rows; i += blockDim.x) {
            const unsigned key = keys[i], owner = m.table[squash.bucket(key)];
            if (owner == NONE) continue;
            atomicMin(&m.low[owner], key);
            atomicMax(&m.high[owner], key);
        }
        __syncthreads();
        gathered = lay_out(m, a.bins);
        if (gathered > a.room) {
            if (threadIdx.x == 0) a.crowded[neuron] = 1;
            return;
        }
    }
    for (size_t i = threadIdx.x; i < a.rows && gathered > 0; i += blockDim.x) {
        const unsigned key = keys[i], owner = m.table[squash.bucket(key)];
        if (owner != NONE && !m.one_value(owner)) m.gathered[atomicAdd(&m.key[owner], 1u)] = key;
    }
    __syncthreads();
    sort_keys(m.gathered, gathered);   // buckets follow the order of keys, so each keeps its place
    find_groups(m, axis);

    unsigned *whole = m.counts, *tied = whole + a.classes * a.bins;
    for (unsigned i = threadIdx.x; i < 2 * a.classes * a.bins; i += blockDim.x) m.counts[i] = 0;
    __syncthreads();
    for (size_t i = threadIdx.x; i < a.rows; i += blockDim.x) {
        const unsigned key = keys[i], class_row = a.class_of[i] * a.bins;
        const unsigned b = 1 + count_below(m.key + 1, a.bins - 1, key);
        const bool in_group = b < a.bins && m.key[b] == key;
        atomicAdd(in_group ? &tied[class_row + b] : &whole[class_row + b - 1], 1u);
    }
    __syncthreads();
    const auto group_at = [&](unsigned border) { return Group{m.first[border], m.end[border]}; };
    mass_from_counts(axis, a.classes, group_at, whole, tied, a.mass + neuron * a.classes * a.bins);
}
