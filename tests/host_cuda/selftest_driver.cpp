// selftest_driver.cpp -- the stand-in driver is as strict as it says, and as late as it may be.
#include "driver.hpp"
#include "memory.hpp"
#include "selftest.hpp"

using host_cuda::Address, host_cuda::Result;

extern "C" {
Result cuInit(unsigned);
Result cuDevicePrimaryCtxRetain(void** context, int);
Result cuCtxSetCurrent(void* context);
Result cuStreamSynchronize(void* stream);
Result cuEventCreate(void** event, unsigned);
Result cuEventRecord(void* event, void* stream);
Result cuEventQuery(void* event);
Result cuEventDestroy_v2(void* event);
Result cuMemAlloc_v2(Address* at, size_t bytes);
Result cuMemFree_v2(Address at);
Result cuMemHostAlloc(void** at, size_t bytes, unsigned);
Result cuMemFreeHost(void* at);
Result cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, void* stream);
Result cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, void* stream);
Result cuModuleGetFunction(void** function, void* module, const char* name);
Result cuFuncSetAttribute(void* function, int attribute, int value);
struct Attribute {   // CUlaunchAttribute
    int id;
    char pad[4];
    union { char bytes[64]; int overlaps; };
};
struct Config {      // CUlaunchConfig
    dim3 grid, block;
    unsigned shared;
    void* stream;
    Attribute* attributes;
    unsigned count;
};
Result cuLaunchKernelEx(const Config*, void* function, void** params, void** extra);
struct Edge {        // CUgraphEdgeData
    uint8_t from_port, to_port, type, reserved[5];
};
Result cuGraphAddDependencies_v2(void* graph, void* const* from, void* const* to, const Edge*, size_t count);
struct Parameters {   // CUDA_KERNEL_NODE_PARAMS_v2
    void* function;
    dim3 grid, block;
    unsigned shared;
    void **params, **extra, *kernel, *context;
};
Result cuGraphCreate(void** graph, unsigned);
Result cuGraphDestroy(void* graph);
Result cuGraphAddKernelNode_v2(void** node, void* graph, void* const* after, size_t count, const Parameters*);
Result cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long);
Result cuGraphExecKernelNodeSetParams_v2(void* executable, void* node, const Parameters*);
Result cuGraphLaunch(void* executable, void* stream);
Result cuGraphExecDestroy(void* executable);
}

namespace {

using selftest::claim;

// out[0] = 10 out[0] + digit
struct Append {
    unsigned *out, digit;
};

}  // namespace

extern "C" __global__ void __launch_bounds__(32) append(const __grid_constant__ Append a) {
    if (threadIdx.x == 0) a.out[0] = 10 * a.out[0] + a.digit;
}
HOST_CUDA_KERNEL("selftest", append, 32);

extern "C" __global__ void __launch_bounds__(32) append_waiting(const __grid_constant__ Append a) {
    grid_dependency_wait();
    append(a);
}
HOST_CUDA_KERNEL("selftest", append_waiting, 32);

