// options.hpp -- what the environment chooses; README.md lists the variables.
#pragma once
#include <cstddef>

namespace host_cuda {

struct Options {
    // The order in which a block's threads run (and, but for `greedy`, the grid's blocks).
    bool reverse = false;    // last first
    bool greedy = false;     // each warp as far as it gets before the next
    unsigned seed = 0;       // shuffled, unless 0
    // What an asynchronous operation may do as late as the program's own waits allow.
    bool late_copies = false, late_products = false, late_stream = false;
    bool truncate = false;   // tensor cores round toward zero
    unsigned threads = 1;    // OS threads, each running whole blocks

    bool device = true;      // there is one
    int driver = 13000;
    int capability = 90;     // 90 for 9.0
    size_t memory = size_t(1) << 36;

    static Options from_environment();
};

inline Options options = Options::from_environment();

}  // namespace host_cuda
