//! Forms rows of a layer's input x from what is stored: pixels, or the local field of the layer below.

use super::activation::apply;
use super::simd::simd;
use super::*;
use crate::rng::{philox, unit};
use std::ops::Range;

/// Writes rows `rows` of the x that `input` stands for into `out` [rows, features].
///
/// Serial, and every element by itself, so that it may run in any task on any cut of the rows.
pub(super) fn load<R: Real>(input: &Input<'_, Cpu, R>, rows: Range<usize>, features: usize, out: &mut [R]) {
    let numbered = rows.zip(out.chunks_exact_mut(features));
    match *input {
        // Loops, not closures over iterators, which would be compiled for every CPU.
        Input::Pixels { pixels, rows: which, scale, shift } => simd(
            #[inline(always)]
            || {
                for (i, x) in numbered {
                    from_bytes(&pixels[which.at(i) * features..][..features], scale, shift, x);
                }
            },
        ),
        Input::Field { field, activation, dropout } => simd(
            #[inline(always)]
            || {
                for (i, x) in numbered {
                    standardised(&field, i, x);
                    affine(&field, x);
                    apply(activation, x);
                    if let Some(dropout) = &dropout {
                        drop_out(dropout, i, x);
                    }
                }
            },
        ),
    }
}

/// Some of the columns of an x of pixels, [rows, out.len() / rows], or nothing of another input.
pub(super) fn pixel_columns<'a, R: Real>(
    input: &Input<'a, Cpu, R>,
    features: usize,
) -> Option<impl Fn(Range<usize>, usize, &mut [R]) + Sync + use<'a, R>> {
    let Input::Pixels { pixels, rows: which, scale, shift } = *input else { return None };
    Some(move |rows: Range<usize>, first: usize, out: &mut [R]| {
        let width = out.len() / rows.len();
        simd(
            #[inline(always)]
            || {
                for (i, x) in rows.zip(out.chunks_exact_mut(width)) {
                    from_bytes(&pixels[which.at(i) * features + first..][..width], scale, shift, x);
                }
            },
        );
    })
}

#[inline(always)]
fn from_bytes<R: Real>(bytes: &[u8], scale: R, shift: R, out: &mut [R]) {
    for (x, &byte) in out.iter_mut().zip(bytes) {
        *x = scale * <R as From<u8>>::from(byte) + shift;
    }
}

/// x where it is stored as it is, [rows, features]: nothing to compute, nothing to copy.
pub(super) fn in_place<'a, R: Real>(input: &Input<'a, Cpu, R>) -> Option<&'a [R]> {
    match *input {
        Input::Field {
            field: Field { z, noise: None, norm: None },
            activation: Activation::Identity,
            dropout: None,
        } => Some(z.slice()),
        _ => None,
    }
}

/// Row `row` of (z + a ξ − mean) · inv_std: x̂ under a norm, else the local field itself.
#[inline(always)]
pub(super) fn standardised<R: Real>(field: &Field<'_, Cpu, R>, row: usize, out: &mut [R]) {
    let features = out.len();
    let z = &field.z.slice()[row * features..][..features];
    match &field.noise {
        None => out.copy_from_slice(z),
        Some(noise) => {
            let amplitude = noise.amplitude.slice()[row];
            let xi = &noise.xi.slice()[row * features..][..features];
            for (out, (&z, &xi)) in out.iter_mut().zip(z.iter().zip(xi)) {
                *out = z + amplitude * xi;
            }
        }
    }
    if let Some(norm) = &field.norm {
        let statistics = norm.mean.slice().iter().zip(norm.inv_std.slice());
        for (z, (&mean, &inv_std)) in out.iter_mut().zip(statistics) {
            *z = (*z - mean) * inv_std;
        }
    }
}

/// γ x̂ + β in place, if the field is normalised.
#[inline(always)]
pub(super) fn affine<R: Real>(field: &Field<'_, Cpu, R>, h: &mut [R]) {
    if let Some(norm) = &field.norm {
        for (h, (&gamma, &beta)) in h.iter_mut().zip(norm.gamma.slice().iter().zip(norm.beta.slice())) {
            *h = gamma * *h + beta;
        }
    }
}

/// Row `row` of the mask on `values`: an element is kept iff `unit(word) >= rate`, with word c mod 4 of
/// counter (row, c/4, step, stream) for column c.
#[inline(always)]
pub(super) fn drop_out<R: Real>(dropout: &Dropout, row: usize, values: &mut [R]) {
    let scale = R::of(1.0 / (1.0 - dropout.rate));
    for (block, values) in values.chunks_mut(4).enumerate() {
        let words = philox(dropout.seed, [row as u32, block as u32, dropout.step, dropout.stream]);
        for (value, word) in values.iter_mut().zip(words) {
            *value = if unit(word) >= dropout.rate { *value * scale } else { R::zero() };
        }
    }
}
