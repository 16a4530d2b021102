// block.cpp -- the threads of a block: who runs, who waits for whom.
#include "block.hpp"

#include <cstring>
#include <numeric>
#include <random>
#include <sstream>

namespace host_cuda {

thread_local Worker* worker = nullptr;

namespace {

bool same(const Site& a, const Site& b) {
    const bool one_file = a.file_name() == b.file_name() || !strcmp(a.file_name(), b.file_name());
    return a.line() == b.line() && one_file;
}

// The order of `count` threads. Reversed, a last warp that is not full still stands in one group of WARP.
std::vector<unsigned> order_of(unsigned count) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0u);
    if (options.reverse) {
        std::reverse(order.begin(), order.end());
        std::rotate(order.begin(), order.begin() + count % WARP, order.end());
    }
    if (options.seed) std::shuffle(order.begin(), order.end(), std::mt19937(options.seed));
    return order;
}

// The block that is run as the i-th of `count`.
size_t block_at(size_t i, size_t count) {
    if (options.reverse) return count - 1 - i;
    return options.seed ? (i + options.seed * size_t(7919)) % count : i;
}

}  // namespace

bool Worker::run(const Launch& what, std::atomic<size_t>& next, std::atomic<bool>& any_failed) {
    worker = this;
    prepare(what);
    const size_t count = what.grid.count();
    for (size_t i; !any_failed && (i = next++) < count;) {
        const size_t block = block_at(i, count);
        block_index = {unsigned(block % what.grid.x), unsigned(block / what.grid.x % what.grid.y),
                       unsigned(block / what.grid.x / what.grid.y)};
        run_block();
        if (failed) any_failed = true;
    }
    return !any_failed;
}

void Worker::prepare(const Launch& what) {
    launch = &what;
    const auto count = unsigned(what.block.count());
    threads.resize(count);
    const dim3 block = what.block;
    for (unsigned i = 0; i < count; ++i) {
        threads[i].linear = i;
        threads[i].index = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    }
    warps.resize((count + WARP - 1) / WARP);
    order = order_of(count);
    poison_shared();
}

void Worker::run_block() {
    const auto count = unsigned(threads.size());
    memset(smem, 0xff, launch->shared);
    copies.clear();
    copy_groups.clear();
    product_groups.clear();
    std::fill(std::begin(arrived), std::end(arrived), 0u);
    std::fill(warps.begin(), warps.end(), Warp{~0u, 0});
    if (count % WARP) warps.back().alive = (1u << count % WARP) - 1;
    for (Thread& t : threads) {
        t.state = State::READY;
        t.fiber = nullptr;
        t.products = 0;
        t.waited = false;
    }
    ++blocks;
    alive = count;
    failed = false;
    const unsigned group = options.greedy ? WARP : count;
    while (alive && !failed) {
        const uint64_t before = progress;
        for (unsigned first = 0; first < count && !failed; first += group) {
            uint64_t at;
            do {
                at = progress;
                visit(first, std::min(first + group, count));
            } while (options.greedy && progress != at && !failed);
        }
        if (progress == before && !failed && !finish_a_copy()) {
            report("the threads wait for each other");
            failed = true;
        }
    }
    if (failed) {
        // What lies on the stacks will never go on.
        fibers.clear();
        idle.clear();
    }
}

void Worker::visit(unsigned first, unsigned last) {
    limit = last;
    for (cursor = first; cursor < limit && !failed; ++cursor) {
        Thread& t = threads[order[cursor]];
        if (t.state == State::READY) ++progress;
        if (t.state == State::READY || t.state == State::POLLING) resume(t);
    }
}

void Worker::resume(Thread& t) {
    thread = &t;
    if (!t.fiber) {
        if (idle.empty()) {
            fibers.push_back(std::make_unique<Fiber>(&Worker::live, unsigned(fibers.size())));
            idle.push_back(fibers.back().get());
        }
        t.fiber = idle.back();
        idle.pop_back();
    }
    switch_context(home, t.fiber->context);
    if (thread->state == State::ENDED) idle.push_back(thread->fiber);
}

void Worker::live() {
    arrived_from(worker->home);
    for (;;) {
        worker->launch->kernel->call(worker->launch->args);
        worker->end();
        if (!worker->take_next()) worker->leave();
    }
}

// A thread that has ended leaves its fiber to the one behind it, if that has not begun: threads that never wait cost
// a call each.
bool Worker::take_next() {
    if (cursor + 1 >= limit) return false;
    Thread& next = threads[order[cursor + 1]];
    if (next.fiber || next.state != State::READY) return false;
    ++cursor;
    ++progress;
    next.fiber = thread->fiber;
    thread = &next;
    return true;
}

