//! `kernels/add_scaled.cu`

use super::args::{Address, address, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{Part, PartMut, Real, check};
use bytemuck::{Pod, Zeroable};

const ADD_SCALED: Kernel = Kernel::new("add_scaled", "add_scaled");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct AddScaled {
    x: Address,
    y: Address,
    out: Address,
    len: u64,
    alpha: f32,
    unused: u32,
}

pub(super) fn add_scaled<R: Real>(
    cuda: &Cuda,
    alpha: f64,
    x: Part<'_, Cuda, R>,
    y: Part<'_, Cuda, R>,
    out: PartMut<'_, Cuda, R>,
) -> Result<()> {
    check::add_scaled(&x, &y, &out)?;
    let len = out.span.len;
    if len == 0 {
        return Ok(()); // a grid of no blocks is an error to the driver
    }
    let args = AddScaled {
        x: address(x),
        y: address(y),
        out: address_mut(&out),
        len: len as u64,
        alpha: alpha as f32,
        unused: 0,
    };
    // SAFETY: `AddScaled` is the kernel's parameter; it touches element i < len of x, y and out, which `check` found
    // to have len elements of f32.
    unsafe { cuda.launch(ADD_SCALED, Grid::cover(len, 256), &args) }
}
