//! `kernels/combine.cu`: joins what tiles and splits of a matrix product left.

use super::args::{Address, address_of};
use super::driver::Grid;
use super::matmul::{Splits, TileSums};
use super::{Buffer, Cuda, Kernel};
use crate::Result;
use crate::backend::{LinearBackward, Real};
use bytemuck::{Pod, Zeroable};

const COMBINE_MOMENTS: Kernel = Kernel::new("combine", "combine_moments");
const COMBINE_GRADIENTS: Kernel = Kernel::new("combine", "combine_gradients");

/// Columns of a block, and elements of one.
const COLUMNS: usize = 8;
const ELEMENTS: usize = 256;

/// The kernel's parameter, and part of the other's.
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

/// Part of the kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct CombineSplits {
    partial: Address,
    out: Address,
    len: u64,
    splits: u32,
    unused: u32,
}

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct CombineGradients {
    bias: Combine,
    below: Combine,
    weight: CombineSplits,
}

impl Combine {
    fn new(
        (first, second): (Address, Address),
        (rows, columns): (usize, usize),
        (first_out, second_out): (Address, Address),
    ) -> Combine {
        Combine { first, second, first_out, second_out, rows: rows as u32, columns: columns as u32 }
    }

    fn of_tiles(tiles: &TileSums, shape: (usize, usize), out: (Address, Address)) -> Combine {
        Combine::new((tiles.first.address(), tiles.second.address()), shape, out)
    }

    fn blocks(&self) -> usize {
        (self.columns as usize).div_ceil(COLUMNS)
    }
}

/// Mean and biased variance of each column of a [rows, columns] from those of its tiles.
pub(super) fn moments(
    cuda: &Cuda,
    tiles: &TileSums,
    shape: (usize, usize),
    (mean, var): (Address, Address),
) -> Result<()> {
    let args = Combine::of_tiles(tiles, shape, (mean, var));
    // SAFETY: `Combine` is the kernel's parameter. The tiles have one value for each 128 of the rows and column, the
    // results, which the operation's check has measured, one for each column.
    unsafe { cuda.launch(COMBINE_MOMENTS, grid(args.blocks()), &args) }
}

/// What is still to be added up for the gradients of a layer.
#[derive(Default)]
pub(super) struct Parts {
    /// Sums of dz over each 128 rows: [⌈rows/128⌉, outputs].
    pub bias: Option<Buffer<f64>>,
    /// Of the gradient below, for β and γ.
    pub below: Option<TileSums>,
    /// Of dW.
    pub weight: Option<Splits>,
}

/// Adds up all of it.
pub(super) fn gradients<R: Real>(
    cuda: &Cuda,
    desc: &LinearBackward,
    parts: &Parts,
    grads: &mut Buffer<R>,
) -> Result<()> {
    let &LinearBackward { rows, inputs, outputs, .. } = desc;
    let mut args = CombineGradients::zeroed();
    if let Some((sums, at)) = parts.bias.as_ref().zip(desc.bias) {
        args.bias = Combine::new((sums.address(), 0), (rows, outputs), (address_of(grads, at), 0));
    }
    if let Some((tiles, at)) = parts.below.as_ref().zip(desc.below_norm) {
        let out = (address_of(grads, at.beta), address_of(grads, at.gamma));
        args.below = Combine::of_tiles(tiles, (rows, inputs), out);
    }
    if let Some(Splits { partial, splits }) = &parts.weight {
        args.weight = CombineSplits {
            partial: partial.address(),
            out: address_of(grads, desc.weight),
            len: (outputs * inputs) as u64,
            splits: *splits as u32,
            unused: 0,
        };
    }
    let blocks = args.bias.blocks() + args.below.blocks() + (args.weight.len as usize).div_ceil(ELEMENTS);
    if blocks == 0 {
        return Ok(());
    }
    // SAFETY: `CombineGradients` is the kernel's parameter. Sums have one value for each 128 of the rows and column,
    // partial products splits x outputs x inputs, and the operation's check found the results to fit them.
    unsafe { cuda.launch(COMBINE_GRADIENTS, grid(blocks), &args) }
}

fn grid(blocks: usize) -> Grid {
    Grid { blocks: [blocks as u32, 1, 1], threads: 256, shared: 0 }
}
