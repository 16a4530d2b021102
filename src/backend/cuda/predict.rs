//! `kernels/predict.cu`

use super::args::{Address, address, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, Part, PartMut, Real};
use bytemuck::{Pod, Zeroable};

const PREDICT: Kernel = Kernel::new("predict", "predict");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Predict {
    logits: Address,
    predicted: Address,
    rows: u64,
    classes: u32,
    unused: u32,
}

pub(super) fn predict<R: Real>(
    cuda: &Cuda,
    desc: host::Predict,
    logits: Part<'_, Cuda, R>,
    predicted: PartMut<'_, Cuda, u8>,
) -> Result<()> {
    desc.check(&logits, &predicted)?;
    if desc.rows == 0 {
        return Ok(());
    }
    let args = Predict {
        logits: address(logits),
        predicted: address_mut(&predicted),
        rows: desc.rows as u64,
        classes: desc.classes as u32,
        unused: 0,
    };
    // SAFETY: `Predict` is the kernel's parameter; `check` found logits to be [rows, classes] and predicted [rows].
    unsafe { cuda.launch(PREDICT, Grid::cover(desc.rows, 256), &args) }
}
