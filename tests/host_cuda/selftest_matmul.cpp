// selftest_matmul.cpp -- the tensor-core products on small integers, where every sum is exact: in every mode the one
// right result, and nothing written or read beside it.
#include "selftest_matmul.hpp"

#include <cstdio>
#include <vector>

namespace selftest {
namespace {

// Small, and of no symmetry.
int integer(unsigned seed, unsigned row, unsigned column) {
    uint32_t x = row * 0x9e3779b1u ^ column * 0x85ebca77u ^ seed * 0xc2b2ae3du;
    x = (x ^ x >> 15) * 0x2c1b3c6du;
    return int((x ^ x >> 13) % 65) - 32;
}

uint16_t narrow(Number number, int value) {
    if (number == Number::BF16) return uint16_t(host_cuda::to_bits(float(value)) >> 16);
    return to_half(float(value));
}

// Device memory of NaN bits, given back at the end.
template <class T>
struct Memory {
    host_cuda::Address address;
    size_t len;

    explicit Memory(size_t len) : address(host_cuda::allocate(len * sizeof(T))), len(len) {}
    ~Memory() { host_cuda::release(address); }
    Memory(const Memory&) = delete;
    T* data() const { return reinterpret_cast<T*>(address); }
    void poison() { memset(data(), 0xff, len * sizeof(T)); }
};

// A matrix in planes of integers, low planes as large as high ones; between rows and planes there are NaNs.
struct Matrix {
    unsigned rows, columns, planes, pitch;
    std::vector<int> value[2];
    Memory<uint16_t> memory;

    Matrix(unsigned seed, unsigned rows, unsigned columns, unsigned planes, Number number)
        : rows(rows), columns(columns), planes(planes), pitch(columns / 8 * 8 + 16), memory(planes * stride()) {
        for (unsigned plane = 0; plane < planes; ++plane)
            for (unsigned row = 0; row < rows; ++row)
                for (unsigned column = 0; column < columns; ++column) {
                    value[plane].push_back(integer(seed + plane, row, column));
                    memory.data()[plane * stride() + row * pitch + column] = narrow(number, value[plane].back());
                }
    }
    size_t stride() const { return size_t(rows + 1) * pitch; }
    Operand operand() const { return {memory.data(), nullptr, stride(), pitch, planes, 0, 1.0f}; }
};

// The first plane of a matrix, in f32.
struct Single {
    unsigned pitch;
    Memory<float> memory;

    explicit Single(const Matrix& of) : pitch(of.columns / 2 * 2 + 4), memory(size_t(of.rows) * pitch) {
        memory.poison();
        for (unsigned i = 0; i < of.rows * of.columns; ++i)
            memory.data()[i / of.columns * pitch + i % of.columns] = float(of.value[0][i]);
    }
    Operand operand() const { return {memory.data(), nullptr, 0, pitch, 0, 0, 1.0f}; }
};

struct Case {
    const char* kernel;   // without the first part of its name
    Product product;
    unsigned a_planes, b_planes;
    Number number;
};
constexpr Case CASES[] = {
    {"forward_22", FORWARD, 2, 2, Number::FP16},   {"forward_12", FORWARD, 1, 2, Number::FP16},
    {"forward_11", FORWARD, 1, 1, Number::FP16},   {"forward_bf16", FORWARD, 1, 1, Number::BF16},
    {"below_22", BELOW, 2, 2, Number::FP16},       {"below_11", BELOW, 1, 1, Number::FP16},
    {"below_bf16", BELOW, 1, 1, Number::BF16},     {"weight_22", WEIGHT, 2, 2, Number::FP16},
    {"weight_21", WEIGHT, 2, 1, Number::FP16},     {"weight_11", WEIGHT, 1, 1, Number::FP16},
    {"weight_bf16", WEIGHT, 1, 1, Number::BF16}};

// Of the kernels that split a in f32. Integers leave nothing for the lower half.
constexpr Case SINGLE_CASES[] = {{"forward_22", FORWARD, 1, 2, Number::FP16}, {"forward_11", FORWARD, 1, 1, Number::FP16},
                                 {"below_22", BELOW, 1, 2, Number::FP16},     {"below_11", BELOW, 1, 1, Number::FP16},
                                 {"weight_22", WEIGHT, 1, 2, Number::FP16},   {"weight_21", WEIGHT, 1, 1, Number::FP16},
                                 {"weight_11", WEIGHT, 1, 1, Number::FP16}};

struct Shape {
    unsigned m, n, k, k_per_split;   // of which only WEIGHT takes note
};

// One product: its operands, its arguments, and what must come out.
struct Problem {
    const Case& c;
    Shape shape;
    unsigned splits, parts;
    Matrix a, b;
    Memory<float> out, bias, field;
    Memory<double> first, second;
    std::vector<float> expected;   // [splits][m][n]

