//! `kernels/activate.cu`

use super::args::{self, Address, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, Input, PartMut, Real};
use bytemuck::{Pod, Zeroable};

const ACTIVATE: Kernel = Kernel::new("activate", "activate_input");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Activate {
    input: args::Input,
    x: Address,
    len: u64,
    features: u32,
    unused: u32,
}

pub(super) fn activate<R: Real>(
    cuda: &Cuda,
    desc: host::Activate,
    input: &Input<'_, Cuda, R>,
    x: PartMut<'_, Cuda, R>,
) -> Result<()> {
    desc.check(input, &x)?;
    let len = desc.rows * desc.features;
    let args = Activate {
        input: input.into(),
        x: address_mut(&x),
        len: len as u64,
        features: desc.features as u32,
        unused: 0,
    };
    // SAFETY: `Activate` is the kernel's parameter; `check` found input and x to be [rows, features].
    unsafe { cuda.launch(ACTIVATE, Grid::cover(len, 256), &args) }
}
