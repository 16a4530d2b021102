//! Matrix products by the `gemm` crate, behind a safe door. The only unsafe code of the CPU backend.
#![allow(unsafe_code)]

use super::Real;
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

/// `out = a b` or `out += a b`, with `out` [a.rows, b.cols] row-major. Serial.
///
/// With two rows or more, the bits of a row do not depend on which other rows are in the call (a single
/// row takes another path through the crate).
pub(super) fn matmul<R: Real>(existing: Existing, out: &mut [R], a: Matrix<'_, R>, b: Matrix<'_, R>) {
    let (rows, cols, depth) = (a.rows, b.cols, a.cols);
    assert!(depth == b.rows && depth > 0 && out.len() == rows * cols, "{rows} x {depth} x {cols}");
    let step = depth.div_ceil(depth.div_ceil(DEPTH));
    for start in (0..depth).step_by(step) {
        let len = step.min(depth - start);
        let read = existing == Existing::Add || start > 0;
        // SAFETY: `out` holds rows x cols elements and is borrowed exclusively. The constructors of `Matrix`
        // keep (rows − 1) row_stride + (cols − 1) col_stride below the length of `data`, and the sums here
        // run over start..start + len of a's columns and b's rows, which exist in both.
        unsafe {
            gemm::gemm(
                rows,
                cols,
                len,
                out.as_mut_ptr(),
                1,
                cols as isize,
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
