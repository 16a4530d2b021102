// input.cuh -- forms elements of a layer's input x from what is stored: pixels, or the local field of the layer below.
//
// Normalisation, noise, activation and dropout are applied while an operation reads, so that they cost no pass over
// memory of their own. The twin of src/backend/cpu/load.rs; src/backend/cuda/args.rs fills these structs, field for
// field. Matrices are row-major, one row per sample.
#pragma once
#include "activation.cuh"
#include "philox.cuh"

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

// h = gamma (z + amplitude xi - mean) inv_std + beta; z and xi [rows][features], amplitude [rows]; xi null: no noise.
struct Field {
    const float *z, *xi, *amplitude;
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

// x-hat under a norm, else the local field itself, of the z at (row, column).
__device__ __forceinline__ float standardise(const Field& field, float z, size_t row, unsigned column,
                                             unsigned features) {
    if (field.xi) z = z + field.amplitude[row] * field.xi[row * features + column];
    if (field.norm.mean) z = (z - field.norm.mean[column]) * field.norm.inv_std[column];
    return z;
}

__device__ __forceinline__ float standardised(const Field& field, size_t row, unsigned column, unsigned features) {
    return standardise(field, field.z[row * features + column], row, column, features);
}

__device__ __forceinline__ float affine(const Norm& norm, float standard, unsigned column) {
    return norm.mean ? norm.gamma[column] * standard + norm.beta[column] : standard;
}

__device__ __forceinline__ float local_field(const Field& field, size_t row, unsigned column, unsigned features) {
    return affine(field.norm, standardised(field, row, column, features), column);
}

// What dropout multiplies element (row, column) by: 0, or 1/(1 - rate); 1 without dropout.
__device__ __forceinline__ float dropout_factor(const Dropout& dropout, size_t row, unsigned column) {
    if (dropout.scale == 0.0f) return 1.0f;
    const Words words = philox(dropout.seed, unsigned(row), column / 4, dropout.step, dropout.stream);
    // Not words.x[column % 4]: an index that is known at run time only would put the words into memory.
    const unsigned low = column & 1 ? words.x[1] : words.x[0], high = column & 1 ? words.x[3] : words.x[2];
    return (column & 2 ? high : low) >= dropout.keep_from ? dropout.scale : 0.0f;
}

// What element (row, column) of x is formed from: a byte, or z.
__device__ __forceinline__ float stored_at(const Input& input, size_t row, unsigned column, unsigned features) {
    return input.pixels ? float(input.pixels[row_at(input.rows, row) * features + column])
                        : input.field.z[row * features + column];
}

// Element (row, column) of the x [rows][features] that `input` stands for, from what is stored there.
__device__ __forceinline__ float form(const Input& input, float stored, size_t row, unsigned column, unsigned features) {
    if (input.pixels) return input.scale * stored + input.shift;
    const float standard = standardise(input.field, stored, row, column, features);
    const float x = activate(input.activation, affine(input.field.norm, standard, column));
    // Not x times the factor: a dropped NaN or infinity is 0, as on the CPU.
    const float factor = dropout_factor(input.dropout, row, column);
    return factor == 0.0f ? 0.0f : x * factor;
}

__device__ __forceinline__ float input_at(const Input& input, size_t row, unsigned column, unsigned features) {
    return form(input, stored_at(input, row, column, features), row, column, features);
}

// g f'(h) dropout, for the gradient g with respect to element (row, column) of `input`; `standard` becomes its x-hat.
__device__ __forceinline__ float through_activation(const Input& input, unsigned features, float g, size_t row,
                                                    unsigned column, float& standard) {
    standard = 0.0f;
    if (input.pixels) return g;
    standard = standardised(input.field, row, column, features);
    g = g * slope(input.activation, affine(input.field.norm, standard, column));
    const float factor = dropout_factor(input.dropout, row, column);
    return factor == 0.0f ? 0.0f : g * factor;
}
