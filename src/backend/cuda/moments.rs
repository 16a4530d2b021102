//! `kernels/moments.cu`

use super::args::{self, Address};
use super::driver::Grid;
use super::matmul::{TILE, TileSums};
use super::{Cuda, Kernel, combine};
use crate::Result;
use crate::backend::{Activate, Input, Moments, Real};
use bytemuck::{Pod, Zeroable};

const TILE_MOMENTS: Kernel = Kernel::new("moments", "tile_moments");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct TileMoments {
    input: args::Input,
    first: Address,
    second: Address,
    rows: u64,
    features: u32,
    tiles: u32,
}

pub(super) fn moments<R: Real>(
    cuda: &Cuda,
    desc: Activate,
    input: &Input<'_, Cuda, R>,
    moments: Moments<'_, Cuda, R>,
) -> Result<()> {
    desc.check_moments(input, &moments)?;
    let Activate { rows, features } = desc;
    let tiles = rows.div_ceil(TILE);
    let sums = TileSums::new(cuda, rows, features)?;
    let args = TileMoments {
        input: input.into(),
        first: sums.first.address(),
        second: sums.second.address(),
        rows: rows as u64,
        features: features as u32,
        tiles: tiles as u32,
    };
    let blocks = [features.div_ceil(256) as u32, tiles.min(65_535) as u32, 1];
    // SAFETY: `TileMoments` is the kernel's parameter; `check` found the input to be [rows, features], and the sums have
    // a value for each tile and column.
    unsafe { cuda.launch(TILE_MOMENTS, Grid { blocks, threads: 256, shared: 0 }, &args) }?;
    combine::moments(cuda, &sums, (rows, features), args::moments(&moments))
}
