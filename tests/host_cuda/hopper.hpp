// hopper.hpp -- models of mbarrier, TMA loads and wgmma, the twins of the wrappers in kernels/hopper.cuh.
//
// Not yet compared with a chip. All shared memory here is dynamic. A TMA copy is made at once, or
// (HOST_CUDA_ASYNC=copy) when nothing else can run; a product at once, or (HOST_CUDA_ASYNC=mma) when its group is
// waited for. The four warps of a product are taken to finish together. Proxy fences do nothing here, so that a
// missing one goes unseen.
#pragma once
#include "mma.hpp"
#include "tensor_map.hpp"

// ---- mbarrier: 8 bytes of shared memory -----------------------------------------------------------------------------
namespace host_cuda {

struct MBarrier {
    uint64_t expected : 12, pending : 12, phase : 1;
    int64_t bytes : 39;   // announced and not yet there
};
static_assert(sizeof(MBarrier) == 8);

inline MBarrier& mbarrier(uint64_t* at) {
    uint8_t* memory = shared_at(smem_u32(at), 8);
    if (*at == ~uint64_t(0)) worker->fail("an mbarrier that was not initialised");
    return *reinterpret_cast<MBarrier*>(memory);
}
inline void complete_phase(MBarrier& b) {
    if (b.pending || b.bytes) return;
    b.pending = b.expected;
    b.phase ^= 1;
    worker->progressed();
}

}  // namespace host_cuda

inline void mbar_init(uint64_t* at, uint32_t arrivals) {
    *at = 0;
    auto& b = host_cuda::mbarrier(at);
    b.expected = b.pending = arrivals;
}
inline void mbar_init_fence() {}
inline void mbar_arrive(uint64_t* at) {
    auto& b = host_cuda::mbarrier(at);
    if (b.pending == 0) host_cuda::worker->fail("more arrivals at an mbarrier than it expects");
    --b.pending;
    host_cuda::complete_phase(b);
}
inline void mbar_expect_tx(uint64_t* at, uint32_t bytes) {
    host_cuda::mbarrier(at).bytes += bytes;
    mbar_arrive(at);
}
// Until the phase of this parity is over.
inline void mbar_wait(uint64_t* at, uint32_t parity, HOST_CUDA_HERE) {
    host_cuda::worker->wait_until([=] { return host_cuda::mbarrier(at).phase != parity; }, site);
}

// ---- TMA: tiles of a tensor map, zero outside of the tensor ---------------------------------------------------------
namespace host_cuda {

inline void tma_load(void* to, const void* map, int x, int y, int z, uint64_t* barrier) {
    TensorMapContents m;
    memcpy(&m, map, sizeof m);
    const uint32_t start = smem_u32(to), row = m.box[0] * m.element, bytes = row * m.box[1] * m.box[2];
    if (start % (m.swizzle ? 1024 : 128)) worker->fail("TMA: a destination without alignment");
    if (start + bytes > worker->launch->shared) worker->fail("TMA: a tile beyond the shared memory");
    MBarrier* b = &mbarrier(barrier);
    const auto copy = [=] {
        // By 16 bytes, which stay together whatever the swizzle.
        for (uint32_t at = 0; at < bytes; at += 16) {
            const uint32_t line = at / row;
            const int64_t column = x + int64_t(at % row / m.element), end = column + 16 / m.element;
            const int64_t in_y = y + int64_t(line % m.box[1]), in_z = z + int64_t(line / m.box[1]);
            const auto inside = [&](int64_t from, int d) { return from >= 0 && uint64_t(from) < m.size[d]; };
            uint8_t* to = smem + swizzled(start + at, m.swizzle);
            memset(to, 0, 16);
            if (!inside(in_y, 1) || !inside(in_z, 2)) continue;
            const int64_t first = std::max<int64_t>(column, 0), last = std::min<int64_t>(end, m.size[0]);
            if (first >= last) continue;
            const uint8_t* from = m.base + first * m.element + in_y * m.stride[1] + in_z * m.stride[2];
            memcpy(to + (first - column) * m.element, from, size_t(last - first) * m.element);
        }
        b->bytes -= bytes;
        complete_phase(*b);
    };
    if (options.late_copies) worker->copies.push_back(copy);
    else copy();
}

}  // namespace host_cuda

