// normals.cu -- counter-based standard normals: Philox4x32-10 words, then Box-Muller in f64, rounded once.
//
//   xi[i][4j .. 4j+3] from the words of counter (row id, j, trial, stream): words (0, 1) give the first two, (2, 3) the
//   others, a pair being sqrt(-2 ln u1) cos 2 pi u2 and sqrt(-2 ln u1) sin 2 pi u2 with u = (word + 1/2) 2^-32
//
// Logarithm, sine and cosine follow src/backend/cpu/normals.rs operation by operation, so the bits are the CPU's.
//
// Shapes    xi [rows][cols]
// Aliasing  xi may not overlap a list of rows
// Launch    256 threads, one counter (four elements) a thread
// Domain    rows, cols >= 1
// Repeats   the same bits everywhere
// Cost      writes 4 bytes an element; about 60 f64 operations for each: bound by those
// Rust      src/backend/cuda/normals.rs
// Test      tests/normals.rs
#include "input.cuh"

struct Normals {
    RowList which;
    float* xi;
    uint64_t seed, counters;
    unsigned cols, per_row, trial, stream;
};

// 2^52 + n for n < 2^52, assembled in the mantissa.
__device__ __forceinline__ double shifted(uint64_t n) {
    return __longlong_as_double((long long)(0x4330000000000000ull | n));
}
constexpr double SHIFT = 4503599627370496.0;

// ln((word + 1/2) 2^-32). With word + 1/2 = 2^k (1 + f) and s = f/(2 + f), ln(1 + f) = f - s (f - R(s^2)): fdlibm's
// scheme and coefficients.
__device__ __forceinline__ double ln_unit(unsigned word) {
    const uint64_t sqrt_half = 0x3FE6A09E667F3BCDull, one = 0x3FF0000000000000ull;
    const double x = shifted(word) - SHIFT + 0.5;
    const uint64_t bits = uint64_t(__double_as_longlong(x)) + (one - sqrt_half);
    const double k = shifted(bits >> 52) - (SHIFT + 1023.0 + 32.0);
    const double f = __longlong_as_double((long long)((bits & 0x000FFFFFFFFFFFFFull) + sqrt_half)) - 1.0;
    const double s = f / (2.0 + f), z = s * s, w = z * z;
    const double even = w * (0.3999999999940942 + w * (0.22222198432149784 + w * 0.15313837699209373));
    const double odd =
        z * (0.6666666666666735 + w * (0.2857142874366239 + w * (0.1818357216161805 + w * 0.14798198605116586)));
    const double half = 0.5 * f * f;
    return k * 0.6931471803691238 - ((half - (s * (half + (even + odd)) + k * 1.9082149292705877e-10)) - f);
}

// Sine and cosine of 2 pi (word + 1/2) 2^-32. The nearest quarter turn is split off in integers; fdlibm's polynomials
// serve for the rest.
__device__ __forceinline__ void sin_cos_turn(unsigned word, double& sin, double& cos) {
    const unsigned eighth = 1u << 29, moved = word + eighth, quarter = moved >> 30;
    const double rest = shifted(moved & ((1u << 30) - 1)) - SHIFT - (double(eighth) - 0.5);
    const double x = rest * (2.0 * 3.14159265358979323846 / 4294967296.0), z = x * x;
    const double s = x + x * z *
        (-0.16666666666666632 + z * (0.00833333333332249 + z * (-0.0001984126982985795 + z *
        (2.7557313707070068e-6 + z * (-2.5050760253406863e-8 + z * 1.58969099521155e-10)))));
    const double c = 1.0 - 0.5 * z + z * z *
        (0.0416666666666666 + z * (-0.001388888888887411 + z * (2.480158728947673e-5 + z *
        (-2.7557314351390663e-7 + z * (2.087572321298175e-9 + z * -1.1359647557788195e-11)))));
    // Quarter turns swap the two on odd numbers; signs follow the quadrant.
    sin = quarter & 1 ? c : s;
    cos = quarter & 1 ? s : c;
    if (quarter >> 1) sin = -sin;
    if ((quarter + 1) >> 1 & 1) cos = -cos;
}

__device__ __forceinline__ void box_muller(unsigned first, unsigned second, float& cosine, float& sine) {
    const double radius = sqrt(-2.0 * ln_unit(first));
    double sin, cos;
    sin_cos_turn(second, sin, cos);
    cosine = float(radius * cos);
    sine = float(radius * sin);
}

extern "C" __global__ void __launch_bounds__(256) normals(const __grid_constant__ Normals a) {
    wait_for_last_kernel();
    const size_t i = size_t(blockIdx.x) * 256 + threadIdx.x;
    if (i >= a.counters) return;
    const size_t row = i / a.per_row;
    const unsigned j = unsigned(i % a.per_row);
    const Words words = philox(a.seed, unsigned(row_at(a.which, row)), j, a.trial, a.stream);
    float xi[4];
    box_muller(words.x[0], words.x[1], xi[0], xi[1]);
    box_muller(words.x[2], words.x[3], xi[2], xi[3]);
    float* to = a.xi + row * a.cols + size_t(4) * j;
#pragma unroll
    for (unsigned k = 0; k < 4; ++k)
        if (4 * j + k < a.cols) to[k] = xi[k];
}
