//! `kernels/classes.cu`: the class of every row that takes part.

use super::args::{Address, RowList};
use super::driver::Grid;
use super::{Buffer, Cuda, Kernel};
use crate::backend::{Backend, Labels, Part, Rows, check};
use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};

const KNOWN_CLASSES: Kernel = Kernel::new("classes", "known_classes");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Classes {
    labels: Address,
    rows: RowList,
    class_of: Address,
    lowest: Address,
    count: u64,
    classes: u32,
    unused: u32,
}

/// Queues the class of each of `count` rows into `class_of`, 0 where a label is none; the first such row's number
/// becomes that at `lowest` if it is lower.
pub(super) fn queue(
    cuda: &Cuda,
    labels: Labels<'_, Cuda>,
    (count, classes): (usize, usize),
    class_of: &Buffer<u8>,
    lowest: Address,
) -> Result<()> {
    let args = Classes {
        labels: labels.labels.address(),
        rows: labels.rows.into(),
        class_of: class_of.address(),
        lowest,
        count: count as u64,
        classes: classes.min(u32::MAX as usize) as u32,
        unused: 0,
    };
    // SAFETY: `Classes` is the kernel's parameter. It reads labels of rows that the operation's check found to exist, as
    // far as a list's contents keep to the set, and writes `count` classes, of which `class_of` has as many.
    unsafe { cuda.launch(KNOWN_CLASSES, Grid::cover(count, 256), &args) }
}

/// The class of each of `count` rows, after a look at all of them.
///
/// # Errors
/// As the CPU's, if a label is none of the classes.
pub(super) fn known(
    cuda: &Cuda,
    op: &str,
    labels: Labels<'_, Cuda>,
    (count, classes): (usize, usize),
) -> Result<Buffer<u8>> {
    let class_of = cuda.scratch(count)?;
    let lowest = cuda.upload(&[u32::MAX])?;
    queue(cuda, labels, (count, classes), &class_of, lowest.address())?;
    match cuda.download(Part::new(&lowest, 0, 1))?[0] {
        u32::MAX => Ok(class_of),
        row => Err(unknown(cuda, op, labels, row as usize, classes)?),
    }
}

/// What to say of row `row`, whose label is no class.
pub(super) fn unknown(
    cuda: &Cuda,
    op: &str,
    labels: Labels<'_, Cuda>,
    row: usize,
    classes: usize,
) -> Result<Error> {
    let sample = match labels.rows {
        Rows::From(first) => first + row,
        Rows::Listed { index, start } => cuda.download(Part::new(index, start + row, 1))?[0] as usize,
    };
    let label = cuda.download(Part::new(labels.labels, sample, 1))?[0];
    Ok(check::unknown_class(op, label, sample, classes))
}