namespace {

void* function_of(const char* name) {
    void* function = nullptr;
    return cuModuleGetFunction(&function, nullptr, name) ? nullptr : function;
}

Result launch(Append a, unsigned threads, unsigned shared, bool overlaps = false, const char* kernel = "append") {
    void* params[] = {&a};
    Attribute attribute{6, {}, {}};   // CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION
    attribute.overlaps = overlaps;
    const Config config{{1}, {threads}, shared, nullptr, &attribute, 1};
    return cuLaunchKernelEx(&config, function_of(kernel), params, nullptr);
}

unsigned value(Address at) {
    unsigned host = 0;
    cuMemcpyDtoHAsync_v2(&host, at, sizeof host, nullptr);
    return host;
}
void write(Address to, unsigned host) { cuMemcpyHtoDAsync_v2(to, &host, sizeof host, nullptr); }

void refusals() {
    Address at = 0;
    cuCtxSetCurrent(nullptr);
    claim(cuMemAlloc_v2(&at, 64) == host_cuda::INVALID_CONTEXT, "a thread without a context");
    void* context = nullptr;
    claim(!cuInit(0) && !cuDevicePrimaryCtxRetain(&context, 0) && !cuCtxSetCurrent(context), "a context");
    claim(cuMemAlloc_v2(&at, 0) == host_cuda::INVALID_VALUE, "an allocation of nothing");
    cuMemAlloc_v2(&at, 64);
    char host[65] = {};
    claim(cuMemcpyHtoDAsync_v2(at, host, 65, nullptr) == host_cuda::INVALID_VALUE, "a copy that is too long");
    const Append a{reinterpret_cast<unsigned*>(at), 0};
    claim(!function_of("appends"), "a kernel that is not there");
    claim(launch(a, 33, 0) == host_cuda::INVALID_VALUE, "more threads than the launch bounds");
    claim(launch(a, 32, 60000) == host_cuda::INVALID_VALUE, "more shared memory than was asked for");
    cuMemFree_v2(at);
    claim(cuMemcpyHtoDAsync_v2(at, host, 4, nullptr) == host_cuda::INVALID_VALUE, "a copy to freed memory");
}

void lateness() {
    selftest::set({"fwd", "stream"});
    Address at = 0;
    cuMemAlloc_v2(&at, 64);
    write(at, 7);   // from memory that is not pinned, and gone by now
    void *pinned = nullptr, *event = nullptr;
    cuMemHostAlloc(&pinned, 4, 0);
    auto& host = *static_cast<unsigned*>(pinned);
    host = 1;
    cuMemcpyDtoHAsync_v2(pinned, at, 4, nullptr);
    cuEventCreate(&event, 0);
    cuEventRecord(event, nullptr);
    claim(host == 1, "a copy to pinned memory comes late");
    while (cuEventQuery(event) == host_cuda::NOT_READY) {}
    claim(host == 7, "a copy to pinned memory comes");
    host = 2;
    cuMemcpyHtoDAsync_v2(at, pinned, 4, nullptr);
    host = 3;
    claim(value(at) == 3, "a copy from pinned memory reads late");
    launch({reinterpret_cast<unsigned*>(at), 5}, 32, 0);
    cuStreamSynchronize(nullptr);
    claim(value(at) == 35, "work in the order of the calls");
    cuEventDestroy_v2(event);
    cuMemFreeHost(pinned);
    cuMemFree_v2(at);
    selftest::set(selftest::MODES[0]);
}

// Three digits, each behind the one before it, or not; and this is how.
unsigned by_graph(bool ordered, Address at, const char* kernel = "append", Edge edge = {}) {
    void *graph = nullptr, *executable = nullptr, *nodes[3] = {};
    cuGraphCreate(&graph, 0);
    Append a{reinterpret_cast<unsigned*>(at), 0};
    void* params[] = {&a};
    const Parameters p{function_of(kernel), {1}, {32}, 0, params, nullptr, nullptr, nullptr};
    for (unsigned i = 0; i < 3; ++i) {
        a.digit = i + 1;
        cuGraphAddKernelNode_v2(&nodes[i], graph, nullptr, 0, &p);
        if (ordered && i) cuGraphAddDependencies_v2(graph, &nodes[i - 1], &nodes[i], &edge, 1);
    }
    cuGraphInstantiateWithFlags(&executable, graph, 0);
    write(at, 0);
    cuGraphLaunch(executable, nullptr);
    a.digit = 9;
    cuGraphExecKernelNodeSetParams_v2(executable, nodes[1], &p);
    cuGraphLaunch(executable, nullptr);
    cuGraphExecDestroy(executable);
    cuGraphDestroy(graph);
    return value(at);
}

void graphs() {
    Address at = 0;
    cuMemAlloc_v2(&at, 64);
    selftest::set({"rev", "stream"});
    claim(by_graph(true, at) == 123193, "a graph, and with new parameters");
    claim(by_graph(false, at) == 321391, "a graph without dependencies runs in the order of its luck");
    selftest::set(selftest::MODES[0]);
    cuMemFree_v2(at);
}

void overlap() {
    Address at = 0;
    cuMemAlloc_v2(&at, 64);
    write(at, 0);
    const Append a{reinterpret_cast<unsigned*>(at), 4};
    claim(!launch(a, 32, 0, true, "append_waiting") && value(at) == 4, "a kernel that waits may overlap");
    claim(by_graph(true, at, "append_waiting", {1, 0, 1}) == 123193, "and in a graph");
    selftest::reported.clear();
    claim(launch(a, 32, 0, true) && selftest::reported.find("did not wait") != std::string::npos,
          "a kernel that does not wait may not");
    cuMemFree_v2(at);
}

}  // namespace

void selftest::driver() {
    refusals();
    lateness();
    graphs();
    overlap();
}
