//! Matrix products by the `gemm` crate, behind a safe door. The only unsafe code of the CPU backend.
#![allow(unsafe_code)]

use super::Real;
use super::scratch::Scratch;
use super::simd::simd;
use rayon::prelude::*;
use std::ops::Range;

/// A matrix inside a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, R> {
    data: &'a [R],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, R> Matrix<'a, R> {
    /// `data` as [rows, cols], row-major.
    pub(super) fn new(data: &'a [R], rows: usize, cols: usize) -> Matrix<'a, R> {
        assert!(data.len() == rows * cols, "{rows} x {cols} in {}", data.len());
        Matrix { data, rows, cols, row_stride: cols, col_stride: 1 }
    }

    /// The transpose, without moving anything.
    pub(super) fn transposed(self) -> Matrix<'a, R> {
        let Matrix { data, rows, cols, row_stride, col_stride } = self;
        Matrix { data, rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride }
    }

    /// Some of the rows.
    pub(super) fn rows(self, range: Range<usize>) -> Matrix<'a, R> {
        assert!(range.start < range.end && range.end <= self.rows, "rows {range:?} of {}", self.rows);
        Matrix { data: &self.data[range.start * self.row_stride..], rows: range.len(), ..self }
    }
}

/// Has the crate read a right factor of contiguous rows where it lies. Left to itself, it copies it first for
/// products of more than 48 rows.
pub(super) fn read_in_place() {
    gemm::set_lhs_packing_threshold_single_thread(usize::MAX);
}

/// What becomes of the values already in the output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Overwritten without being read.
    Overwrite,
    /// The product is added to them.
    Add,
}

/// Terms the crate sums in one go. It cuts longer sums by rules that look at the other sizes too; cutting
/// them here first makes the bits of an element depend on the length of its sum alone.
const DEPTH: usize = 512;

/// Terms of a sum of `depth` that are summed in one go, but for the last ones.
pub(super) fn depth_step(depth: usize) -> usize {
    depth.div_ceil(depth.div_ceil(DEPTH))
}

/// `out = a b` or `out += a b`, with `out` [a.rows, b.cols] row-major. Serial.
///
/// With two rows or more, the bits of a row do not depend on which other rows are in the call (a single
/// row takes another path through the crate).
pub(super) fn matmul<R: Real>(existing: Existing, out: &mut [R], a: Matrix<'_, R>, b: Matrix<'_, R>) {
    assert!(out.len() == a.rows * b.cols, "{} for {} x {}", out.len(), a.rows, b.cols);
    into_columns(existing, out, b.cols, a, b);
}

/// Columns of a panel of [`Packed`]: a tile of the crate's AVX-512 kernel.
pub(super) const PANEL: usize = 64;
/// Lanes of a vector of f32, and a cache line of them.
pub(super) const LANES: usize = 16;

/// The right factor of many products in the order in which the kernels read it.
///
/// Left to itself, the crate makes this copy in every call: in training, 7 % of the time.
pub(super) struct Packed<R> {
    /// Panels of columns one after the other, each [depth, columns of the panel] row-major.
    panels: Scratch<R>,
    depth: usize,
    cols: usize,
}

impl<R: Real> Packed<R> {
    /// Copies `b`, in parallel.
    pub(super) fn new(b: Matrix<'_, R>) -> Packed<R> {
        Packed::formed(b.rows, b.cols, |first, panel| {
            let width = panel.len() / b.rows;
            if b.col_stride == 1 {
                for (row, out) in panel.chunks_exact_mut(width).enumerate() {
                    out.copy_from_slice(&b.data[row * b.row_stride + first..][..width]);
                }
            } else {
                simd(
                    #[inline(always)]
                    || pack_transposed(&b.data[first * b.col_stride..], b.col_stride, panel, width),
                );
            }
        })
    }

