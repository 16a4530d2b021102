// driver_launch.cpp -- the stand-in for libcuda.so.1, second part: modules, launches, graphs, tensor maps.
#include "driver.hpp"
#include "memory.hpp"
#include "tensor_map.hpp"

#include <cstring>

using namespace host_cuda;

namespace {

// As in cuda.h.
constexpr int PTX_VERSION = 5, MAX_DYNAMIC_SHARED = 8;   // of a function
constexpr int PROGRAMMATIC_STREAM_SERIALIZATION = 6;     // of a launch
constexpr size_t MOST_ARGS = 4096;

// A launch with its own copy of the arguments.
struct Prepared {
    Launch launch{};
    struct alignas(128) Args { uint8_t bytes[MOST_ARGS]; };
    std::shared_ptr<Args> args = std::make_shared<Args>();
};

// CUlaunchConfig
struct Config {
    dim3 grid, block;
    unsigned shared;
    void* stream;
    const struct Attribute {
        int id;
        char pad[4];
        union { char bytes[64]; int overlaps; };
    }* attributes;
    unsigned count;
};

Result prepare(void* function, dim3 grid, dim3 block, unsigned shared, void** params, Prepared& prepared) {
    if (!function || !params) return INVALID_HANDLE;
    const auto& f = *static_cast<const Function*>(function);
    const bool fits = grid.count() > 0 && grid.x <= 0x7fffffff && grid.y <= 65535 && grid.z <= 65535 &&
                      block.count() > 0 && block.count() <= f.kernel->most_threads && shared <= f.most_shared &&
                      f.kernel->args_bytes <= MOST_ARGS;
    if (!fits) return INVALID_VALUE;
    memcpy(prepared.args->bytes, params[0], f.kernel->args_bytes);
    prepared.launch = {f.kernel, grid, block, shared, prepared.args->bytes};
    return SUCCESS;
}

Result perform(const Prepared& prepared) {
    const bool good = run(prepared.launch) && guards_are_intact(prepared.launch.kernel->name);
    return good ? SUCCESS : LAUNCH_FAILED;
}

// Nodes stand behind those that they depend on.
struct Node {
    Prepared work;
    std::vector<const Node*> after;
    bool overlaps = false;
};
struct Graph {
    std::vector<std::unique_ptr<Node>> nodes;
};
struct Executable {
    std::vector<Node> nodes;
    std::vector<std::vector<size_t>> after;
    std::vector<const Node*> made_from;
};

// All nodes, in an order that their dependencies allow: the first possible, or reversed the last.
Result perform(const Executable& graph) {
    std::vector<bool> done(graph.nodes.size());
    for (size_t count = 0; count < done.size(); ++count) {
        size_t chosen = done.size();
        for (size_t i = 0; i < done.size(); ++i) {
            bool ready = !done[i];
            for (size_t earlier : graph.after[i]) ready = ready && done[earlier];
            if (ready && (chosen == done.size() || options.reverse)) chosen = i;
        }
        Prepared work = graph.nodes[chosen].work;
        work.launch.overlaps = graph.nodes[chosen].overlaps;
        if (const Result bad = perform(work)) return bad;
        done[chosen] = true;
    }
    return SUCCESS;
}

// CUgraphEdgeData
struct Edge {
    uint8_t from_port, to_port, type, reserved[5];
};
constexpr uint8_t PROGRAMMATIC = 1;   // as a type, and as a port of a kernel

// CUDA_KERNEL_NODE_PARAMS_v2
struct NodeParams {
    void* function;
    dim3 grid, block;
    unsigned shared;
    void **params, **extra;
    void *kernel, *context;
};

char module_handle;

}  // namespace

