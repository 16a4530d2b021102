//! `kernels/loss.cu`

use super::args::{Address, RowList, address, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, Labels, LossKind, Part, PartMut, Real};
use bytemuck::{Pod, Zeroable};

const LOSS: Kernel = Kernel::new("loss", "loss");

/// Rows of a block, a warp each.
const ROWS: usize = 8;

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Loss {
    logits: Address,
    labels: Address,
    which: RowList,
    row_loss: Address,
    grad: Address,
    rows: u64,
    classes: u32,
    squared: u32,
}

pub(super) fn loss<R: Real>(
    cuda: &Cuda,
    desc: host::Loss,
    logits: Part<'_, Cuda, R>,
    labels: Labels<'_, Cuda>,
    row_loss: PartMut<'_, Cuda, f64>,
    grad: Option<PartMut<'_, Cuda, R>>,
) -> Result<()> {
    desc.check(&logits, &labels, &row_loss, &grad)?;
    let args = Loss {
        logits: address(logits),
        labels: labels.labels.address(),
        which: labels.rows.into(),
        row_loss: address_mut(&row_loss),
        grad: grad.as_ref().map_or(0, address_mut),
        rows: desc.rows as u64,
        classes: desc.classes as u32,
        squared: u32::from(desc.kind == LossKind::Mse),
    };
    let blocks = [desc.rows.div_ceil(ROWS) as u32, 1, 1];
    // SAFETY: `Loss` is the kernel's parameter; `check` found logits and grad to be [rows, classes], row_loss [rows], and
    // a label for every row, as far as a list's contents keep to the set.
    unsafe { cuda.launch(LOSS, Grid { blocks, threads: 256, shared: 0 }, &args) }
}
