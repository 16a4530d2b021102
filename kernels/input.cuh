// input.cuh -- forms elements of a layer's input x from what is stored: pixels, or the local field of the layer below.
//
// Normalisation, noise, activation and dropout are applied while an operation reads, so that they cost no pass over
// memory of their own. The twin of src/backend/cpu/load.rs; src/backend/cuda/args.rs fills these structs, field for
// field. Matrices are row-major, one row per sample.
#pragma once
#include "activation.cuh"
#include "half.cuh"
#include "philox.cuh"

// Numbers as they rest in memory: f32, or where narrow is not 0 bf16, which is the upper half of an f32.
struct Values {
    void* data;
    uint64_t narrow;

    __device__ __forceinline__ unsigned bits(size_t i) const {
        return narrow ? static_cast<const uint16_t*>(data)[i] : static_cast<const unsigned*>(data)[i];
    }
    __device__ __forceinline__ float from_bits(unsigned bits) const {
        return __uint_as_float(narrow ? bits << 16 : bits);
    }
    __device__ __forceinline__ float at(size_t i) const { return from_bits(bits(i)); }
    __device__ __forceinline__ void put(size_t i, float x) const {
        if (narrow) static_cast<uint16_t*>(data)[i] = to_bfloat(x);
        else static_cast<float*>(data)[i] = x;
    }
};

__device__ __forceinline__ Values in_f32(const float* data) { return {const_cast<float*>(data), 0}; }

// Which rows of a stored set take part: index[first + i], or first + i where index is null.
struct RowList {
    const unsigned* index;
    uint64_t first;
};

__device__ __forceinline__ size_t row_at(const RowList& rows, size_t i) {
    return rows.index ? rows.index[rows.first + i] : rows.first + i;
}

// Batch norm with given statistics, each [features]; mean null: none.
struct Norm {
    const float *mean, *inv_std, *gamma, *beta;
};

// That of one column. Without a norm it changes nothing, not the sign of a zero either.
struct ColumnNorm {
    float mean, inv_std, gamma, beta;

    __device__ __forceinline__ ColumnNorm(float mean, float inv_std, float gamma, float beta)
        : mean(mean), inv_std(inv_std), gamma(gamma), beta(beta) {}
    __device__ __forceinline__ ColumnNorm(const Norm& norm, unsigned column)
        : mean(0.0f), inv_std(1.0f), gamma(1.0f), beta(-0.0f) {
        if (!norm.mean) return;
        mean = norm.mean[column];
        inv_std = norm.inv_std[column];
        gamma = norm.gamma[column];
        beta = norm.beta[column];
    }
    __device__ __forceinline__ float standard(float z) const { return (z - mean) * inv_std; }
    __device__ __forceinline__ float affine(float standard) const { return gamma * standard + beta; }
};

// h = gamma (z + amplitude xi - mean) inv_std + beta; z and xi [rows][features], amplitude [rows]; xi null: no noise.
struct Field {
    Values z;
    const float *xi, *amplitude;
    Norm norm;
};

// Element (row, column) is kept, times `scale`, if word column mod 4 of counter (row, column/4, step, stream) is at
// least keep_from. scale 0: no dropout.
struct Dropout {
    uint64_t seed;
    unsigned step, stream, keep_from;
    float scale;
};

// x = scale byte + shift from `pixels` [samples][features], or x = dropout(f(h)) where pixels is null.
struct Input {
    const uint8_t* pixels;
    RowList rows;
    float scale, shift;
    Field field;
    Dropout dropout;
    unsigned activation, unused;
};

// z with its noise.
__device__ __forceinline__ float noisy(const Field& field, float z, size_t row, unsigned column, unsigned features) {
    return field.xi ? z + field.amplitude[row] * field.xi[row * features + column] : z;
}

__device__ __forceinline__ float local_field(const Field& field, size_t row, unsigned column, unsigned features) {
    const ColumnNorm norm(field.norm, column);
    return norm.affine(norm.standard(noisy(field, field.z.at(row * features + column), row, column, features)));
}

// What the number-th of these words makes of x. A dropped NaN or infinity is 0, as on the CPU.
__device__ __forceinline__ float dropped_out(const Dropout& dropout, const Words& words, unsigned number, float x) {
    // Not words.x[number]: an index that is known at run time only would put the words into memory.
    const unsigned low = number & 1 ? words.x[1] : words.x[0], high = number & 1 ? words.x[3] : words.x[2];
    return (number & 2 ? high : low) >= dropout.keep_from ? x * dropout.scale : 0.0f;
}

// The words of columns 4 `four` to 4 `four` + 3.
__device__ __forceinline__ Words dropout_words(const Dropout& dropout, size_t row, unsigned four) {
    return philox(dropout.seed, unsigned(row), four, dropout.step, dropout.stream);
}

__device__ __forceinline__ float drop_out(const Dropout& dropout, size_t row, unsigned column, float x) {
    if (dropout.scale == 0.0f) return x;
    return dropped_out(dropout, dropout_words(dropout, row, column / 4), column % 4, x);
}

// What element (row, column) of x is formed from: a byte, or z.
__device__ __forceinline__ float stored_at(const Input& input, size_t row, unsigned column, unsigned features) {
    return input.pixels ? float(input.pixels[row_at(input.rows, row) * features + column])
                        : input.field.z.at(row * features + column);
}

// Element (row, column) of the x [rows][features] that `input` stands for, from what is stored there.
__device__ __forceinline__ float form(const Input& input, float stored, size_t row, unsigned column, unsigned features) {
    if (input.pixels) return input.scale * stored + input.shift;
    const ColumnNorm norm(input.field.norm, column);
    const float standard = norm.standard(noisy(input.field, stored, row, column, features));
    return drop_out(input.dropout, row, column, activate(input.activation, norm.affine(standard)));
}

__device__ __forceinline__ float input_at(const Input& input, size_t row, unsigned column, unsigned features) {
    return form(input, stored_at(input, row, column, features), row, column, features);
}

// g f'(h) dropout, for the gradient g with respect to element (row, column) of `input`, which has this norm and this
// z; `standard` becomes its x-hat.
__device__ __forceinline__ float through_activation(const Input& input, unsigned features, float g, size_t row,
                                                    unsigned column, const ColumnNorm& norm, float z,
                                                    float& standard) {
    standard = 0.0f;
    if (input.pixels) return g;
    standard = norm.standard(noisy(input.field, z, row, column, features));
    return drop_out(input.dropout, row, column, g * slope(input.activation, norm.affine(standard)));
}