inline void tma_prefetch(const void*) {}
inline void tma_load_2d(void* to, const void* map, int x, int y, uint64_t* barrier) {
    host_cuda::tma_load(to, map, x, y, 0, barrier);
}
inline void tma_load_3d(void* to, const void* map, int x, int y, int z, uint64_t* barrier) {
    host_cuda::tma_load(to, map, x, y, z, barrier);
}

// ---- wgmma: the operands are read once for the warpgroup; each thread computes its own part of d -------------------
namespace host_cuda {

// Element (mn, k) of an operand, from its descriptor alone, by the canonical layouts of the PTX manual.
//   K-major   rows of one swizzle span; after 8 rows the stride offset
//   MN-major  64 elements in 128 bytes, the next 64 after the leading offset; each k 128 bytes, after 8 the stride
template <Half half>
float operand(uint64_t descriptor, bool mn_major, uint32_t mn, uint32_t k) {
    const auto field = [=](int shift) { return uint32_t(descriptor >> shift & 0x3fff) << 4; };
    const uint32_t start = field(0), leading = field(16), stride = field(32), mode = descriptor >> 62;
    const bool known = (mode == 1 || (mode == 2 && !mn_major)) && !(descriptor >> 49 & 7);
    if (!known) worker->fail("wgmma: a descriptor that is not modelled");
    const uint32_t span = mode == 1 ? 128 : 64;
    const uint32_t at = mn_major ? start + mn / 64 * leading + mn % 64 * 2 + k / 8 * stride + k % 8 * 128
                                 : start + mn / 8 * stride + mn % 8 * span + k * 2;
    uint16_t bits;
    memcpy(&bits, shared_at(swizzled(at, span), 2), 2);
    return number<half>(bits);
}

// B [k][n] of a product in four parts, of the columns of each t % 4; behind it a sum that is finite if all of B is.
template <Half half, unsigned N, bool B_MN>
void read_b(float* into, uint64_t b) {
    for (unsigned part = 0; part < 4; ++part)
        for (unsigned k = 0; k < 16; ++k)
            for (unsigned i = 0; i < N / 4; ++i) *into++ = operand<half>(b, B_MN, i / 2 * 8 + part * 2 + i % 2, k);
    *into = 0;
    for (unsigned i = 1; i <= N * 16; ++i) *into += into[-int(i)] * 0;
}

// d (+)= A[64][16] B[16][N], of thread t: d[4j + 2h + e] is in row t / 32 * 16 + t % 32 / 4 + 8h, which is rows[h], and in
// column 8j + t % 4 * 2 + e. B is as read_b leaves it.
template <unsigned N, bool ADD>
void add_rows(float* d, const float* const (&rows)[2], const float* b) {
    const bool finite = b[N * 16] == 0;
    const float* columns = b + worker->thread->linear % 4 * 16 * (N / 4);
    for (unsigned h = 0; h < 2; ++h) {
        double sums[N / 4];
        for (unsigned i = 0; i < N / 4; ++i) sums[i] = ADD ? d[i / 2 * 4 + h * 2 + i % 2] : 0;
        for (unsigned k = 0; k < 16; ++k)
            if (rows[h][k] != 0 || !finite)   // the tiles of small tests are mostly zeros
                for (unsigned i = 0; i < N / 4; ++i) sums[i] += double(rows[h][k]) * columns[k * (N / 4) + i];
        for (unsigned i = 0; i < N / 4; ++i) d[i / 2 * 4 + h * 2 + i % 2] = rounded(sums[i]);
    }
}

template <Half half, unsigned N, bool A_MN, bool B_MN, bool ADD>
void wgmma(float (&d)[N / 2], uint64_t a, uint64_t b) {
    const auto product = [at = d, a, b, number = worker->thread->products++] {
        const float* operands = worker->together(
            worker->warpgroup(), number, {a, b}, (64 + N) * 16 + 1, [=](float* into) {
                for (unsigned i = 0; i < 64 * 16; ++i) *into++ = operand<half>(a, A_MN, i / 16, i % 16);
                read_b<half, N, B_MN>(into, b);
            });
        const unsigned thread = worker->thread->linear % WARPGROUP;
        const float* row = operands + (thread / 32 * 16 + thread % 32 / 4) * 16;
        add_rows<N, ADD>(at, {row, row + 8 * 16}, operands + 64 * 16);
    };
    if (options.late_products) worker->my(worker->product_groups).add(product);
    else product();
}

// A in registers, of which a product reads those of other lanes, too: always when it is waited for, since all have begun
// it then.
template <Half half, unsigned N, bool B_MN, bool ADD>
void wgmma(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b) {
    const unsigned product = worker->thread->products++;
    memcpy(worker->thread->operands[product % KEPT_PRODUCTS], a, sizeof a);
    worker->my(worker->product_groups).add([at = d, b, product] {
        float rows[2][16];
        for (unsigned i = 0; i < 32; ++i) {
            const unsigned h = i / 16, k = i % 16;
            const Thread& of = worker->thread[int(k % 8 / 2) - int(lane() % 4)];
            rows[h][k] = number<half>(uint16_t(of.operands[product % KEPT_PRODUCTS][k / 8 * 2 + h] >> k % 2 * 16));
        }
        const float* of_b = worker->together(worker->warpgroup(), product, {0, b}, N * 16 + 1,
                                             [=](float* into) { read_b<half, N, B_MN>(into, b); });
        add_rows<N, ADD>(at, {rows[0], rows[1]}, of_b);
    });
}

inline void meet_warpgroup(Site site) {
    worker->sync(FIRST_WARPGROUP + worker->thread->linear / WARPGROUP, WARPGROUP, site);
}

}  // namespace host_cuda