extern "C" {

Result cuModuleLoadData(void** module, const void*) {
    NEEDS_CONTEXT;
    *module = &module_handle;
    return SUCCESS;
}
Result cuModuleUnload(void*) { return SUCCESS; }
Result cuModuleGetFunction(void** function, void*, const char* name) {
    for (const Kernel& kernel : kernels())
        if (!strcmp(kernel.name, name)) {
            *function = new Function{&kernel};   // lives as long as its module, which is never unloaded
            return SUCCESS;
        }
    return NOT_FOUND;
}
Result cuFuncSetAttribute(void* function, int attribute, int value) {
    if (attribute != MAX_DYNAMIC_SHARED || value < 0 || unsigned(value) > MOST_SHARED) return INVALID_VALUE;
    static_cast<Function*>(function)->most_shared = unsigned(value);
    return SUCCESS;
}
Result cuFuncGetAttribute(int* value, int attribute, void*) {
    *value = options.capability;
    return attribute == PTX_VERSION ? SUCCESS : INVALID_VALUE;
}
// Each kernel has one parameter.
Result cuFuncGetParamInfo(void* function, size_t index, size_t* offset, size_t* bytes) {
    if (index != 0) return INVALID_VALUE;
    *offset = 0;
    *bytes = static_cast<const Function*>(function)->kernel->args_bytes;
    return SUCCESS;
}

Result cuLaunchKernelEx(const Config* config, void* function, void** params, void**) {
    NEEDS_CONTEXT;
    Prepared work;
    if (const Result bad = prepare(function, config->grid, config->block, config->shared, params, work)) return bad;
    for (unsigned i = 0; i < config->count; ++i) {
        if (config->attributes[i].id != PROGRAMMATIC_STREAM_SERIALIZATION) return INVALID_VALUE;
        work.launch.overlaps = config->attributes[i].overlaps;
    }
    if (work.launch.overlaps && options.capability < 90) return INVALID_VALUE;
    return enqueue([work] { return perform(work); });
}

Result cuGraphCreate(Graph** graph, unsigned) {
    *graph = new Graph;
    return SUCCESS;
}
Result cuGraphDestroy(Graph* graph) {
    delete graph;
    return SUCCESS;
}
Result cuGraphAddKernelNode_v2(Node** node, Graph* graph, Node* const* after, size_t count, const NodeParams* p) {
    NEEDS_CONTEXT;
    auto made = std::make_unique<Node>();
    made->after.assign(after, after + count);
    if (const Result bad = prepare(p->function, p->grid, p->block, p->shared, p->params, made->work)) return bad;
    *node = made.get();
    graph->nodes.push_back(std::move(made));
    return SUCCESS;
}
// Of a kernel behind another one.
Result cuGraphAddDependencies_v2(Graph*, const Node* const* from, Node* const* to, const Edge* edges, size_t count) {
    NEEDS_CONTEXT;
    for (size_t i = 0; i < count; ++i) {
        const bool overlaps = edges[i].type == PROGRAMMATIC;
        if (edges[i].from_port != overlaps || edges[i].to_port != 0 || (overlaps && options.capability < 90))
            return INVALID_VALUE;
        to[i]->after.push_back(from[i]);
        to[i]->overlaps = overlaps;
    }
    return SUCCESS;
}
Result cuGraphInstantiateWithFlags(Executable** executable, const Graph* graph, unsigned long long) {
    NEEDS_CONTEXT;
    auto made = std::make_unique<Executable>();
    for (const auto& node : graph->nodes) {
        std::vector<size_t> after;
        for (size_t i = 0; i < made->made_from.size(); ++i)
            if (std::count(node->after.begin(), node->after.end(), made->made_from[i])) after.push_back(i);
        if (after.size() != node->after.size()) return INVALID_VALUE;
        made->nodes.push_back(*node);
        made->after.push_back(after);
        made->made_from.push_back(node.get());
    }
    *executable = made.release();
    return SUCCESS;
}
Result cuGraphExecKernelNodeSetParams_v2(Executable* executable, const Node* node, const NodeParams* p) {
    NEEDS_CONTEXT;
    // A launch that is queued keeps the parameters it was queued with.
    if (const Result bad = finish_queue()) return bad;
    const auto& from = executable->made_from;
    const auto at = size_t(std::find(from.begin(), from.end(), node) - from.begin());
    if (at == from.size()) return INVALID_VALUE;
    Prepared changed;
    if (const Result bad = prepare(p->function, p->grid, p->block, p->shared, p->params, changed)) return bad;
    executable->nodes[at].work = changed;
    return SUCCESS;
}
Result cuGraphLaunch(Executable* executable, void*) {
    NEEDS_CONTEXT;
    return enqueue([executable] { return perform(*executable); });
}
Result cuGraphExecDestroy(Executable* executable) {
    const Result result = finish_queue();
    delete executable;
    return result;
}

// Checks what the manual demands, and that the whole tensor lies in one allocation.
Result cuTensorMapEncodeTiled(TensorMapContents* map, int type, unsigned rank, void* base, const uint64_t* sizes,
                              const uint64_t* strides, const uint32_t* box, const uint32_t* element_strides,
                              int interleave, int swizzle, int, int fill) {
    NEEDS_CONTEXT;
    constexpr uint32_t BYTES[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2};   // by CUtensorMapDataType
    constexpr uint32_t SPANS[] = {0, 32, 64, 128};                 // by CUtensorMapSwizzle
    const bool modelled = type >= 0 && type < 10 && rank >= 1 && rank <= 3 && interleave == 0 && fill == 0 &&
                          swizzle >= 0 && swizzle < 4;
    if (!modelled || reinterpret_cast<uintptr_t>(map) % 64 || reinterpret_cast<uintptr_t>(base) % 16)
        return INVALID_VALUE;
    TensorMapContents m{static_cast<const uint8_t*>(base), {1, 1, 1}, {}, {1, 1, 1}, BYTES[type], SPANS[swizzle]};
    m.stride[0] = m.element;
    uint64_t extent = m.element;
    for (unsigned d = 0; d < rank; ++d) {
        m.size[d] = sizes[d];
        m.box[d] = box[d];
        if (d > 0) m.stride[d] = strides[d - 1];
        const bool strided = d == 0 || (m.stride[d] % 16 == 0 && m.stride[d] < uint64_t(1) << 40 &&
                                        m.stride[d] >= m.stride[d - 1] * m.size[d - 1]);
        if (!strided || sizes[d] == 0 || sizes[d] > uint64_t(1) << 32 || box[d] == 0 || box[d] > 256 ||
            element_strides[d] != 1)
            return INVALID_VALUE;
        extent += (m.size[d] - 1) * m.stride[d];
    }
    const uint32_t row = m.box[0] * m.element;
    if (row % 16 || (m.swizzle && row != m.swizzle)) return INVALID_VALUE;   // shorter rows are not modelled
    if (!is_allocated(reinterpret_cast<Address>(base), extent)) return INVALID_VALUE;
    memset(map, 0, 128);
    memcpy(map, &m, sizeof m);
    return SUCCESS;
}

}  // extern "C"
