//! Products with pixels, of which most are zero: their terms change no sum and are left out.
//!
//! What is left is added in the order of the products by the `gemm` crate, with the same fused multiply-adds, so that
//! the sums are the same bits (tests/sparse_pixels.rs).

use super::matmul::{Existing, LANES, Packed, depth_step, transpose};
use super::scratch::Scratch;
use super::simd::simd;
use super::*;
use rayon::prelude::*;
use std::ops::Range;

/// Lists cost as much for few outputs as for many. They pay from so many on, as long as at most one pixel in so many is
/// not zero.
const LEAST_OUTPUTS: usize = 256;
const SPARSITY: usize = 3;
/// Rows that are looked at to find out.
const LOOKED_AT: usize = 64;

/// Whether the `gemm` crate sums so many terms in a way of its own, which is not that of longer sums.
pub(super) fn is_short_sum(terms: usize) -> bool {
    matches!(terms, 1 | 2)
}

/// Pixels that are worth it.
pub(super) struct SparsePixels<'a, R> {
    pixels: &'a [u8],
    which: Rows<'a, Cpu>,
    columns: usize,
    /// The number that each byte stands for.
    numbers: [R; 256],
}

impl<'a, R: Real> SparsePixels<'a, R> {
    /// `input` [rows, columns], if it is that, for products with a matrix that has one side of `outputs`.
    pub(super) fn of(input: &Input<'a, Cpu, R>, rows: usize, columns: usize, outputs: usize) -> Option<Self> {
        let Input::Pixels { pixels, rows: which, scale, shift } = *input else { return None };
        // Else there would be other bits.
        let fused = !matches!(pulp::Arch::new(), pulp::Arch::Scalar);
        let short = is_short_sum(rows) || is_short_sum(columns);
        if !fused || short || outputs < LEAST_OUTPUTS || shift != R::zero() || !scale.is_finite() {
            return None;
        }
        let numbers = std::array::from_fn(|byte| scale * <R as From<u8>>::from(byte as u8));
        let these = SparsePixels { pixels, which, columns, numbers };
        let looked_at = rows.min(LOOKED_AT);
        (SPARSITY * these.count(0..looked_at) <= looked_at * columns).then_some(these)
    }

    fn row(&self, row: usize) -> &'a [u8] {
        &self.pixels[self.which.at(row) * self.columns..][..self.columns]
    }

    /// How many of these rows' pixels are not zero.
    fn count(&self, rows: Range<usize>) -> usize {
        // Few enough for a byte to count them: so many are compared at once.
        const AT_ONCE: usize = 128;
        let mut count = 0;
        simd(
            #[inline(always)]
            || {
                for row in rows {
                    for bytes in self.row(row).chunks(AT_ONCE) {
                        let mut some = 0;
                        for &byte in bytes {
                            some += u8::from(byte != 0);
                        }
                        count += usize::from(some);
                    }
                }
            },
        );
        count
    }

    /// Lists of them, each of `block` columns of a row; made in tasks of `per_task` rows.
    pub(super) fn list(&self, rows: Range<usize>, per_task: usize, block: usize) -> Sparse<R> {
        let bounds_of_row = self.columns.div_ceil(block) + 1;
        let tasks: Vec<Range<usize>> =
            rows.clone().step_by(per_task).map(|first| first..rows.end.min(first + per_task)).collect();
        // Words are written whole.
        let room: Vec<usize> = tasks.par_iter().map(|rows| self.count(rows.clone()) + WORD).collect();
        let total = room.iter().sum();
        let mut list = Sparse {
            bounds: Scratch::new(rows.len() * bounds_of_row),
            place: Scratch::new(total),
            value: Scratch::new(total),
            bounds_of_row,
        };
        let (mut places, mut values, mut begin) = (&mut list.place[..], &mut list.value[..], 0);
        let mut parts = Vec::with_capacity(tasks.len());
        for (room, bounds) in room.iter().zip(list.bounds.chunks_mut(per_task * bounds_of_row)) {
            let place = places.split_off_mut(..*room).expect("room for all");
            let value = values.split_off_mut(..*room).expect("room for all");
            parts.push((begin as u32, bounds, place, value));
            begin += room;
        }
        tasks.into_par_iter().zip(parts).for_each(|(rows, (begin, bounds, place, value))| {
            simd(
                #[inline(always)]
                || {
                    let mut end = 0;
                    for (row, bounds) in rows.zip(bounds.chunks_exact_mut(bounds_of_row)) {
                        let (bytes, first) = (self.row(row), end);
                        bounds[0] = begin + end as u32;
                        for (i, bound) in bounds[1..].iter_mut().enumerate() {
                            let from = i * block;
                            let (words, rest) = bytes[from..bytes.len().min(from + block)].as_chunks();
                            for (j, word) in words.iter().enumerate() {
                                end += write_places(word, from + j * WORD, &mut place[end..]);
                            }
                            if !rest.is_empty() {
                                let mut word = [0; WORD];
                                word[..rest.len()].copy_from_slice(rest);
                                end += write_places(&word, from + words.len() * WORD, &mut place[end..]);
                            }
                            *bound = begin + end as u32;
                        }
                        for (value, &place) in value[first..end].iter_mut().zip(&place[first..end]) {
                            *value = self.numbers[usize::from(bytes[place as usize])];
                        }
                    }
                },
            );
        });
        list
    }
}

