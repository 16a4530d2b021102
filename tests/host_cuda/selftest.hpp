// selftest.hpp -- kernels run in every order and mode, and what came of it.
#pragma once
#include "hopper.hpp"
#include "memory.hpp"

namespace selftest {

// One claim: printed, and counted if it is wrong.
void claim(bool holds, const char* what);

// What went wrong in a run: "" or the first report.
template <auto kernel, class Args>
std::string run(const Args& args, unsigned threads, unsigned shared = 0, unsigned blocks = 1);

struct Mode {
    const char* order;
    const char* late;
};
#if defined(__SANITIZE_ADDRESS__)
// Where memory is touched does not depend on who comes first: few modes, since each takes long.
constexpr Mode MODES[] = {{"fwd", "none"}, {"revwarp", "copy,mma"}};
#else
constexpr Mode MODES[] = {{"fwd", "none"},     {"rev", "none"},     {"warp", "none"},     {"revwarp", "none"},
                          {"7", "none"},       {"warp", "copy"},    {"revwarp", "copy"},  {"warp", "mma"},
                          {"revwarp", "mma"},  {"warp", "copy,mma"}, {"revwarp", "copy,mma"}};
#endif
void set(const Mode& mode);

extern std::string reported;

template <auto kernel, class Args>
std::string run(const Args& args, unsigned threads, unsigned shared, unsigned blocks) {
    static const host_cuda::Kernel named = host_cuda::Entry<kernel>::named("selftest", "kernel", threads);
    reported.clear();
    const bool good = host_cuda::run({&named, {blocks}, {threads}, shared, &args});
    if (good && reported.empty()) host_cuda::guards_are_intact("kernel");
    return good ? reported : reported.empty() ? "failed without a report" : reported;
}

// In how many of the modes a run ends well and gives the right result.
template <class F>
unsigned right_in(F right) {
    unsigned count = 0;
    for (const Mode& mode : MODES) {
        set(mode);
        count += right() ? 1 : 0;
    }
    set(MODES[0]);
    return count;
}
constexpr unsigned ALL = sizeof MODES / sizeof *MODES;

void models();   // selftest_models.cpp
void tiles();    // selftest_tiles.cpp
void matmul();   // selftest_matmul.cpp
void driver();   // selftest_driver.cpp

}  // namespace selftest
