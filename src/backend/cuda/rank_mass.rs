//! `kernels/rank_mass.cu`

use super::args::{self, Address, RowList, address_mut};
use super::driver::Grid;
use super::rank_sort::sort;
use super::{Buffer, Cuda, Kernel};
use crate::Result;
use crate::backend::{Backend, Field, Labels, Part, PartMut, RankMass, Real, Rows, check};
use bytemuck::{Pod, Zeroable};

const RANK_CLASSES: Kernel = Kernel::new("rank_mass", "rank_classes");
const RANK_KEYS: Kernel = Kernel::new("rank_mass", "rank_keys");
const RANK_SELECT: Kernel = Kernel::new("rank_mass", "rank_select").with_shared(MOST_SHARED);

/// Bytes of shared memory that a block may have on every card.
const MOST_SHARED: u32 = 96 << 10;
/// Buckets of the kernel.
const BUCKETS: usize = 4096;
/// Most bytes of scratch at a time, if one neuron needs no more.
const SCRATCH: usize = 256 << 20;
/// Most neurons of a launch: their tiles of 32 are the second dimension of a grid.
const MOST_NEURONS: usize = 32 << 10;

/// How [`Cuda::rank_mass_as`] goes about it. The mass is the same, bit for bit.
#[derive(Clone, Copy, Debug)]
pub struct RankPlan {
    /// Which kernels count.
    pub method: RankMethod,
    /// Neurons at a time, at least 1.
    pub neurons: usize,
}

/// Which kernels count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankMethod {
    /// Without a sort; neurons that gather more than `room` keys, or 1024 of one bucket, are sorted after all.
    Select {
        /// Keys.
        room: usize,
    },
    /// By full ranks.
    Sort,
}

impl RankPlan {
    /// What [`Backend::rank_mass`] does: select where its tables fit into shared memory, else sort.
    pub fn of(desc: RankMass) -> RankPlan {
        // A bucket that holds a border has half as many keys again as others, or twice where they are few.
        let expected = 2 * desc.bins * desc.rows.div_ceil(BUCKETS);
        let room = expected.clamp(1024, 16 << 10).next_power_of_two();
        match shared(desc, room) <= MOST_SHARED as usize {
            true => RankPlan {
                method: RankMethod::Select { room },
                neurons: neurons_within(SCRATCH, desc.rows * size_of::<u32>()),
            },
            false => RankPlan::sorted(desc),
        }
    }

    /// The sort for all neurons.
    pub fn sorted(desc: RankMass) -> RankPlan {
        let keys = 4 * desc.rows * size_of::<u32>();
        let counts = 2 * desc.classes * desc.bins * size_of::<u32>();
        RankPlan { method: RankMethod::Sort, neurons: neurons_within(SCRATCH, keys + counts) }
    }
}

fn neurons_within(bytes: usize, per_neuron: usize) -> usize {
    (bytes / per_neuron).clamp(1, MOST_NEURONS)
}

/// Shared memory of a block of the select, in bytes.
fn shared(desc: RankMass, room: usize) -> usize {
    let tally = 2 * desc.classes * desc.bins;
    size_of::<u32>() * (BUCKETS + tally + 9 * desc.bins + room) + room
}

impl Cuda {
    /// [`Backend::rank_mass`] in a chosen way: for tests that the ways agree, and to compare their speed. Answers how
    /// many neurons were sorted.
    pub fn rank_mass_as(
        &self,
        plan: RankPlan,
        desc: RankMass,
        field: &Field<'_, Cuda, f32>,
        labels: Labels<'_, Cuda>,
        mass: PartMut<'_, Cuda, f64>,
    ) -> Result<usize> {
        desc.check(field, &labels, &mass)?;
        planned(self, plan, desc, field, labels, mass)
    }
}

pub(super) fn rank_mass<R: Real>(
    cuda: &Cuda,
    desc: RankMass,
    field: &Field<'_, Cuda, R>,
    labels: Labels<'_, Cuda>,
    mass: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    desc.check(field, &labels, &mass)?;
    planned(cuda, RankPlan::of(desc), desc, field, labels, mass).map(|_| ())
}

fn planned<R: Real>(
    cuda: &Cuda,
    plan: RankPlan,
    desc: RankMass,
    field: &Field<'_, Cuda, R>,
    labels: Labels<'_, Cuda>,
    mass: PartMut<'_, Cuda, f64>,
) -> Result<usize> {
    let mut status = vec![u32::MAX; 2];
    status.resize(2 + desc.neurons, 0);
    let work = Work {
        cuda,
        desc,
        field: field.into(),
        class_of: cuda.scratch(desc.rows)?,
        status: cuda.upload(&status)?,
        mass: address_mut(&mass),
    };
    work.classes(labels)?;
    let to_sort = match plan.method {
        RankMethod::Select { room } => {
            work.select(plan.neurons, room)?;
            work.crowded(labels)?
        }
        RankMethod::Sort => (0..desc.neurons as u32).collect(),
    };
    if !to_sort.is_empty() {
        let at_once = plan.neurons.min(RankPlan::sorted(desc).neurons);
        to_sort.chunks(at_once).try_for_each(|neurons| sort(&work, neurons))?;
        work.crowded(labels)?;
    }
    Ok(to_sort.len())
}

