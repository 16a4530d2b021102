// rank_mass.cu -- the mass of every class in each bin of the rank axis, exactly and without a sort (multi-select).
//
//   rank_classes  class [i] = label of row i, and whether all labels are classes
//   rank_keys     key [neuron][row] ascends while h = gamma (z + a xi - mean) inv_std + beta descends
//   rank_select   for every border b of the axis the group of equal keys at position floor(b rows / bins), and the
//                 samples of each class between and in these groups, which is all that the mass needs
//
// rank_select spreads a neuron's keys over narrow buckets that follow their order. Which bin a sample of most buckets
// belongs to is then known. Only members of the few buckets that hold a border's position are gathered in shared
// memory, and there each is compared with the others of its bucket. Where they are too many, buckets of one value are
// left out; where they are still too many, the neuron is marked for kernels/rank_sort.cu.
//
// Shapes    field [rows][features]; class [rows]; keys [count][rows]; mass [neurons][classes][bins]
// Aliasing  none
// Launch    rank_classes 256 threads, a row a thread; rank_keys 256 threads for a tile of 32 rows x 32 neurons, grid
//           (row tiles, neuron tiles); rank_select 512 threads, a block a neuron, shared memory of
//           4 (4096 + 2 classes bins + 9 bins) + 5 room bytes
// Domain    any rows below 2^32; a label that is no class, or a NaN, is reported in `lowest`
// Repeats   the same bits everywhere: integer counts, and sums of two terms
// Cost      rank_keys reads z (and xi) once and writes 4 bytes a key; rank_select reads the keys twice, three times
//           where buckets are crowded: bound by memory and by atomics in shared memory
// Rust      src/backend/cuda/rank_mass.rs
// Test      tests/rank_mass.rs, tests/rank_sort.rs
#include "input.cuh"
#include "rank_axis.cuh"

constexpr unsigned BUCKETS = 4096;
constexpr unsigned SAMPLE = 256;
constexpr unsigned NONE = 0xffffffffu;
constexpr unsigned LONGEST = 1024;    // gathered of one bucket: each is compared with each

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
    wait_for_last_kernel();
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
    wait_for_last_kernel();
    __shared__ unsigned tile[WARP][WARP + 1];   // the odd column keeps a column's elements in different banks
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    const size_t row = size_t(blockIdx.x) * WARP, first = size_t(blockIdx.y) * WARP;
    if (first + lane < a.neurons.count) {
        constexpr unsigned EACH = WARP * WARP / 256;
        const unsigned neuron = unsigned(neuron_at(a.neurons, first + lane));
        const ColumnNorm norm(a.field.norm, neuron);
        unsigned stored[EACH];
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const size_t at = row + warp + i * (256 / WARP);
            stored[i] = at < a.rows ? a.field.z.bits(at * a.features + neuron) : 0;
        }
