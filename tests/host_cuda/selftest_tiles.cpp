// selftest_tiles.cpp -- the index arithmetic of kernels/tiles.cuh, element by element: what is copied into shared
// memory stands where the instructions that multiply look for it.
#include "selftest_matmul.hpp"

#include <array>
#include <set>
#include <vector>

namespace selftest {
namespace {

// Every tile and split once, in any shape, and the splits cover the contraction.
bool tiles_cover(unsigned m, unsigned n, unsigned k, unsigned splits) {
    Matmul a{};
    a.m = m, a.n = n, a.k = k;
    a.k_per_split = ((k + splits - 1) / splits + 63) / 64 * 64;
    a.splits = (k + a.k_per_split - 1) / a.k_per_split;
    const unsigned across = (n + TILE - 1) / TILE, down = (m + TILE - 1) / TILE;
    std::set<std::array<unsigned, 3>> seen;
    for (unsigned i = 0; i < across * down * a.splits; ++i) {
        const Tile tile(a, i);
        const unsigned k_end = tile.split + 1 == a.splits ? k : (tile.split + 1) * a.k_per_split;
        if (tile.m0 % TILE || tile.n0 % TILE || tile.m0 >= m || tile.n0 >= n || tile.split >= a.splits) return false;
        if (tile.k_begin != tile.split * a.k_per_split || tile.k_end != k_end || tile.k_begin >= k_end) return false;
        seen.insert({tile.m0, tile.n0, tile.split});
    }
    return seen.size() == size_t(across) * down * a.splits;
}

// ---- ldmatrix -------------------------------------------------------------------------------------------------------
// Shared memory with, in place of each element, which one of the tile it is: line * MMA_DEPTH + k. Empty if some
// element would be written twice or outside.
using Ids = std::vector<int>;

template <bool MN>
Ids mma_tile() {
    Ids ids(MMA_PLANE / 2, -1);
    for (unsigned number = 0; number < MMA_CHUNKS; ++number) {
        const Chunk chunk = mma_chunk<MN>(number);
        const unsigned at = mma_chunk_at<MN>(chunk);
        if (at % 16 || at >= MMA_PLANE) return {};
        for (unsigned i = 0; i < 8; ++i) {
            const unsigned along = chunk.column * 8 + i, line = MN ? along : chunk.row, k = MN ? chunk.row : along;
            if (ids[at / 2 + i] != -1) return {};
            ids[at / 2 + i] = int(line * MMA_DEPTH + k);
        }
    }
    return ids;
}

// What an ldmatrix of the addresses that `address` gives the lanes brings into element `half` of register `matrix`.
template <bool MN, class Address>
int loaded(const Ids& ids, const Address& address, unsigned lane, unsigned matrix, unsigned half) {
    const unsigned row = MN ? lane % 4 * 2 + half : lane / 4, column = MN ? lane / 4 : lane % 4 * 2 + half;
    return ids[address(matrix * 8 + row) / 2 + column];
}

// The eight rows of a matrix lie in different banks.
template <class Address>
bool without_conflict(const Address& address) {
    for (unsigned matrix = 0; matrix < 4; ++matrix) {
        std::set<unsigned> banks;
        for (unsigned row = 0; row < 8; ++row) banks.insert(address(matrix * 8 + row) % 128 / 16);
        if (banks.size() != 8) return false;
    }
    return true;
}

template <bool MN>
bool mma_fragments_are_right() {
    const Ids ids = mma_tile<MN>();
    bool right = !ids.empty();
    for (unsigned line = 0; right && line < TILE; line += 16)
        for (unsigned k = 0; k < MMA_DEPTH; k += 16) {
            const auto a = [&](unsigned lane) { return mma_fragment_a<MN>(line, k, lane); };
            const auto b = [&](unsigned lane) { return mma_fragment_b<MN>(line, k, lane); };
            right = right && without_conflict(a) && without_conflict(b);
            for (unsigned i = 0; i < 32 * 4 * 2; ++i) {
                // Of mma.m16n8k16, by the PTX manual: lines l/4 (+ 8), k l%4*2 (+ 1, + 8).
                const unsigned lane = i / 8, matrix = i / 2 % 4, half = i % 2, low = k + lane % 4 * 2 + half;
                const unsigned a_line = line + lane / 4 + matrix % 2 * 8, a_k = low + matrix / 2 * 8;
                const unsigned b_line = line + lane / 4 + matrix / 2 * 8, b_k = low + matrix % 2 * 8;
                right = right && loaded<MN>(ids, a, lane, matrix, half) == int(a_line * MMA_DEPTH + a_k) &&
                        loaded<MN>(ids, b, lane, matrix, half) == int(b_line * MMA_DEPTH + b_k);
            }
        }
    return right;
}

// ---- wgmma ----------------------------------------------------------------------------------------------------------
// Every element of a tile, found by the descriptors that the products use.
struct Lookup {
    TensorMap map;
    unsigned line0, k0;
    uint16_t* found;   // [plane][line][k]
};

template <bool MN, unsigned PLANES, bool ALL_LINES>
void look_up(Lookup a) {
    using T = WgmmaTile<MN, PLANES>;
    auto* full = reinterpret_cast<uint64_t*>(smem + T::BYTES);
    mbar_init(full, 1);
    mbar_expect_tx(full, T::BYTES);
    for (unsigned i = 0; i < T::COPIES; ++i)
        tma_load_3d(smem + i * T::COPY, &a.map, int(T::box_column(a.line0, a.k0, i)), int(T::box_row(a.line0, a.k0)), 0,
                    full);
    mbar_wait(full, 0);
    constexpr unsigned LINES = ALL_LINES ? TILE : TILE / 2;   // that one product reads
    for (unsigned plane = 0; plane < PLANES; ++plane)
        for (unsigned line = 0; line < TILE; ++line)
            for (unsigned k = 0; k < WGMMA_DEPTH; ++k) {
                const uint32_t base = T::base(line / LINES * T::HALF);
                const uint64_t descriptor = T::descriptor(base, plane, k / 16);
                const double value = host_cuda::operand<host_cuda::Half::F16>(descriptor, MN, line % LINES, k % 16);
                a.found[(plane * TILE + line) * WGMMA_DEPTH + k] = to_half(float(value));
            }
}

// Of an operand whose elements all differ; a tile at its end has zeros beyond.
template <bool MN, unsigned PLANES, bool ALL_LINES>
bool wgmma_tile_is_right(unsigned line0, unsigned k0) {
    using T = WgmmaTile<MN, PLANES>;
    constexpr unsigned LINES = 200, DEPTH = 70, ROWS = MN ? DEPTH : LINES, COLUMNS = MN ? LINES : DEPTH, PITCH = 208;
    const auto bits = [](unsigned plane, unsigned line, unsigned k) {
        return uint16_t(line < LINES && k < DEPTH ? 1 + (plane * LINES + line) * DEPTH + k : 0);   // finite numbers
    };
    static_assert(2 * LINES * DEPTH < 0x7c00);
    const host_cuda::Address memory = host_cuda::allocate(PLANES * ROWS * PITCH * 2);
    for (unsigned i = 0; i < PLANES * ROWS * COLUMNS; ++i) {
        const unsigned plane = i / (ROWS * COLUMNS), row = i / COLUMNS % ROWS, column = i % COLUMNS;
        reinterpret_cast<uint16_t*>(memory)[(plane * ROWS + row) * PITCH + column] =
            MN ? bits(plane, column, row) : bits(plane, row, column);
    }
    std::vector<uint16_t> found(PLANES * TILE * WGMMA_DEPTH);
    const Operand operand{reinterpret_cast<void*>(memory), nullptr, ROWS * PITCH, PITCH, PLANES, 0, 1.0f};
    const Lookup args{tensor_map(operand, ROWS, COLUMNS, T::BOX_ROWS), line0, k0, found.data()};
    bool right = run<look_up<MN, PLANES, ALL_LINES>>(args, 1, T::BYTES + 1024).empty();
    for (unsigned i = 0; i < found.size(); ++i) {
        const unsigned plane = i / (TILE * WGMMA_DEPTH);
        const unsigned line = line0 + i / WGMMA_DEPTH % TILE, k = k0 + i % WGMMA_DEPTH;
        right = right && found[i] == bits(plane, line, k);
    }
    host_cuda::release(memory);
    return right;
}

template <bool MN>
bool wgmma_tiles_are_right() {
    bool right = true;
    for (unsigned line0 : {0, 128})
        for (unsigned k0 : {0, 64})
            right = right && wgmma_tile_is_right<MN, 1, false>(line0, k0) &&
                    wgmma_tile_is_right<MN, 1, true>(line0, k0) && wgmma_tile_is_right<MN, 2, false>(line0, k0) &&
                    wgmma_tile_is_right<MN, 2, true>(line0, k0);
    return right;
}

}  // namespace

extern "C" int cuTensorMapEncodeTiled(TensorMap*, int type, unsigned rank, const void*, const uint64_t* sizes,
                                      const uint64_t* strides, const uint32_t* box, const uint32_t* element_strides,
                                      int interleave, int swizzle, int promotion, int fill);

TensorMap tensor_map(const Operand& of, unsigned rows, unsigned columns, unsigned box_rows) {
    constexpr int UINT16 = 1, SWIZZLE_128B = 3;
    TensorMap map;
    const uint64_t sizes[] = {columns, rows, of.planes}, strides[] = {of.pitch * 2ull, of.plane_stride * 2};
    const uint32_t box[] = {64, box_rows, of.planes}, ones[] = {1, 1, 1};
    const int bad = cuTensorMapEncodeTiled(&map, UINT16, 3, of.data, sizes, strides, box, ones, 0, SWIZZLE_128B, 0, 0);
    if (bad) claim(false, "a tensor map is made");
    return map;
}

void tiles() {
    bool cover = true;
    for (unsigned m : {1, 128, 129, 300})
        for (unsigned n : {1, 128, 200, 259})
            for (unsigned k : {1, 64, 65, 300, 1000})
                for (unsigned splits : {1, 3, 16}) cover = cover && tiles_cover(m, n, k, splits);
    claim(cover, "tiles: each is made once, the splits cover the contraction");
    claim(mma_fragments_are_right<false>(), "tiles: K-major fragments for mma.sync");
    claim(mma_fragments_are_right<true>(), "tiles: MN-major fragments for mma.sync");
    claim(wgmma_tiles_are_right<false>(), "tiles: K-major descriptors for wgmma");
    claim(wgmma_tiles_are_right<true>(), "tiles: MN-major descriptors for wgmma");
}

}  // namespace selftest
