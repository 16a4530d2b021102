//! `kernels/gram.cu`

use super::args::{self, Address, address, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, Input, Part, PartMut, Real};
use bytemuck::{Pod, Zeroable};

const GRAM: Kernel = Kernel::new("gram", "gram");

/// Products of a tile along either side.
const SIDE: usize = 32;

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Gram {
    input: args::Input,
    targets: Address,
    centre: Address,
    products: Address,
    rows: u64,
    features: u32,
    columns: u32,
}

pub(super) fn gram<R: Real>(
    cuda: &Cuda,
    desc: host::Gram,
    input: &Input<'_, Cuda, R>,
    targets: Part<'_, Cuda, R>,
    centre: Part<'_, Cuda, f64>,
    products: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    desc.check(input, &targets, &centre, &products)?;
    let host::Gram { rows, features, targets: columns } = desc;
    let args = Gram {
        input: input.into(),
        targets: address(targets),
        centre: address(centre),
        products: address_mut(&products),
        rows: rows as u64,
        features: features as u32,
        columns: columns as u32,
    };
    let tiles = features.div_ceil(SIDE).min(65_535) as u32;
    let blocks = [(features + columns).div_ceil(SIDE) as u32, tiles, 1];
    // SAFETY: `Gram` is the kernel's parameter; `check` found the input to be [rows, features], targets [rows, columns],
    // centre [features + columns] and products [features, features + columns].
    unsafe { cuda.launch(GRAM, Grid { blocks, threads: 256, shared: 0 }, &args) }
}
