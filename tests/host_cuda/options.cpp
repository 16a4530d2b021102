// options.cpp -- the environment, read once when the library is loaded.
#include "options.hpp"

#include <cmath>
#include <cstdlib>
#include <string>
#include <thread>

namespace host_cuda {
namespace {

std::string variable(const char* name, const char* otherwise) {
    const char* value = getenv(name);
    return value && *value ? value : otherwise;
}

bool has(const std::string& list, const char* word) { return list.find(word) != std::string::npos; }

}  // namespace

Options Options::from_environment() {
    Options o;
    const std::string order = variable("HOST_CUDA_ORDER", "fwd"), late = variable("HOST_CUDA_ASYNC", "none");
    o.reverse = has(order, "rev");
    o.greedy = has(order, "warp");
    o.seed = unsigned(atoi(order.c_str()));
    o.late_copies = has(late, "copy");
    o.late_products = has(late, "mma");
    o.late_stream = has(late, "stream");
    o.truncate = variable("HOST_CUDA_ACCUMULATE", "nearest") == "truncate";
    const std::string cores = std::to_string(std::thread::hardware_concurrency());
    o.threads = unsigned(std::max(1, atoi(variable("HOST_CUDA_THREADS", cores.c_str()).c_str())));
#if defined(__SANITIZE_ADDRESS__)
    o.threads = 1;   // shared arrays exist once
#endif
    o.device = variable("HOST_CUDA_DEVICE", "1") != "none";
    o.driver = atoi(variable("HOST_CUDA_DRIVER", "13000").c_str());
    o.capability = int(std::lround(10 * atof(variable("HOST_CUDA_CAPABILITY", "9.0").c_str())));
    o.memory = size_t(atoll(variable("HOST_CUDA_MEMORY", "68719476736").c_str()));
    return o;
}

}  // namespace host_cuda