    Problem(const Case& c, Shape s)
        : c(c), shape(s), splits(c.product == WEIGHT ? (s.k + s.k_per_split - 1) / s.k_per_split : 1),
          parts((s.m + TILE - 1) / TILE),
          a(1, c.product == WEIGHT ? s.k : s.m, c.product == WEIGHT ? s.m : s.k, c.a_planes, c.number),
          b(3, c.product == FORWARD ? s.n : s.k, c.product == FORWARD ? s.k : s.n, c.b_planes, c.number),
          out(size_t(splits) * s.m * ldo()), bias(s.n), field(size_t(s.m) * s.n), first(parts * s.n),
          second(parts * s.n), expected(size_t(splits) * s.m * s.n) {
        for (unsigned j = 0; j < s.n; ++j) bias.data()[j] = float(integer(5, j, 0));
        for (unsigned i = 0; i < s.m * s.n; ++i) field.data()[i] = float(integer(6, i / s.n, i % s.n));
        expect();
    }
    unsigned ldo() const { return shape.n + 1 + shape.n % 2; }
    // Of the operands: element `line` of the result's rows or columns, `k` of the contraction.
    int a_at(unsigned plane, unsigned line, unsigned k) const {
        return a.value[plane][c.product == WEIGHT ? k * shape.m + line : line * shape.k + k];
    }
    int b_at(unsigned plane, unsigned line, unsigned k) const {
        return b.value[plane][c.product == FORWARD ? line * shape.k + k : k * shape.n + line];
    }
    void expect();
    Matmul arguments() const;
    bool came_out() const;
    bool sums_came_out() const;
};

void Problem::expect() {
    for (unsigned i = 0; i < shape.m; ++i)
        for (unsigned j = 0; j < shape.n; ++j) {
            std::vector<int> sums(splits);
            for (unsigned k = 0; k < shape.k; ++k) {
                int& sum = sums[splits == 1 ? 0 : k / shape.k_per_split];
                sum += a_at(0, i, k) * b_at(0, j, k);
                if (c.a_planes == 2) sum += a_at(1, i, k) * b_at(0, j, k);
                if (c.b_planes == 2) sum += a_at(0, i, k) * b_at(1, j, k);
            }
            for (unsigned split = 0; split < splits; ++split) {
                auto sum = float(sums[split]);
                if (c.product == FORWARD) sum += bias.data()[j];
                if (c.product == BELOW && field.data()[i * shape.n + j] <= 0) sum = 0;
                expected[(size_t(split) * shape.m + i) * shape.n + j] = sum;
            }
        }
}

Matmul Problem::arguments() const {
    Matmul g{};
    g.a = a.operand(), g.b = b.operand(), g.out = {out.data(), 0};
    g.m = shape.m, g.n = shape.n, g.k = shape.k, g.ldo = ldo();
    g.splits = splits, g.k_per_split = splits == 1 ? (shape.k + 63) / 64 * 64 : shape.k_per_split;
    if (c.product == FORWARD) g.bias = bias.data();
    if (c.product != WEIGHT) g.first = first.data(), g.second = second.data();
    g.input.field.z = {field.data(), 0};
    g.input.activation = RELU;
    return g;
}

bool Problem::came_out() const {
    for (size_t row = 0; row < size_t(splits) * shape.m; ++row)
        for (unsigned j = 0; j < ldo(); ++j) {
            const float got = out.data()[row * ldo() + j];
            const bool right = j < shape.n ? got == expected[row * shape.n + j] : host_cuda::to_bits(got) == ~0u;
            if (!right) return false;
        }
    return true;
}

// The sums that the epilogue leaves, to the rounding of its f32 parts.
bool Problem::sums_came_out() const {
    if (c.product == WEIGHT) return true;
    const auto near = [](double got, double wanted, double scale) { return std::abs(got - wanted) <= 1e-5 * scale; };
    for (unsigned part = 0; part < parts; ++part)
        for (unsigned j = 0; j < shape.n; ++j) {
            const unsigned begin = part * TILE, end = std::min(shape.m, begin + TILE);
            double sum = 0, size = 0, with_field = 0, with_field_size = 0, squares = 0;
            for (unsigned i = begin; i < end; ++i) {
                const double x = expected[size_t(i) * shape.n + j], z = field.data()[size_t(i) * shape.n + j];
                sum += x, size += std::abs(x), with_field += x * z, with_field_size += std::abs(x * z);
            }
            const double mean = sum / (end - begin);
            for (unsigned i = begin; i < end; ++i) squares += std::pow(expected[size_t(i) * shape.n + j] - mean, 2);
            const double first_got = first.data()[part * shape.n + j], second_got = second.data()[part * shape.n + j];
            const bool moments = near(first_got, mean, size / (end - begin)) && near(second_got, squares, squares + 1);
            const bool sums = near(first_got, sum, size) && near(second_got, with_field, with_field_size);
            if (!(c.product == FORWARD ? moments : sums)) return false;
        }
    return true;
}

const host_cuda::Kernel* kernel_named(const std::string& name) {
    for (const auto& kernel : host_cuda::kernels())
        if (kernel.name == name) return &kernel;
    return nullptr;
}

bool launch(const std::string& name, const void* args, unsigned threads, unsigned shared, unsigned blocks) {
    const auto* kernel = kernel_named(name);
    reported.clear();
    const bool good = kernel && host_cuda::run({kernel, {blocks}, {threads}, shared, args});
    return good && reported.empty() && host_cuda::guards_are_intact(kernel->name);
}

unsigned tiles_of(const Problem& p) { return p.parts * ((p.shape.n + TILE - 1) / TILE) * p.splits; }

bool mma_is_right(Problem& p) {
    const Matmul args = p.arguments();
    const unsigned shared = 3 * (p.c.a_planes + p.c.b_planes) * MMA_PLANE;
    p.out.poison(), p.first.poison(), p.second.poison();
    return launch(std::string("mma_") + p.c.kernel, &args, 256, shared, tiles_of(p)) && p.came_out() &&
           p.sums_came_out();
}

// By `blocks` blocks, which share the tiles. a is copied in planes, or read from `single`.
bool hopper_is_right(Problem& p, unsigned blocks, const Single* single = nullptr) {
    HopperMatmul args{};
    const bool a_mn = p.c.product == WEIGHT, b_mn = p.c.product != FORWARD;
    args.m = p.arguments();
    if (single) args.m.a = single->operand();
    else args.a = tensor_map(args.m.a, p.a.rows, p.a.columns, a_mn ? WGMMA_DEPTH : TILE);
    args.b = tensor_map(args.m.b, p.b.rows, p.b.columns, b_mn ? WGMMA_DEPTH : TILE);
    p.out.poison(), p.first.poison(), p.second.poison();
    return launch((single ? "single_" : "hopper_") + std::string(p.c.kernel), &args, 384, HOPPER_SHARED, blocks) &&
           p.came_out() && p.sums_came_out();
}

}  // namespace

void matmul() {
    for (const Case& c : CASES) {
        bool mma = true, hopper = true;
        for (const Shape shape : {Shape{1, 1, 1, 64}, Shape{128, 128, 64, 64}, Shape{129, 65, 77, 64}}) {
            Problem p(c, shape);
            mma = mma && right_in([&] { return mma_is_right(p); }) == ALL;
            hopper = hopper && right_in([&] { return hopper_is_right(p, tiles_of(p)); }) == ALL;
        }
        // Several tiles a block, and blocks with different numbers of them.
        Problem p(c, {200, 259, 300, 128});
        mma = mma && mma_is_right(p);
        hopper = hopper && right_in([&] { return hopper_is_right(p, 4); }) == ALL && hopper_is_right(p, 1);
        claim(mma, (std::string("products of integers: mma_") + c.kernel).c_str());
        claim(hopper, (std::string("products of integers: hopper_") + c.kernel).c_str());
    }
    for (const Case& c : SINGLE_CASES) {
        bool right = true;
        for (const Shape shape : {Shape{1, 1, 2, 64}, Shape{128, 128, 64, 64}, Shape{129, 65, 78, 64}}) {
            Problem p(c, shape);
            const Single a(p.a);
            right = right && right_in([&] { return hopper_is_right(p, tiles_of(p), &a); }) == ALL;
        }
        Problem p(c, {200, 259, 300, 128});
        const Single a(p.a);
        right = right && right_in([&] { return hopper_is_right(p, 4, &a); }) == ALL && hopper_is_right(p, 1, &a);
        claim(right, (std::string("products of integers: single_") + c.kernel).c_str());
    }
}

}  // namespace selftest
