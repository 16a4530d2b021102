// selftest.cpp -- the shim finds the faults that it is there for, and lets right code pass.
#include "selftest.hpp"

#include <cstdio>

#include <unistd.h>

namespace selftest {

std::string reported;

namespace {

unsigned wrong = 0;

}  // namespace

void claim(bool holds, const char* what) {
    printf("%s %s\n", holds ? "ok   " : "WRONG", what);
    if (!holds) printf("      the last report: %s\n", reported.c_str());
    wrong += holds ? 0 : 1;
}

void set(const Mode& mode) {
    setenv("HOST_CUDA_ORDER", mode.order, 1);
    setenv("HOST_CUDA_ASYNC", mode.late, 1);
    host_cuda::options = host_cuda::Options::from_environment();
}

}  // namespace selftest

namespace {

using selftest::ALL, selftest::claim, selftest::right_in, selftest::run;

struct Numbers {
    unsigned* out;
};

// ---- right code -----------------------------------------------------------------------------------------------------
// Sums of 0..255 by halves, with the barrier that each step needs (or without).
template <bool BARRIER>
void tree_sum(Numbers a) {
    __shared__ unsigned part[256];
    part[threadIdx.x] = threadIdx.x;
    __syncthreads();
    for (unsigned half = 128; half > 0; half /= 2) {
        if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
        if (BARRIER) __syncthreads();
    }
    if (threadIdx.x == 0) a.out[blockIdx.x] = part[0];
}

// Each quarter of a warp rotates by itself, some more often than others; then the whole warp votes.
void partial_masks(Numbers a) {
    const unsigned quarter = threadIdx.x / 8 % 4, mask = 0xffu << quarter * 8;
    unsigned value = threadIdx.x;
    for (unsigned i = 0; i < 3 + quarter; ++i) value = __shfl_sync(mask, value, int(threadIdx.x + 1) % 8, 8);
    a.out[threadIdx.x] = value + (__ballot_sync(~0u, threadIdx.x % 2) == 0xaaaaaaaau ? 0 : 1000);
}
bool rotated(const unsigned* out) {
    for (unsigned i = 0; i < 64; ++i)
        if (out[i] != i / 8 * 8 + (i + 3 + i / 8 % 4) % 8) return false;
    return true;
}

// Threads that have ended are not waited for.
void early_exit(Numbers a) {
    if (threadIdx.x >= 40) return;
    __syncthreads();
    a.out[threadIdx.x] = __popc(__ballot_sync(~0u, 1));
}

void count_blocks(Numbers a) {
    if (threadIdx.x == 0) atomicAdd(a.out, 1);
}

// ---- faults ---------------------------------------------------------------------------------------------------------
void divergent_barriers(Numbers) {
    if (threadIdx.x < 32) __syncthreads();
    else __syncthreads();
}
void missing_arrivals(Numbers) {
    if (threadIdx.x < 32) bar_sync(1, 64);
}
void never_signalled(Numbers) {
    const auto barrier = reinterpret_cast<uint64_t*>(smem);
    if (threadIdx.x == 0) mbar_init(barrier, 1);
    __syncthreads();
    mbar_wait(barrier, 0);
}
void not_initialised(Numbers) { mbar_wait(reinterpret_cast<uint64_t*>(smem), 0); }
void outside_its_mask(Numbers) { __syncwarp(0x0000ffffu); }
void mask_too_wide(Numbers) {
    if (threadIdx.x % 2) __syncwarp();
    __syncthreads();
}
void different_operations(Numbers a) {
    if (threadIdx.x % 2) a.out[0] = __shfl_xor_sync(~0u, 1u, 1);
    else a.out[1] = __shfl_xor_sync(~0u, 1u, 2);
}
void beyond_shared(Numbers) { cp_async16(1008 + 16, smem, 16); }
void beyond_its_memory(Numbers a) { a.out[64 + threadIdx.x] = 1; }
void beyond_an_array(Numbers a) {
    __shared__ unsigned array[32];
    unsigned* volatile begin = array;   // so that no compiler sees which array it is
    begin[threadIdx.x + a.out[0]] = threadIdx.x;
    __syncthreads();
    a.out[threadIdx.x] = begin[a.out[0]];
}
[[maybe_unused]] void reads_fresh_shared(Numbers a) {
    __shared__ unsigned not_yet_written[32];
    a.out[threadIdx.x] = not_yet_written[threadIdx.x];
    not_yet_written[threadIdx.x] = 0;
}

// What this program prints when it is run with a fatal fault.
[[maybe_unused]] std::string end_of(const std::string& fault) {
    char path[4096] = {}, line[4096];
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0) return "";
    FILE* pipe = popen((std::string(path) + ' ' + fault + " 2>&1").c_str(), "r");
    std::string printed;
    while (pipe && fgets(line, sizeof line, pipe)) printed += line;
    if (pipe) pclose(pipe);
    return printed;
}