    /// A [depth, cols] that is formed in place, in parallel: `fill` gets the first column of a panel and the panel,
    /// [depth, columns from there on].
    pub(super) fn formed(depth: usize, cols: usize, fill: impl Fn(usize, &mut [R]) + Sync) -> Packed<R> {
        // A panel that is not whole vectors would be packed again: the last one overlaps the one before.
        let last = ((cols - 1) % PANEL + 1).next_multiple_of(LANES).min(cols);
        let whole = (cols - 1) / PANEL;
        let mut panels = Scratch::new((whole * PANEL + last) * depth);
        panels.par_chunks_mut(PANEL * depth).enumerate().for_each(|(i, panel)| {
            let width = panel.len() / depth;
            fill((i * PANEL).min(cols - width), panel);
        });
        Packed { panels, depth, cols }
    }

    /// Whether there is no infinity and no NaN.
    pub(super) fn is_finite(&self) -> bool {
        simd(
            #[inline(always)]
            || self.panels.iter().map(|x| usize::from(!x.is_finite())).sum::<usize>() == 0,
        )
    }

    /// `out = a b` or `out += a b`, as [`matmul`].
    pub(super) fn product(&self, existing: Existing, out: &mut [R], a: Matrix<'_, R>) {
        assert!(out.len() == a.rows * self.cols, "{} for {} x {}", out.len(), a.rows, self.cols);
        for (first, width, panel) in self.panels() {
            let b = Matrix::new(panel, self.depth, width);
            into_columns(existing, &mut out[first..], self.cols, a, b);
        }
    }

    /// Each panel [depth, width], with its first column and its width.
    pub(super) fn panels(&self) -> impl Iterator<Item = (usize, usize, &[R])> {
        self.panels.chunks(PANEL * self.depth).enumerate().map(|(i, panel)| {
            let width = panel.len() / self.depth;
            ((i * PANEL).min(self.cols - width), width, panel)
        })
    }

    /// The same to write, in parallel.
    pub(super) fn panels_mut(&mut self) -> impl ParallelIterator<Item = (usize, usize, &mut [R])> {
        let Packed { panels, depth, cols } = self;
        let (depth, cols) = (*depth, *cols);
        panels.par_chunks_mut(PANEL * depth).enumerate().map(move |(i, panel)| {
            let width = panel.len() / depth;
            ((i * PANEL).min(cols - width), width, panel)
        })
    }
}

/// How a product with a [`Packed`] is cut into parallel tasks: each makes some rows in a group of panels.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    /// Rows of a task.
    pub rows: usize,
    /// Panels of a group.
    pub panels: usize,
}

impl<R: Real> Packed<R> {
    /// Elements of a product by tiles, for each row: some columns are in two panels.
    pub(super) fn tiled_width(&self) -> usize {
        self.panels.len() / self.depth
    }

    /// `out = a b` or `out += a b` group by group of panels, each [a.rows, columns of its panels].
    pub(super) fn product_by_tiles(&self, existing: Existing, out: &mut [R], a: Matrix<'_, R>, tiles: Tiles) {
        assert!(out.len() == a.rows * self.tiled_width(), "{} for {} rows", out.len(), a.rows);
        let columns = PANEL * tiles.panels;
        let groups = self.panels.par_chunks(columns * self.depth);
        out.par_chunks_mut(columns * a.rows).zip(groups).for_each(|(out, panels)| {
            let columns = panels.len() / self.depth;
            out.par_chunks_mut(tiles.rows * columns).enumerate().for_each(|(task, out)| {
                let a = a.rows(task * tiles.rows..task * tiles.rows + out.len() / columns);
                for (i, panel) in panels.chunks(PANEL * self.depth).enumerate() {
                    let b = Matrix::new(panel, self.depth, panel.len() / self.depth);
                    into_columns(existing, &mut out[i * PANEL..], columns, a, b);
                }
            });
        });
    }
}

