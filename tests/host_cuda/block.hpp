// block.hpp -- runs the threads of a block on one OS thread, each on a fiber, and watches how they wait.
//
// A thread runs until it waits -- at a barrier, in a collective operation of its warp, for an mbarrier -- or ends.
// Nothing preempts it, so a run is the same every time; HOST_CUDA_ORDER chooses who comes first. Refused, with the
// place of every waiting thread: a wait that cannot end, barriers that only a part of the block meets, lanes that
// disagree on a collective operation.
#pragma once
#include "fiber.hpp"
#include "options.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

// Shared memory: one copy for each OS thread, which runs one block at a time. In a function that is static all the
// same. The sanitizer sees what lies beside an array only if it is plain static: there one thread runs all blocks.
#if defined(__SANITIZE_ADDRESS__)
#define HOST_CUDA_SHARED static   // scripts/host-cuda makes `extern static` an `extern`
#define HOST_CUDA_DYNAMIC_SHARED
#else
#define HOST_CUDA_SHARED thread_local
#define HOST_CUDA_DYNAMIC_SHARED thread_local
#endif

// A launch uses as much of it as it asked for.
extern HOST_CUDA_DYNAMIC_SHARED uint8_t smem[] __attribute__((aligned(1024)));

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
    size_t count() const { return size_t(x) * y * z; }
};

namespace host_cuda {

constexpr unsigned WARP = 32, WARPGROUP = 128;
constexpr unsigned MOST_THREADS = 1024, MOST_SHARED = 232448;   // of a block
using Site = std::source_location;

// A kernel of kernels/*.cu; it takes one struct by value.
struct Kernel {
    const char *file, *name;
    void (*call)(const void* args);
    size_t args_bytes;
    unsigned most_threads;   // by its __launch_bounds__
};

struct Launch {
    const Kernel* kernel;
    dim3 grid, block;
    unsigned shared;         // bytes of dynamic shared memory
    const void* args;
    bool overlaps = false;   // it may begin before the one before has ended
};

enum class State : uint8_t { READY, AT_BARRIER, IN_COLLECTIVE, POLLING, ENDED };

// How many products of a warp or a warpgroup are remembered: more than are under way at a time.
constexpr unsigned KEPT_PRODUCTS = 16;

struct Thread {
    Fiber* fiber = nullptr;
    uint3 index{};
    unsigned linear = 0;
    State state = State::READY;
    Site site{};             // where it waits
    unsigned barrier = 0;    // AT_BARRIER
    unsigned mask = 0;       // IN_COLLECTIVE
    // What it gives to its current and to its last collective operation, which some lane may still be reading.
    uint64_t given[2][5] = {};
    unsigned turn = 0;       // which of them is current
    // Of the collective operation that ended last: who took part, and in which turn each was.
    unsigned partners = 0, turns = 0;
    unsigned products = 0;   // of matrices, begun in this block
    uint32_t operands[KEPT_PRODUCTS][4] = {};   // of the last ones, what they have in registers
    bool waited = false;     // for the kernel before
};

// What the lanes of a warp gave to one collective operation.
struct Lanes {
    const Thread* warp;
    unsigned partners, turns;
    // A lane that took no part has a value nobody should use: NaN bits.
    uint64_t word(unsigned lane, unsigned index) const {
        return partners >> lane & 1 ? warp[lane].given[turns >> lane & 1][index] : ~uint64_t(0);
    }
    uint64_t operator[](unsigned lane) const { return word(lane, 0); }
};

// Asynchronous operations of one thread, which it commits in groups and waits for in order.
class Groups {
public:
    void add(std::function<void()> operation) { operations.push_back(std::move(operation)); }
    void commit() { ends.push_back(operations.size()); }
    // Does what the wait for all but the newest `open` groups promises.
    void wait(size_t open);

private:
    std::vector<std::function<void()>> operations;
    std::vector<size_t> ends;
};

// Of a product that a warp or a warpgroup makes together: what the first of its threads there has worked out for all.
struct Shared {
    uint64_t block = 0;          // of the worker's; 0 for none
    unsigned product = 0;        // which one of the block
    std::array<uint64_t, 2> operands{};
    std::vector<float> values;
};

struct Warp {
    unsigned alive, waiting;   // lanes: not ended; in a collective operation
};

// Barriers 0-15 are the hardware's, 0 that of __syncthreads; each warpgroup has one more for its matrix products.
constexpr unsigned BARRIERS = 24, FIRST_WARPGROUP = 16;
constexpr unsigned EVERYBODY = 0;   // as a count: all threads that have not ended

// Warps and warpgroups.
constexpr unsigned GROUPS = MOST_THREADS / WARP + MOST_THREADS / WARPGROUP;

// One OS thread, and the block it is running.
class Worker {
public:
    // Read by kernels.
    Thread* thread = nullptr;   // the one that runs
    uint3 block_index{};
    const Launch* launch = nullptr;
    // Copies under way, done when nothing else can run (HOST_CUDA_ASYNC=copy).
    std::vector<std::function<void()>> copies;
    // cp.async and wgmma of each thread; empty until one is met.
    std::vector<Groups> copy_groups, product_groups;