bool reports(const std::string& report, const char* what) { return report.find(what) != std::string::npos; }

void right_code(Numbers a) {
    claim(right_in([&] { return run<tree_sum<true>>(a, 256, 0, 5).empty() && a.out[4] == 32640; }) == ALL,
          "a tree of sums with its barriers");
    claim(right_in([&] { return run<partial_masks>(a, 64).empty() && rotated(a.out); }) == ALL,
          "parts of a warp that go at different speeds");
    claim(right_in([&] { return run<early_exit>(a, 64).empty() && a.out[39] == 8 && a.out[0] == 32; }) == ALL,
          "threads that end early");
    a.out[0] = 0;
    claim(run<count_blocks>(a, 32, 0, 1000).empty() && a.out[0] == 1000, "atomic additions of many blocks");
    claim(run<count_blocks>(a, 32).empty() && a.out[0] == 1001, "a launch after a failed one");
}

void faults(Numbers a) {
    const unsigned lucky = right_in([&] { return run<tree_sum<false>>(a, 256).empty() && a.out[0] == 32640; });
    claim(lucky < ALL, "a missing barrier gives wrong sums in some order");
    claim(reports(run<divergent_barriers>(a, 64), "different __syncthreads"), "barriers in both branches");
    claim(reports(run<missing_arrivals>(a, 64), "wait for each other"), "a barrier that expects more threads");
    claim(reports(run<never_signalled>(a, 32, 1024), "waiting for an mbarrier"), "an mbarrier that nobody signals");
    claim(reports(run<not_initialised>(a, 32, 1024), "not initialised"), "an mbarrier without init");
    claim(reports(run<outside_its_mask>(a, 32), "not in the mask"), "a lane outside its own mask");
    claim(reports(run<mask_too_wide>(a, 32), "wait for each other"), "a mask with lanes that do not come");
    claim(reports(run<different_operations>(a, 32), "different collective"), "lanes in different shuffles");
    claim(reports(run<beyond_shared>(a, 32, 1024), "bad address"), "a copy beyond the shared memory");
#if defined(__SANITIZE_ADDRESS__)
    claim(reports(end_of("memory"), "use-after-poison"), "a write beside an allocation");
    claim(reports(end_of("array"), "global-buffer-overflow"), "a write beside a shared array");
#else
    run<reads_fresh_shared>(a, 32);
    claim(a.out[7] == ~0u, "shared arrays begin as NaN bits");
    claim(reports(run<beyond_its_memory>(a, 32), "wrote beside"), "a write beside an allocation");
#endif
}

// Faults that the sanitizer ends the program for; it is run again for each.
void fatal(const std::string& fault, Numbers a) {
    a.out[0] = 1;
    if (fault == "memory") run<beyond_its_memory>(a, 32);
    if (fault == "array") run<beyond_an_array>(a, 32);
}

void memory() {
    using namespace host_cuda;
    options.memory = 1 << 20;
    const Address first = allocate(1 << 19);
    claim(first && !allocate((1 << 19) + 1), "memory has the limit that was set");
    claim(*reinterpret_cast<unsigned*>(first) == ~0u, "fresh memory is NaN bits");
    claim(is_allocated(first + 100, 100) && !is_allocated(first + (1 << 19) - 1, 2), "copies have bounds");
    claim(release(first) && !release(first), "memory is freed once");
}

}  // namespace

int main(int count, char** arguments) {
    host_cuda::on_report = [](const std::string& text) { selftest::reported += text; };
    const Numbers a{reinterpret_cast<unsigned*>(host_cuda::allocate(64 * sizeof(unsigned)))};
    if (count > 1) return fatal(arguments[1], a), 0;
    right_code(a);
    faults(a);
    right_code(a);
    selftest::driver();   // gives this thread a context, which tensor maps need
    selftest::models();
    selftest::tiles();
    selftest::matmul();
    memory();
    printf("%u of the claims are wrong\n", selftest::wrong);
    return selftest::wrong ? 1 : 0;
}
