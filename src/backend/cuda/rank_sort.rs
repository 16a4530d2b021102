//! `kernels/rank_sort.cu`: the second way of `rank_mass`.

use super::args::Address;
use super::driver::Grid;
use super::rank_mass::{Neurons, Work};
use super::{Cuda, Kernel};
use crate::Result;
use crate::backend::{Backend, RankMass};
use bytemuck::{Pod, Zeroable};

const RANK_SORT: Kernel = Kernel::new("rank_sort", "rank_sort");
const RANK_GROUPS: Kernel = Kernel::new("rank_sort", "rank_groups");

/// The parameter of both kernels.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RankSort {
    keys: Address,
    row: Address,
    spare_keys: Address,
    spare_row: Address,
    class_of: Address,
    counts: Address,
    mass: Address,
    neurons: Neurons,
    rows: u64,
    classes: u32,
    bins: u32,
}

/// Queues the mass of the neurons listed.
pub(super) fn sort(work: &Work<'_>, neurons: &[u32]) -> Result<()> {
    let RankMass { rows, classes, bins, .. } = work.desc;
    let cuda: &Cuda = work.cuda;
    let count = neurons.len();
    let listed = cuda.upload(neurons)?;
    let neurons = Neurons { listed: listed.address(), first: 0, count: count as u64 };
    let keys = cuda.scratch::<u32>(count * rows)?;
    let [row, spare_keys, spare_row] = [(); 3].map(|()| cuda.scratch::<u32>(count * rows));
    let (row, spare_keys, spare_row) = (row?, spare_keys?, spare_row?);
    let counts = cuda.scratch::<u32>(count * 2 * classes * bins)?;
    work.keys(neurons, &keys)?;
    let args = RankSort {
        keys: keys.address(),
        row: row.address(),
        spare_keys: spare_keys.address(),
        spare_row: spare_row.address(),
        class_of: work.class_of.address(),
        counts: counts.address(),
        mass: work.mass,
        neurons,
        rows: rows as u64,
        classes: classes as u32,
        bins: bins as u32,
    };
    let grid = Grid { blocks: [count as u32, 1, 1], threads: 512, shared: 0 };
    // SAFETY: `RankSort` is the parameter of both kernels. keys, row and the spares have `rows` elements for each of
    // `count` neurons, counts 2 classes bins; `class_of` has a class below `classes` for each row; the neurons listed
    // are some of mass's [neurons, classes, bins].
    unsafe {
        cuda.launch(RANK_SORT, grid, &args)?;
        cuda.launch(RANK_GROUPS, grid, &args)
    }
}