/// `out` [rows, cols] from a product by tiles, in parallel.
pub(super) fn join_tiles<R: Real>(tiled: &[R], out: &mut [R], cols: usize, tiles: Tiles) {
    let rows = out.len() / cols;
    out.par_chunks_mut(LANES * cols).enumerate().for_each(|(strip, out)| {
        for (group, tiled) in tiled.chunks(PANEL * tiles.panels * rows).enumerate() {
            let lines = tiled.chunks_exact(tiled.len() / rows).skip(strip * LANES);
            for (out, line) in out.chunks_exact_mut(cols).zip(lines) {
                for (i, panel) in line.chunks(PANEL).enumerate() {
                    let first = ((group * tiles.panels + i) * PANEL).min(cols - panel.len());
                    out[first..][..panel.len()].copy_from_slice(panel);
                }
            }
        }
    });
}

/// `out` [cols, rows] from `data` [rows, cols].
pub(super) fn transpose<R: Real>(data: &[R], cols: usize, out: &mut [R], rows: usize) {
    assert!(data.len() == rows * cols && out.len() == rows * cols, "{rows} x {cols} from {}", data.len());
    simd(
        #[inline(always)]
        || pack_transposed(data, cols, out, rows),
    );
}

/// Columns of `panel` [depth, width] from rows of `data` that lie `stride` apart.
#[inline(always)]
fn pack_transposed<R: Real>(data: &[R], stride: usize, panel: &mut [R], width: usize) {
    for (strip, out) in panel.chunks_mut(LANES * width).enumerate() {
        for first in (0..width).step_by(LANES) {
            // Square by square, so that lines are read and written whole.
            let mut rows = [[R::zero(); LANES]; LANES];
            for (i, row) in rows.iter_mut().take(width - first).enumerate() {
                let data = &data[(first + i) * stride + strip * LANES..];
                // Not a second copy of another length: the compiler would make one call of memcpy of both,
                // which took 10 % of the step of a small network.
                *row = match data.first_chunk() {
                    Some(data) => *data,
                    None => std::array::from_fn(|j| data.get(j).copied().unwrap_or(R::zero())),
                };
            }
            for (j, out) in out.chunks_exact_mut(width).enumerate() {
                let out = &mut out[first..];
                match out.first_chunk_mut::<LANES>() {
                    Some(out) => *out = std::array::from_fn(|i| rows[i][j]),
                    None => out.iter_mut().zip(&rows).for_each(|(out, row)| *out = row[j]),
                }
            }
        }
    }
}

/// [`matmul`] into the first b.cols columns of a matrix whose rows are `stride` long.
fn into_columns<R: Real>(
    existing: Existing,
    out: &mut [R],
    stride: usize,
    a: Matrix<'_, R>,
    b: Matrix<'_, R>,
) {
    let (rows, cols, depth) = (a.rows, b.cols, a.cols);
    assert!(rows > 0 && depth == b.rows && depth > 0, "{rows} x {depth} by {} x {cols}", b.rows);
    assert!(cols <= stride && (rows - 1) * stride + cols <= out.len(), "{rows} x {cols} in {}", out.len());
    let step = depth_step(depth);
    for start in (0..depth).step_by(step) {
        let len = step.min(depth - start);
        let read = existing == Existing::Add || start > 0;
        // SAFETY: `out` is borrowed exclusively and holds (rows − 1) stride + cols elements. The constructors of `Matrix`
        // keep (rows − 1) row_stride + (cols − 1) col_stride below the length of `data`, and the sums here
        // run over start..start + len of a's columns and b's rows, which exist in both.
        unsafe {
            gemm::gemm(
                rows,
                cols,
                len,
                out.as_mut_ptr(),
                1,
                stride as isize,
                read,
                a.data.as_ptr().add(start * a.col_stride),
                a.col_stride as isize,
                a.row_stride as isize,
                b.data.as_ptr().add(start * b.row_stride),
                b.col_stride as isize,
                b.row_stride as isize,
                R::one(),
                R::one(),
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }
}
