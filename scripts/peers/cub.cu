// cub.cu -- the peer `cub`: the fields of a layer sorted by CUB's segmented radix sort, a segment a neuron.
//
//   cub-peer keys SAMPLES NEURONS     the fields alone, the least that ranking by a sort can do (rpd_layer)
//   cub-peer pairs SAMPLES NEURONS    each with the sample it belongs to, as u16 and as u32 (ranks_layer)
//
// The fields are those of scripts/peers/inputs.py and benches/inputs.rs, bit for bit, but neuron by neuron: the
// transposition is not counted. Prints a JSON object a line, as scripts/gpu/figures.py takes them from a peer. What
// comes out is checked before anything is printed: order, and that it is the input; exit code 1 if it is not.
//
// scripts/gpu-check --pack builds it.
#include <cub/device/device_segmented_radix_sort.cuh>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

constexpr int REPS = 10;
// Calls of a repetition take about so long, beside which an event costs nothing.
constexpr float MILLISECONDS = 50;

void check(cudaError_t code, const char* what) {
    if (code == cudaSuccess) return;
    std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(code));
    std::exit(1);
}

void require(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "what CUB returned is wrong: %s\n", what);
    std::exit(1);
}

// Memory of the card.
template <typename T> struct Buffer {
    T* at = nullptr;
    size_t len;

    explicit Buffer(size_t len) : len(len) { check(cudaMalloc(&at, len * sizeof(T)), "cudaMalloc"); }
    explicit Buffer(const std::vector<T>& from) : Buffer(from.size()) {
        check(cudaMemcpy(at, from.data(), len * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
    }
    Buffer(const Buffer&) = delete;
    ~Buffer() { cudaFree(at); }

    std::vector<T> host() const {
        std::vector<T> copy(len);
        check(cudaMemcpy(copy.data(), at, len * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
        return copy;
    }
};

struct Size {
    int samples, neurons;

    size_t cells() const { return size_t(samples) * neurons; }
};

// A word that looks random: the mixer lowbias32.
uint32_t mixed(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

// Entry `index` of GEMM_A, uniform in (-1/2, 1/2).
float entry(uint32_t index) {
    constexpr uint32_t GEMM_A = 4;
    const double unit = (mixed(index + GEMM_A * 0x9e3779b9u) + 0.5) / 4294967296.0;
    return float((2.0 * unit - 1.0) * 0.5);
}

// [neurons][samples] of what is [samples][neurons] elsewhere.
std::vector<float> fields(Size size) {
    std::vector<float> z(size.cells());
    for (int n = 0; n < size.neurons; ++n)
        for (int s = 0; s < size.samples; ++s)
            z[size_t(n) * size.samples + s] = entry(uint32_t(s) * uint32_t(size.neurons) + uint32_t(n));
    return z;
}

std::vector<int> offsets(Size size) {
    std::vector<int> begin(size.neurons + 1);
    for (int n = 0; n <= size.neurons; ++n) begin[n] = n * size.samples;
    return begin;
}

// The same for the same numbers in any order.
uint64_t checksum(const float* z, int len) {
    uint64_t sum = 0;
    for (int i = 0; i < len; ++i) {
        uint32_t bits;
        std::memcpy(&bits, &z[i], sizeof bits);
        sum += mixed(bits);
    }
    return sum;
}

void check_keys(Size size, const std::vector<float>& before, const std::vector<float>& after) {
    for (int n = 0; n < size.neurons; ++n) {
        const float *in = &before[size_t(n) * size.samples], *out = &after[size_t(n) * size.samples];
        for (int s = 1; s < size.samples; ++s) require(out[s - 1] >= out[s], "the order of the fields");
        require(checksum(in, size.samples) == checksum(out, size.samples), "other fields than went in");
    }
}

template <typename Index>
void check_pairs(Size size, const std::vector<float>& before, const std::vector<float>& after,
                 const std::vector<Index>& of) {
    for (int n = 0; n < size.neurons; ++n) {
        const size_t row = size_t(n) * size.samples;
        std::vector<bool> seen(size.samples);
        for (int s = 0; s < size.samples; ++s) {
            const size_t from = of[row + s];
            require(from < seen.size() && !seen[from], "not every sample once");
            require(before[row + from] == after[row + s], "a field with another sample");
            seen[from] = true;
        }
    }
}

// Milliseconds that the card takes for so many calls.
template <typename Call> float timed(Call call, int calls) {
    cudaEvent_t start, end;
    check(cudaEventCreate(&start), "cudaEventCreate");
    check(cudaEventCreate(&end), "cudaEventCreate");
    check(cudaEventRecord(start), "cudaEventRecord");
    for (int i = 0; i < calls; ++i) call();
    check(cudaEventRecord(end), "cudaEventRecord");
    check(cudaEventSynchronize(end), "the sort");
    float milliseconds;
    check(cudaEventElapsedTime(&milliseconds, start, end), "cudaEventElapsedTime");
    check(cudaEventDestroy(start), "cudaEventDestroy");
    check(cudaEventDestroy(end), "cudaEventDestroy");
    return milliseconds;
}

// Times `call`, which has run before, and prints the record.
template <typename Call> void report(const char* workload, const char* peer, Call call) {
    const int calls = std::max(1, int(MILLISECONDS / timed(call, 3) * 3));
    std::vector<double> seconds;
    double sum = 0;
    for (int i = 0; i < REPS; ++i) {
        seconds.push_back(timed(call, calls) / calls * 1e-3);
        sum += seconds.back();
    }
    std::sort(seconds.begin(), seconds.end());
    const double median = (seconds[(REPS - 1) / 2] + seconds[REPS / 2]) / 2;
    std::printf("{\"case\": \"%s\", \"peer\": \"%s\", \"check\": [], \"min\": %.9g, \"median\": %.9g, \"mean\": %.9g, "
                "\"max\": %.9g, \"reps\": %d, \"cub\": \"%d.%d.%d\"}\n",
                workload, peer, seconds.front(), median, sum / REPS, seconds.back(), REPS, CUB_MAJOR_VERSION,
                CUB_MINOR_VERSION, CUB_SUBMINOR_VERSION);
}

// CUB is called twice: it says how much scratch it wants, then sorts.
template <typename Sort> Buffer<char> scratch(Sort sort) {
    size_t bytes = 0;
    check(sort(nullptr, bytes), "the size of the scratch");
    return Buffer<char>(bytes);
}

void keys(Size size, const std::vector<float>& z) {
    const Buffer<float> in(z), out(z.size());
    const Buffer<int> begin(offsets(size));
    const auto sort = [&](void* temporary, size_t& bytes) {
        return cub::DeviceSegmentedRadixSort::SortKeysDescending(
            temporary, bytes, in.at, out.at, int(z.size()), size.neurons, begin.at, begin.at + 1);
    };
    const Buffer<char> temporary = scratch(sort);
    const auto call = [&] {
        size_t bytes = temporary.len;
        check(sort(temporary.at, bytes), "SortKeysDescending");
    };
    call();
    check_keys(size, z, out.host());
    report("rpd_layer", "cub", call);
}

template <typename Index> void pairs(Size size, const std::vector<float>& z, const char* peer) {
    std::vector<Index> samples(z.size());
    for (size_t i = 0; i < samples.size(); ++i) samples[i] = Index(i % size.samples);
    const Buffer<float> in(z), out(z.size());
    const Buffer<Index> from(samples), to(z.size());
    const Buffer<int> begin(offsets(size));
    const auto sort = [&](void* temporary, size_t& bytes) {
        return cub::DeviceSegmentedRadixSort::SortPairsDescending(
            temporary, bytes, in.at, out.at, from.at, to.at, int(z.size()), size.neurons, begin.at, begin.at + 1);
    };
    const Buffer<char> temporary = scratch(sort);
    const auto call = [&] {
        size_t bytes = temporary.len;
        check(sort(temporary.at, bytes), "SortPairsDescending");
    };
    call();
    const std::vector<float> sorted = out.host();
    check_keys(size, z, sorted);
    check_pairs(size, z, sorted, to.host());
    report("ranks_layer", peer, call);
}

int main(int count, char** words) {
    const std::string what = count == 4 ? words[1] : "";
    const Size size = count == 4 ? Size{std::atoi(words[2]), std::atoi(words[3])} : Size{0, 0};
    // CUB counts items in an int, and the smaller index is a u16.
    if ((what != "keys" && what != "pairs") || size.samples < 1 || size.samples > 65536 || size.neurons < 1 ||
        size.cells() > INT32_MAX) {
        std::fprintf(stderr, "usage: cub-peer keys|pairs SAMPLES NEURONS, at most 65536 samples and 2^31 - 1 fields\n");
        return 2;
    }
    const std::vector<float> z = fields(size);
    if (what == "keys") keys(size, z);
    if (what == "pairs") {
        pairs<uint16_t>(size, z, "cub");
        pairs<uint32_t>(size, z, "cub_u32");
    }
}
