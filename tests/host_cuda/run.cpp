// run.cpp -- the blocks of a launch, shared out among OS threads that stay.
#include "block.hpp"

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include <signal.h>

namespace host_cuda {
namespace {

// A wild access ends the program; at least it says who made it. The sanitizer has better words of its own.
void install_crash_report() {
#if !defined(__SANITIZE_ADDRESS__)
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | int(SA_RESETHAND);
    action.sa_sigaction = [](int, siginfo_t* info, void*) {
        if (worker && worker->launch)
            fprintf(stderr, "host_cuda: kernel %s, block (%u, %u, %u), thread %u touched address %p; try --sanitize\n",
                    worker->launch->kernel->name, worker->block_index.x, worker->block_index.y, worker->block_index.z,
                    worker->thread->linear, info->si_addr);
    };
    sigaction(SIGSEGV, &action, nullptr);
#endif
}

// What the OS threads are doing. Never destroyed: they outlive main.
struct Crew {
    std::mutex mutex;
    std::condition_variable changed;
    const Launch* launch = nullptr;
    uint64_t number = 0;     // of the launch
    unsigned wanted = 0, busy = 0;   // threads it takes; of them, not yet done
    std::atomic<size_t> next{0};
    std::atomic<bool> failed{false};

    explicit Crew(unsigned threads) {
        install_crash_report();
        for (unsigned i = 0; i < threads; ++i) std::thread(&Crew::serve, this, i).detach();
    }

    void serve(unsigned me) {
        Worker mine;
        uint64_t done = 0;
        for (std::unique_lock lock(mutex);;) {
            changed.wait(lock, [&] { return number != done; });
            done = number;
            if (me >= wanted) continue;
            lock.unlock();
            mine.run(*launch, next, failed);
            lock.lock();
            if (--busy == 0) changed.notify_all();
        }
    }

    bool run(const Launch& what) {
        std::unique_lock lock(mutex);
        launch = &what;
        next = 0;
        failed = false;
        wanted = busy = unsigned(std::min<size_t>(options.threads, what.grid.count()));
        ++number;
        changed.notify_all();
        changed.wait(lock, [&] { return busy == 0; });
        return !failed;
    }
};

void print(const std::string& text) {
    static std::mutex one_at_a_time;
    const std::lock_guard lock(one_at_a_time);
    fputs(text.c_str(), stderr);
}

}  // namespace

void (*on_report)(const std::string& text) = print;

std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

bool run(const Launch& launch) {
    static std::mutex one_at_a_time;
    static Crew& crew = *new Crew(options.threads);
    const std::lock_guard lock(one_at_a_time);
    return crew.run(launch);
}

}  // namespace host_cuda