    // Runs blocks until there are none left or one fails. False: failed, and reported.
    bool run(const Launch& what, std::atomic<size_t>& next, std::atomic<bool>& failed);

    void sync(unsigned barrier, unsigned count, Site site);
    Lanes exchange(unsigned mask, std::initializer_list<uint64_t> words, Site site);
    // Waits for a condition that other threads or copies make true.
    void wait_until(const std::function<bool()>& condition, Site site);
    void progressed() { ++progress; }
    Groups& my(std::vector<Groups>& of_threads) {
        of_threads.resize(threads.size());
        return of_threads[thread->linear];
    }
    // The `count` values that `work` writes for a product of a group of threads; of each group the first one here does
    // the work. All must name the same operands.
    template <class F>
    const float* together(unsigned group, unsigned product, std::array<uint64_t, 2> operands, size_t count, F work) {
        shared.resize(GROUPS * KEPT_PRODUCTS);
        Shared& found = shared[group * KEPT_PRODUCTS + product % KEPT_PRODUCTS];
        if (found.block != blocks || found.product != product) {
            found.block = blocks;
            found.product = product;
            found.operands = operands;
            found.values.resize(count);
            work(found.values.data());
        }
        if (found.operands != operands) fail("threads disagree on the operands of their product");
        return found.values.data();
    }
    // As groups of threads that multiply.
    unsigned warp() const { return thread->linear / WARP; }
    unsigned warpgroup() const { return MOST_THREADS / WARP + thread->linear / WARPGROUP; }
    // Reports the state of the block and gives the launch up.
    [[noreturn]] void fail(const char* why);

private:
    Context home;
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<unsigned> order;
    std::vector<Shared> shared;
    uint64_t blocks = 0;        // begun, of all launches
    unsigned arrived[BARRIERS] = {};
    unsigned alive = 0;         // threads not ended
    uint64_t progress = 0;
    unsigned cursor = 0, limit = 0;   // of a visit, in `order`
    bool failed = false;

    static void live();         // a fiber's life: one thread after the other
    bool take_next();
    void prepare(const Launch& what);
    void poison_shared();
    void run_block();
    void visit(unsigned first, unsigned last);
    void resume(Thread& t);
    void leave() { switch_context(thread->fiber->context, home); }
    void end();
    bool finish_a_copy();
    void release(unsigned barrier);
    void release_collective(const Thread& one);
    void report(const char* why) const;
};

// The calling OS thread's.
extern thread_local Worker* worker;

inline unsigned lane() { return worker->thread->linear % WARP; }

// Kernels by name, as their files register them.
std::vector<Kernel>& kernels();

// Runs a kernel to its end. False: it failed, and `on_report` was told.
bool run(const Launch& launch);

// Who is told what is wrong; at first the standard error.
extern void (*on_report)(const std::string& text);

}  // namespace host_cuda
