//! `kernels/class_sums.cu`

use super::args::{self, Address, address, address_mut};
use super::driver::Grid;
use super::{Buffer, Cuda, Kernel, classes};
use crate::Result;
use crate::backend::{self as host, Input, Labels, Part, PartMut, Real};
use bytemuck::{Pod, Zeroable};

const CLASS_SUMS: Kernel = Kernel::new("class_sums", "class_sums");
const CLASS_COSINES: Kernel = Kernel::new("class_sums", "class_cosines");

/// Features of a block of the sums.
const COLUMNS: usize = 32;
/// Rows of a block of the cosines, a warp each.
const ROWS: usize = 8;

/// The kernels' parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct ClassSums {
    input: args::Input,
    class_of: Address,
    sums: Address,
    cosines: Address,
    rows: u64,
    features: u32,
    classes: u32,
}

impl ClassSums {
    fn new<R: Real>(
        desc: host::ClassSums,
        input: &Input<'_, Cuda, R>,
        class_of: &Buffer<u8>,
        sums: Address,
        cosines: Address,
    ) -> ClassSums {
        ClassSums {
            input: input.into(),
            class_of: class_of.address(),
            sums,
            cosines,
            rows: desc.rows as u64,
            features: desc.features as u32,
            classes: desc.classes as u32,
        }
    }
}

pub(super) fn class_sums<R: Real>(
    cuda: &Cuda,
    desc: host::ClassSums,
    input: &Input<'_, Cuda, R>,
    labels: Labels<'_, Cuda>,
    sums: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    desc.check_sums(input, &labels, &sums)?;
    let class_of = classes::known(cuda, "class_sums", labels, (desc.rows, desc.classes))?;
    let args = ClassSums::new(desc, input, &class_of, address_mut(&sums), 0);
    let blocks = [desc.features.div_ceil(COLUMNS) as u32, desc.classes.min(65_535) as u32, 1];
    // SAFETY: `ClassSums` is the kernel's parameter; `check` found the input to be [rows, features] and sums
    // [classes, features], and every row has a class below `classes`.
    unsafe { cuda.launch(CLASS_SUMS, Grid { blocks, threads: 256, shared: 0 }, &args) }
}

pub(super) fn class_cosines<R: Real>(
    cuda: &Cuda,
    desc: host::ClassSums,
    input: &Input<'_, Cuda, R>,
    labels: Labels<'_, Cuda>,
    centres: Part<'_, Cuda, f64>,
    cosines: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    desc.check_cosines(input, &labels, &centres, &cosines)?;
    let class_of = classes::known(cuda, "class_cosines", labels, (desc.rows, desc.classes))?;
    let args = ClassSums::new(desc, input, &class_of, address(centres), address_mut(&cosines));
    let blocks = [desc.rows.div_ceil(ROWS) as u32, 1, 1];
    // SAFETY: as above, with centres in the place of sums; cosines has `rows` elements.
    unsafe { cuda.launch(CLASS_COSINES, Grid { blocks, threads: 256, shared: 0 }, &args) }
}
