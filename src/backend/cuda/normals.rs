//! `kernels/normals.cu`

use super::args::{Address, RowList, address_mut};
use super::driver::Grid;
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, PartMut, Real, Rows};
use bytemuck::{Pod, Zeroable};

const NORMALS: Kernel = Kernel::new("normals", "normals");

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Normals {
    which: RowList,
    xi: Address,
    seed: u64,
    counters: u64,
    cols: u32,
    per_row: u32,
    trial: u32,
    stream: u32,
}

pub(super) fn normals<R: Real>(
    cuda: &Cuda,
    desc: host::Normals,
    rows: Rows<'_, Cuda>,
    out: PartMut<'_, Cuda, R>,
) -> Result<()> {
    desc.check(&rows, &out)?;
    let per_row = desc.cols.div_ceil(4);
    let counters = desc.rows * per_row;
    if counters == 0 {
        return Ok(());
    }
    let args = Normals {
        which: rows.into(),
        xi: address_mut(&out),
        seed: desc.seed,
        counters: counters as u64,
        cols: desc.cols as u32,
        per_row: per_row as u32,
        trial: desc.trial,
        stream: desc.stream,
    };
    // SAFETY: `Normals` is the kernel's parameter; `check` found out to be [rows, cols], and a list to have an entry for
    // every row.
    unsafe { cuda.launch(NORMALS, Grid::cover(counters, 256), &args) }
}