/// One call at work.
pub(super) struct Work<'a> {
    pub cuda: &'a Cuda,
    pub desc: RankMass,
    field: args::Field,
    /// Class of each row.
    pub class_of: Buffer<u8>,
    /// Lowest row whose label is no class, lowest neuron with a NaN, and a mark for each neuron that the select left.
    status: Buffer<u32>,
    /// Mass of the first neuron.
    pub mass: Address,
}

impl Work<'_> {
    fn classes(&self, labels: Labels<'_, Cuda>) -> Result<()> {
        let args = RankClasses {
            labels: labels.labels.address(),
            rows: labels.rows.into(),
            class_of: self.class_of.address(),
            lowest: self.status.address(),
            count: self.desc.rows as u64,
            classes: self.desc.classes.min(u32::MAX as usize) as u32,
            unused: 0,
        };
        // SAFETY: `RankClasses` is the kernel's parameter. It reads labels of rows that `check` found to exist, as far
        // as a list's contents keep to the set, and writes `count` classes, of which `class_of` has as many.
        unsafe { self.cuda.launch(RANK_CLASSES, Grid::cover(self.desc.rows, 256), &args) }
    }

    /// Queues the keys [neurons, rows] of these neurons.
    pub fn keys(&self, neurons: Neurons, keys: &Buffer<u32>) -> Result<()> {
        const TILE: u64 = 32;
        let RankMass { rows, neurons: features, .. } = self.desc;
        let args = RankKeys {
            field: self.field,
            neurons,
            keys: keys.address(),
            lowest: self.status.address() + size_of::<u32>() as u64,
            rows: rows as u64,
            features: features as u32,
            unused: 0,
        };
        let tiles = [(rows as u64).div_ceil(TILE) as u32, neurons.count.div_ceil(TILE) as u32, 1];
        let grid = Grid { blocks: tiles, threads: 256, shared: 0 };
        // SAFETY: `RankKeys` is the kernel's parameter. `check` found the field to be [rows, features]; the neurons are
        // below `features`, and `keys` has `rows` elements for each of them.
        unsafe { self.cuda.launch(RANK_KEYS, grid, &args) }
    }

    /// Queues the select for all neurons.
    fn select(&self, at_once: usize, room: usize) -> Result<()> {
        let RankMass { rows, neurons, classes, bins } = self.desc;
        let at_once = at_once.min(neurons);
        let keys = self.cuda.scratch(at_once * rows)?;
        for first in (0..neurons).step_by(at_once) {
            let count = at_once.min(neurons - first) as u64;
            let chunk = Neurons { listed: 0, first: first as u64, count };
            self.keys(chunk, &keys)?;
            let args = RankSelect {
                keys: keys.address(),
                class_of: self.class_of.address(),
                mass: self.mass,
                crowded: self.status.address() + 2 * size_of::<u32>() as u64,
                neurons: chunk,
                rows: rows as u64,
                classes: classes as u32,
                bins: bins as u32,
                room: room as u32,
                unused: 0,
            };
            let grid =
                Grid { blocks: [count as u32, 1, 1], threads: 512, shared: shared(self.desc, room) as u32 };
            // SAFETY: `RankSelect` is the kernel's parameter. `keys` holds `rows` keys for each of `count` neurons,
            // `class_of` a class below `classes` for each row, `status` a mark for each neuron, and `check` found mass
            // to be [neurons, classes, bins]. The shared memory is what the kernel lays out.
            unsafe { self.cuda.launch(RANK_SELECT, grid, &args) }?;
        }
        Ok(())
    }

    /// Waits, and answers which neurons the select left.
    ///
    /// # Errors
    /// As the CPU's, if a label is no class or a field is NaN.
    fn crowded(&self, labels: Labels<'_, Cuda>) -> Result<Vec<u32>> {
        let status = self.cuda.download(Part::new(&self.status, 0, self.status.len()))?;
        let [row, neuron] = [status[0], status[1]];
        if row != u32::MAX {
            return Err(self.unknown_class(labels, row as usize)?);
        }
        if neuron != u32::MAX {
            return Err(check::rank_of_nan(neuron as usize));
        }
        let marked = status[2..].iter().enumerate().filter(|(_, mark)| **mark > 0);
        Ok(marked.map(|(neuron, _)| neuron as u32).collect())
    }

    fn unknown_class(&self, labels: Labels<'_, Cuda>, row: usize) -> Result<crate::Error> {
        let sample = match labels.rows {
            Rows::From(first) => first + row,
            Rows::Listed { index, start } => {
                self.cuda.download(Part::new(index, start + row, 1))?[0] as usize
            }
        };
        let label = self.cuda.download(Part::new(labels.labels, sample, 1))?[0];
        Ok(check::unknown_class("rank_mass", label, sample, self.desc.classes))
    }
}

/// Which neurons a launch works on: those listed, or from `first` on.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Neurons {
    pub listed: Address,
    pub first: u64,
    pub count: u64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RankClasses {
    labels: Address,
    rows: RowList,
    class_of: Address,
    lowest: Address,
    count: u64,
    classes: u32,
    unused: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RankKeys {
    field: args::Field,
    neurons: Neurons,
    keys: Address,
    lowest: Address,
    rows: u64,
    features: u32,
    unused: u32,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RankSelect {
    keys: Address,
    class_of: Address,
    mass: Address,
    crowded: Address,
    neurons: Neurons,
    rows: u64,
    classes: u32,
    bins: u32,
    room: u32,
    unused: u32,
}