// Those who wait do not wait for a thread that has ended.
void Worker::end() {
    if (launch->overlaps && !thread->waited) fail("a thread that did not wait for the kernel before");
    thread->state = State::ENDED;
    --alive;
    Warp& warp = warps[thread->linear / WARP];
    warp.alive &= ~(1u << thread->linear % WARP);
    if (alive && arrived[0] == alive) release(0);
    const unsigned first = thread->linear / WARP * WARP;
    for (unsigned lane = 0; lane < WARP && warp.waiting >> lane; ++lane)
        if (warp.waiting >> lane & 1) release_collective(threads[first + lane]);
}

void Worker::sync(unsigned barrier, unsigned count, Site site) {
    Thread& me = *thread;
    me.state = State::AT_BARRIER;
    me.barrier = barrier;
    me.site = site;
    if (++arrived[barrier] == (count == EVERYBODY ? alive : count)) {
        if (count == EVERYBODY)
            for (const Thread& t : threads)
                if (t.state == State::AT_BARRIER && t.barrier == barrier && !same(t.site, site))
                    fail("threads wait at different __syncthreads()");
        release(barrier);
    }
    leave();
}

void Worker::release(unsigned barrier) {
    for (Thread& t : threads)
        if (t.state == State::AT_BARRIER && t.barrier == barrier) t.state = State::READY;
    arrived[barrier] = 0;
}

Lanes Worker::exchange(unsigned mask, std::initializer_list<uint64_t> words, Site site) {
    Thread& me = *thread;
    const unsigned lane = host_cuda::lane();
    me.state = State::IN_COLLECTIVE;
    me.mask = mask;
    me.site = site;
    if (!(mask >> lane & 1)) fail("a lane is not in the mask that it passes");
    me.turn ^= 1;
    std::copy(words.begin(), words.end(), me.given[me.turn]);
    warps[me.linear / WARP].waiting |= 1u << lane;
    release_collective(me);
    leave();
    return {&threads[me.linear - lane], me.partners, me.turns};
}

// Lets the lanes of a collective operation go on, once all in the mask of `one` are there or have ended.
void Worker::release_collective(const Thread& one) {
    Warp& warp = warps[one.linear / WARP];
    const unsigned partners = one.mask & warp.alive, mask = one.mask;
    if ((warp.waiting & partners) != partners) return;
    Thread* lanes = &threads[one.linear / WARP * WARP];
    unsigned turns = 0;
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(partners >> lane & 1)) continue;
        if (lanes[lane].mask != mask) return;   // still in another one
        if (!same(lanes[lane].site, one.site)) fail("lanes of a warp meet in different collective operations");
        turns |= lanes[lane].turn << lane;
    }
    for (unsigned lane = 0; lane < WARP; ++lane) {
        if (!(partners >> lane & 1)) continue;
        lanes[lane].state = State::READY;
        lanes[lane].partners = partners;
        lanes[lane].turns = turns;
    }
    warp.waiting &= ~partners;
}

void Worker::wait_until(const std::function<bool()>& condition, Site site) {
    thread->site = site;
    while (!condition()) {
        thread->state = State::POLLING;
        leave();
    }
    thread->state = State::READY;
    ++progress;
}

void Groups::wait(size_t open) {
    if (ends.size() <= open) return;
    const auto last = ends.end() - ptrdiff_t(open);
    const size_t done = *(last - 1);
    for (size_t i = 0; i < done; ++i) operations[i]();
    operations.erase(operations.begin(), operations.begin() + ptrdiff_t(done));
    ends.erase(ends.begin(), last);
    for (size_t& end : ends) end -= done;
}

bool Worker::finish_a_copy() {
    if (copies.empty()) return false;
    const auto which = options.reverse ? copies.end() - 1 : copies.begin();
    const auto copy = std::move(*which);
    copies.erase(which);
    copy();
    return true;
}

void Worker::fail(const char* why) {
    report(why);
    failed = true;
    leave();
    __builtin_unreachable();
}

void Worker::report(const char* why) const {
    std::ostringstream text;
    text << "host_cuda: kernel " << launch->kernel->name << ", block (" << block_index.x << ", " << block_index.y
         << ", " << block_index.z << "): " << why << '\n';
    unsigned shown = 0;
    for (const Thread& t : threads) {
        const bool waits = t.state != State::READY && t.state != State::ENDED;
        if ((!waits && &t != thread) || ++shown > 12) continue;
        text << "  thread " << t.linear;
        switch (t.state) {
        case State::AT_BARRIER: text << " at barrier " << t.barrier; break;
        case State::IN_COLLECTIVE: text << " in a collective of lanes " << std::hex << t.mask << std::dec; break;
        case State::POLLING: text << " waiting for an mbarrier"; break;
        default: text << " running";
        }
        if (waits) text << ", " << t.site.file_name() << ':' << t.site.line();
        text << '\n';
    }
    if (shown > 12) text << "  and " << shown - 12 << " more threads\n";
    on_report(text.str());
}

}  // namespace host_cuda