/// Bytes that are looked at together.
const WORD: usize = 8;

/// Which bits are set, by the number that they make.
const BITS: [[u8; WORD]; 256] = {
    let mut bits = [[0; WORD]; 256];
    let mut number = 0;
    while number < 256 {
        let (mut bit, mut count) = (0, 0);
        while bit < WORD {
            if number >> bit & 1 == 1 {
                bits[number][count] = bit as u8;
                count += 1;
            }
            bit += 1;
        }
        number += 1;
    }
    bits
};

/// Writes the places of the bytes of a word that are not zero, `first` being that of the first byte; returns how many
/// there are. What lies behind them in `out` is overwritten.
#[inline(always)]
fn write_places(word: &[u8; WORD], first: usize, out: &mut [u32]) -> usize {
    // The highest bit of each byte says whether there is any; a product brings these together.
    const LOW: u64 = u64::from_ne_bytes([0x7f; WORD]);
    let word = u64::from_le_bytes(*word);
    let any = (((word & LOW) + LOW) | word) & !LOW;
    let number = ((any >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as usize;
    let out: &mut [u32; WORD] = out.first_chunk_mut().expect("room for a word");
    *out = BITS[number].map(|bit| first as u32 + u32::from(bit));
    number.count_ones() as usize
}

/// The elements of some rows that are not zero: lists of them, for each row one for each block of columns.
pub(super) struct Sparse<R> {
    /// Where each list of a row begins, and where the last one ends.
    bounds: Scratch<u32>,
    /// Columns of the elements.
    place: Scratch<u32>,
    value: Scratch<R>,
    bounds_of_row: usize,
}

impl<R: Real> Sparse<R> {
    /// Columns and values of what is in a list.
    #[inline(always)]
    fn of(&self, row: usize, block: usize) -> (&[u32], &[R]) {
        let bound = row * self.bounds_of_row + block;
        let range = self.bounds[bound] as usize..self.bounds[bound + 1] as usize;
        (&self.place[range.clone()], &self.value[range])
    }

    /// `out` [rows, cols] is the product with `b` [columns, cols], all of which is finite. The lists are of
    /// [`depth_step`] columns.
    pub(super) fn product(&self, b: &Packed<R>, out: &mut [R], cols: usize) {
        for (first, width, panel) in b.panels() {
            let out = &mut out[first..];
            simd(
                #[inline(always)]
                || match width / LANES {
                    1 => self.product_of_panel::<1>(panel, out, cols),
                    2 => self.product_of_panel::<2>(panel, out, cols),
                    3 => self.product_of_panel::<3>(panel, out, cols),
                    _ => self.product_of_panel::<4>(panel, out, cols),
                },
            );
        }
    }

    /// Into the first columns of a matrix whose rows are `stride` long.
    #[inline(always)]
    fn product_of_panel<const N: usize>(&self, panel: &[R], out: &mut [R], stride: usize) {
        let panel = vectors::<R, N>(panel);
        for (row, out) in out.chunks_mut(stride).enumerate() {
            let out = first_vectors_mut(out);
            for block in 0..self.bounds_of_row - 1 {
                let (places, values) = self.of(row, block);
                let mut sum = [[R::zero(); LANES]; N];
                for (&place, &value) in places.iter().zip(values) {
                    add(&mut sum, value, &panel[place as usize]);
                }
                join(out, &sum, block == 0);
            }
        }
    }
}

/// Vectors that lie side by side in a row of a panel.
type Vectors<R, const N: usize> = [[R; LANES]; N];

#[inline(always)]
fn vectors<R, const N: usize>(panel: &[R]) -> &[Vectors<R, N>] {
    panel.as_chunks().0.as_chunks().0
}

#[inline(always)]
fn vectors_mut<R, const N: usize>(panel: &mut [R]) -> &mut [Vectors<R, N>] {
    panel.as_chunks_mut().0.as_chunks_mut().0
}

#[inline(always)]
fn first_vectors_mut<R, const N: usize>(row: &mut [R]) -> &mut Vectors<R, N> {
    row.as_chunks_mut().0.first_chunk_mut().expect("whole vectors")
}

/// `sum += factor row`
#[inline(always)]
fn add<R: Real, const N: usize>(sum: &mut Vectors<R, N>, factor: R, row: &Vectors<R, N>) {
    for (sum, row) in sum.iter_mut().zip(row) {
        for (sum, &x) in sum.iter_mut().zip(row) {
            *sum = x.mul_add(factor, *sum);
        }
    }
}

/// `out = sum` or `out += sum`
#[inline(always)]
fn join<R: Real, const N: usize>(out: &mut Vectors<R, N>, sum: &Vectors<R, N>, overwrite: bool) {
    match overwrite {
        true => *out = *sum,
        false => add(out, R::one(), sum),
    }
}

/// Columns of x that a task of the weight gradient has: their sums stay in the first-level cache.
pub(super) const BLOCK: usize = 64;

/// (dzᵀ x)ᵀ of pixels x, group by group of rows.
pub(super) struct PixelGradient<R> {
    /// As the right factor of a product: panels of outputs, each [inputs, outputs of the panel].
    panels: Packed<R>,
    inputs: usize,
    outputs: usize,
}

impl<R: Real> PixelGradient<R> {
    pub(super) fn new(inputs: usize, outputs: usize) -> PixelGradient<R> {
        PixelGradient { panels: Packed::formed(inputs, outputs, |_, _| {}), inputs, outputs }
    }

    /// Adds, or writes for the first time, the product of a group's dz [rows, outputs] and x, in lists of [`BLOCK`]
    /// columns.
    pub(super) fn add(&mut self, existing: Existing, dz: &[R], x: &Sparse<R>) {
        let outputs = self.outputs;
        self.panels.panels_mut().for_each(|(first, width, panel)| {
            panel.par_chunks_mut(BLOCK * width).enumerate().for_each(|(block, out)| {
                let mut sums = Scratch::new(BLOCK * width);
                let (dz, sums) = ((&dz[first..], outputs), &mut sums[..]);
                simd(
                    #[inline(always)]
                    || match width / LANES {
                        1 => add_block::<R, 1>(existing, out, sums, dz, x, block),
                        2 => add_block::<R, 2>(existing, out, sums, dz, x, block),
                        3 => add_block::<R, 3>(existing, out, sums, dz, x, block),
                        _ => add_block::<R, 4>(existing, out, sums, dz, x, block),
                    },
                );
            });
        });
    }

    /// The gradient [outputs, inputs], where `sums` are those of dz over all rows: not finite where a dz is not, and then
    /// its product with the zeros that were left out is not, either.
    pub(super) fn write(&self, out: &mut [R], sums: &[f64]) {
        for (first, width, panel) in self.panels.panels() {
            transpose(panel, width, &mut out[first * self.inputs..][..width * self.inputs], self.inputs);
        }
        let rows = out.chunks_exact_mut(self.inputs).zip(sums);
        rows.filter(|(_, sum)| !sum.is_finite()).for_each(|(row, _)| row.fill(R::nan()));
    }
}

/// The gradient of a block of columns, [columns, outputs], from the first columns of a dz whose rows are `stride` long.
#[inline(always)]
fn add_block<R: Real, const N: usize>(
    existing: Existing,
    out: &mut [R],
    sums: &mut [R],
    (dz, stride): (&[R], usize),
    x: &Sparse<R>,
    block: usize,
) {
    let (out, sums) = (vectors_mut::<R, N>(out), vectors_mut::<R, N>(sums));
    let rows = dz.len().div_ceil(stride);
    let step = depth_step(rows);
    for begin in (0..rows).step_by(step) {
        sums.fill([[R::zero(); LANES]; N]);
        for row in begin..rows.min(begin + step) {
            let (places, values) = x.of(row, block);
            // A copy, for the compiler to keep in registers.
            let dz: Vectors<R, N> = vectors(&dz[row * stride..][..N * LANES])[0];
            for (&place, &value) in places.iter().zip(values) {
                add(&mut sums[place as usize - block * BLOCK], value, &dz);
            }
        }
        let overwrite = begin == 0 && existing == Existing::Overwrite;
        for (out, sum) in out.iter_mut().zip(&*sums) {
            join(out, sum, overwrite);
        }
    }
}
