//! `kernels/combine.cu`: joins what tiles and splits of a matrix product left.

use super::args::Address;
use super::driver::Grid;
use super::matmul::TileSums;
use super::{Buffer, Cuda, Kernel};
use crate::Result;
use bytemuck::{Pod, Zeroable};

const COMBINE_MOMENTS: Kernel = Kernel::new("combine", "combine_moments");
const COMBINE_SUMS: Kernel = Kernel::new("combine", "combine_sums");
const COMBINE_SPLITS: Kernel = Kernel::new("combine", "combine_splits");

/// Columns of a block.
const COLUMNS: usize = 8;

/// The kernels' parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Combine {
    first: Address,
    second: Address,
    first_out: Address,
    second_out: Address,
    rows: u32,
    columns: u32,
}

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct CombineSplits {
    partial: Address,
    out: Address,
    len: u64,
    splits: u32,
    unused: u32,
}

/// Mean and biased variance of each column of a [rows, columns] from those of its tiles.
pub(super) fn moments(
    cuda: &Cuda,
    tiles: &TileSums,
    (rows, columns): (usize, usize),
    (mean, var): (Address, Address),
) -> Result<()> {
    join(cuda, COMBINE_MOMENTS, (tiles.first.address(), tiles.second.address()), (rows, columns), (mean, var))
}

/// Both sums of each column of a [rows, columns] from those of its tiles.
pub(super) fn sums(
    cuda: &Cuda,
    tiles: &TileSums,
    (rows, columns): (usize, usize),
    (first, second): (Address, Address),
) -> Result<()> {
    join(
        cuda,
        COMBINE_SUMS,
        (tiles.first.address(), tiles.second.address()),
        (rows, columns),
        (first, second),
    )
}

/// The sum of each column of a [rows, columns] from those over each 128 rows.
pub(super) fn sum(
    cuda: &Cuda,
    parts: &Buffer<f64>,
    (rows, columns): (usize, usize),
    out: Address,
) -> Result<()> {
    join(cuda, COMBINE_SUMS, (parts.address(), 0), (rows, columns), (out, 0))
}

fn join(
    cuda: &Cuda,
    kernel: Kernel,
    (first, second): (Address, Address),
    (rows, columns): (usize, usize),
    (first_out, second_out): (Address, Address),
) -> Result<()> {
    let args = Combine { first, second, first_out, second_out, rows: rows as u32, columns: columns as u32 };
    let grid = Grid { blocks: [columns.div_ceil(COLUMNS) as u32, 1, 1], threads: 256, shared: 0 };
    // SAFETY: `Combine` is the kernel's parameter. The sources have one value for each 128 of `rows` and column, the
    // results, which the operation's check has measured, one for each column.
    unsafe { cuda.launch(kernel, grid, &args) }
}

/// `out [len] = Σ partial [splits, len]`, in order.
pub(super) fn splits(
    cuda: &Cuda,
    partial: &Buffer<f32>,
    splits: usize,
    len: usize,
    out: Address,
) -> Result<()> {
    let args =
        CombineSplits { partial: partial.address(), out, len: len as u64, splits: splits as u32, unused: 0 };
    // SAFETY: `CombineSplits` is the kernel's parameter; `partial` has splits x len elements, `out` len.
    unsafe { cuda.launch(COMBINE_SPLITS, Grid::cover(len, 256), &args) }
}