// A_MN, B_MN: 0 for K-major, 1 for MN-major. ADD: 0 begins a new sum.
#define WGMMA_M64N128K16(name, half)                                                                                 \
    template <int A_MN, int B_MN, int ADD>                                                                           \
    void name(float (&d)[64], uint64_t a, uint64_t b) {                                                              \
        host_cuda::wgmma<half, 128, A_MN, B_MN, ADD>(d, a, b);                                                       \
    }                                                                                                                \
    template <int B_MN, int ADD>                                                                                     \
    void name(float (&d)[64], const uint32_t (&a)[4], uint64_t b) {                                                  \
        host_cuda::wgmma<half, 128, B_MN, ADD>(d, a, b);                                                             \
    }
WGMMA_M64N128K16(wgmma_f16_m64n128k16, host_cuda::Half::F16)
WGMMA_M64N128K16(wgmma_bf16_m64n128k16, host_cuda::Half::BF16)
#undef WGMMA_M64N128K16
inline void wgmma_fence(HOST_CUDA_HERE) { host_cuda::meet_warpgroup(site); }
inline void wgmma_commit() { host_cuda::worker->my(host_cuda::worker->product_groups).commit(); }
template <int OPEN>
void wgmma_wait(HOST_CUDA_HERE) {
    host_cuda::meet_warpgroup(site);   // others may run before late products read their operands
    host_cuda::worker->my(host_cuda::worker->product_groups).wait(OPEN);
    host_cuda::meet_warpgroup(site);
}
template <int N>
void reg_fence(float (&)[N]) {}
inline void reg_fence(uint32_t (&)[4]) {}

// ---- the rest -------------------------------------------------------------------------------------------------------
template <int REGISTERS>
void reg_inc() {
    static_assert(REGISTERS % 8 == 0 && REGISTERS >= 24 && REGISTERS <= 256);
}
template <int REGISTERS>
void reg_dec() {
    static_assert(REGISTERS % 8 == 0 && REGISTERS >= 24 && REGISTERS <= 256);
}
inline void bar_sync(int barrier, int threads, HOST_CUDA_HERE) {
    if (barrier < 0 || barrier > 15 || threads <= 0 || threads % 32) host_cuda::worker->fail("bar.sync: bad arguments");
    host_cuda::worker->sync(unsigned(barrier), unsigned(threads), site);
}
// True in one lane of the warp.
inline bool elect_one(HOST_CUDA_HERE) {
    const auto lanes = host_cuda::worker->exchange(~0u, {0}, site);
    return int(host_cuda::lane()) == __ffs(int(lanes.partners)) - 1;
}