#pragma unroll
        for (unsigned i = 0; i < EACH; ++i) {
            const unsigned r = warp + i * (256 / WARP);
            if (row + r >= a.rows) continue;
            const float z = noisy(a.field, a.field.z.from_bits(stored[i]), row + r, neuron, a.features);
            const float h = norm.affine(norm.standard(z));
            if (h != h) atomicMin(a.lowest, neuron);
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

// How many of n keys are below the one at `own`, equal to it, and equal to it and before it.
struct Standing {
    unsigned below, equal, equal_before;

    __device__ Standing(const unsigned* keys, unsigned n, unsigned own) : below(0), equal(0), equal_before(0) {
        const unsigned key = keys[own];
        for (unsigned i = 0; i < n; ++i) {
            below += keys[i] < key;
            equal += keys[i] == key;
            equal_before += keys[i] == key && i < own;
        }
    }
};

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

// f(key, class) of every row, each in one thread of the block; the class is 0 unless WITH_CLASS. What a thread does next
// is asked for AT_ONCE rows at a time: memory takes as long as these.
template <bool WITH_CLASS, class F>
__device__ __forceinline__ void each_row(const RankSelect& a, const unsigned* keys, const F& f) {
    constexpr unsigned AT_ONCE = 8;
    for (size_t first = threadIdx.x; first < a.rows; first += AT_ONCE * blockDim.x) {
        unsigned key[AT_ONCE];
        uint8_t label[AT_ONCE];
#pragma unroll
        for (unsigned j = 0; j < AT_ONCE; ++j) {
            const size_t row = first + j * blockDim.x;
            key[j] = row < a.rows ? keys[row] : 0;
            label[j] = WITH_CLASS && row < a.rows ? a.class_of[row] : 0;
        }
#pragma unroll
        for (unsigned j = 0; j < AT_ONCE; ++j)
            if (first + j * blockDim.x < a.rows) f(key[j], label[j]);
    }
}

// A block's memory. Arrays over borders have `bins` elements of which the first is unused; a bucket is known by the
// first border in it, its owner.
struct Select {
    unsigned *table;     // [BUCKETS] keys of each bucket, then its first position, then its entry
    unsigned *whole, *tied;     // [classes][bins], rank_axis.cuh
    unsigned *bucket;    // of a border
    unsigned *first, *end;      // positions of a border's bucket
    unsigned *offset;    // where an owner's keys stand in `gathered`
    unsigned *low, *high;       // keys of a crowded bucket, by owner; equal: it holds one value
    unsigned *key;       // an owner's cursor, then the key of a border's group
    unsigned *group_first, *group_end;   // its positions
    unsigned *gathered;  // [room] keys
    uint8_t *class_of;   // [room] and their classes

    // A bucket's entry: its owner, or that it has none and lies in a bin.
    static constexpr unsigned IN_BIN = 1u << 31;

    __device__ Select(uint8_t* memory, const RankSelect& a) {
        unsigned* next = reinterpret_cast<unsigned*>(memory);
        const auto take = [&](unsigned count) {
            unsigned* taken = next;
            next += count;
            return taken;
        };
        table = take(BUCKETS);
        whole = take(a.classes * a.bins);
        tied = take(a.classes * a.bins);
        unsigned** of_borders[] = {&bucket, &first, &end, &offset, &low, &high, &key, &group_first, &group_end};
        for (unsigned** array : of_borders) *array = take(a.bins);
        gathered = take(a.room);
        class_of = reinterpret_cast<uint8_t*>(next);
    }

    __device__ bool one_value(unsigned owner) const { return low[owner] == high[owner]; }
};

// Finds every border's bucket: bucket, first, end; table becomes the entries.
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
    const unsigned borders = unsigned(axis.bins) - 1;
    for (unsigned i = threadIdx.x; i < BUCKETS; i += blockDim.x)
        m.table[i] = Select::IN_BIN | count_below(m.bucket + 1, borders, i);
    __syncthreads();
    for (unsigned b = 1 + threadIdx.x; b < axis.bins; b += blockDim.x)
        if (b == 1 || m.bucket[b - 1] != m.bucket[b]) m.table[m.bucket[b]] = b;
    __syncthreads();
}

// Lays out the buckets to be gathered, all but those known to hold one value; returns the number of their keys, more
// than `room` where a bucket has too many.
__device__ __forceinline__ unsigned lay_out(const Select& m, unsigned bins, unsigned room) {
    for (unsigned b = threadIdx.x; b < bins; b += blockDim.x) {
        const bool gathers = b > 0 && m.table[m.bucket[b]] == b && !m.one_value(b);
        const unsigned size = gathers ? m.end[b] - m.first[b] : 0;
        m.offset[b] = size > LONGEST ? room + 1 : size;
    }
    __syncthreads();
    const unsigned sum = exclusive_sums(m.offset, bins);
    for (unsigned b = threadIdx.x; b < bins; b += blockDim.x) m.key[b] = m.offset[b];
    __syncthreads();
    return sum;
}

// Every border's group: its key and its positions. Of equal keys the first says so.
__device__ __forceinline__ void find_groups(const Select& m, const Axis& axis, const Squash& squash,
                                            unsigned gathered) {
    for (unsigned b = 1 + threadIdx.x; b < axis.bins; b += blockDim.x)
        if (m.one_value(m.table[m.bucket[b]])) {
            m.group_first[b] = m.first[b];
            m.group_end[b] = m.end[b];
        }
    for (unsigned i = threadIdx.x; i < gathered; i += blockDim.x) {
        const unsigned bucket = squash.bucket(m.gathered[i]), owner = m.table[bucket], offset = m.offset[owner];
        const unsigned start = m.first[owner];
        const Standing own(m.gathered + offset, m.end[owner] - start, i - offset);
        if (own.equal_before > 0) continue;
        const unsigned first = start + own.below, end = first + own.equal;
        for (unsigned b = owner; b < axis.bins && m.bucket[b] == bucket; ++b)
            if (first <= axis.position(b) && axis.position(b) < end) {
                m.key[b] = m.gathered[i];
                m.group_first[b] = first;
                m.group_end[b] = end;
            }
    }
    __syncthreads();
}

