//! `kernels/batch_norm.cu`

use super::args::{self, Address, address, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, Part, PartMut, Real, Running};
use bytemuck::{Pod, Zeroable};

const BATCH_NORM: Kernel = Kernel::new("batch_norm", "batch_norm");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct BatchNorm {
    mean: Address,
    var: Address,
    inv_std: Address,
    running_mean: Address,
    running_var: Address,
    status: Address,
    eps: f64,
    momentum: f64,
    unbiased: f64,
    features: u32,
    unused: u32,
}

pub(super) fn batch_norm<R: Real>(
    cuda: &Cuda,
    desc: host::BatchNorm,
    mean: Part<'_, Cuda, R>,
    var: Part<'_, Cuda, R>,
    inv_std: PartMut<'_, Cuda, R>,
    running: Option<Running<'_, Cuda, R>>,
) -> Result<()> {
    desc.check(&mean, &var, &inv_std, &running)?;
    if desc.features == 0 {
        return Ok(());
    }
    let (running_mean, running_var) =
        running.as_ref().map_or((0, 0), |running| args::moments(&running.moments));
    let args = BatchNorm {
        mean: address(mean),
        var: address(var),
        inv_std: address_mut(&inv_std),
        running_mean,
        running_var,
        status: running.map_or(0, |running| running.status.address()),
        eps: desc.eps,
        momentum: desc.momentum,
        unbiased: desc.rows as f64 / (desc.rows as f64 - 1.0),
        features: desc.features as u32,
        unused: 0,
    };
    // SAFETY: `BatchNorm` is the kernel's parameter; `check` found every part to have `features` elements and the
    // status to have two.
    unsafe { cuda.launch(BATCH_NORM, Grid::cover(desc.features, 256), &args) }
}