// Counts what was gathered, by class: in the group of a border, or in the bin before the next one.
__device__ __forceinline__ void count_gathered(const Select& m, const Axis& axis, const Squash& squash,
                                               unsigned gathered) {
    const unsigned bins = unsigned(axis.bins);
    for (unsigned i = threadIdx.x; i < gathered; i += blockDim.x) {
        const unsigned key = m.gathered[i], bucket = squash.bucket(key);
        unsigned b = m.table[bucket];
        while (b < bins && m.bucket[b] == bucket && m.key[b] < key) ++b;
        const bool in_group = b < bins && m.bucket[b] == bucket && m.key[b] == key;
        atomicAdd(in_group ? &m.tied[m.class_of[i] * bins + b] : &m.whole[m.class_of[i] * bins + b - 1], 1u);
    }
    __syncthreads();
}

extern "C" __global__ void __launch_bounds__(512, 2) rank_select(const __grid_constant__ RankSelect a) {
    wait_for_last_kernel();
    const Select m(smem, a);
    const Axis axis{a.rows, a.bins};
    const size_t neuron = neuron_at(a.neurons, blockIdx.x);
    const unsigned* keys = a.keys + blockIdx.x * a.rows;

    const uint64_t stride = (a.rows + SAMPLE - 1) / SAMPLE;
    const unsigned sampled = unsigned((a.rows + stride - 1) / stride);
    unsigned *sample = m.table, *in_order = m.table + SAMPLE;
    for (unsigned i = threadIdx.x; i < sampled; i += blockDim.x) sample[i] = keys[i * stride];
    __syncthreads();
    for (unsigned i = threadIdx.x; i < sampled; i += blockDim.x) {
        const Standing own(sample, sampled, i);
        in_order[own.below + own.equal_before] = sample[i];
    }
    __syncthreads();
    const Squash squash = fit(in_order, sampled);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < BUCKETS; i += blockDim.x) m.table[i] = 0;
    for (unsigned i = threadIdx.x; i < 2 * a.classes * a.bins; i += blockDim.x) m.whole[i] = 0;   // and tied
    __syncthreads();
    each_row<false>(a, keys, [&](unsigned key, uint8_t) { atomicAdd(&m.table[squash.bucket(key)], 1u); });
    __syncthreads();
    find_buckets(m, axis);

    unsigned gathered = lay_out(m, a.bins, a.room);
    if (gathered > a.room) {
        each_row<false>(a, keys, [&](unsigned key, uint8_t) {
            const unsigned entry = m.table[squash.bucket(key)];
            if (entry & Select::IN_BIN) return;
            atomicMin(&m.low[entry], key);
            atomicMax(&m.high[entry], key);
        });
        __syncthreads();
        gathered = lay_out(m, a.bins, a.room);
        if (gathered > a.room) {
            if (threadIdx.x == 0) a.crowded[neuron] = 1;
            return;
        }
    }
    each_row<true>(a, keys, [&](unsigned key, uint8_t label) {
        const unsigned entry = m.table[squash.bucket(key)], class_row = label * a.bins;
        if (entry & Select::IN_BIN) {
            atomicAdd(&m.whole[class_row + (entry & ~Select::IN_BIN)], 1u);
        } else if (m.one_value(entry)) {
            atomicAdd(&m.tied[class_row + entry], 1u);
        } else {
            const unsigned at = atomicAdd(&m.key[entry], 1u);
            m.gathered[at] = key;
            m.class_of[at] = label;
        }
    });
    __syncthreads();
    find_groups(m, axis, squash, gathered);
    count_gathered(m, axis, squash, gathered);
    const auto group_at = [&](unsigned border) { return Group{m.group_first[border], m.group_end[border]}; };
    mass_from_counts(axis, a.classes, group_at, m.whole, m.tied, a.mass + neuron * a.classes * a.bins);
}
