//! `kernels/planes.cu`: operands of the matrix products, in the form that a precision multiplies.

use super::args::{self, Address, address, address_of};
use super::driver::Grid;
use super::matmul::Operand;
use super::{Buffer, Cuda, Kernel};
use crate::backend::*;
use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};

const OPERAND_OF_INPUT: Kernel = Kernel::new("planes", "operand_of_input");
const OPERAND_OF_DELTA: Kernel = Kernel::new("planes", "operand_of_delta");

/// Rows and columns of a block, which has its own scale; sums are over so many rows.
const BLOCK: (usize, usize) = (128, 64);

/// How elements are written; numbers as in the kernel's file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Two planes of fp16, scaled.
    HalfPair = 0,
    /// One plane of fp16, scaled.
    Half = 1,
    /// One plane of bf16.
    Bfloat = 2,
    /// f32.
    Single = 3,
}

impl Format {
    fn of(precision: Precision) -> Format {
        match precision {
            Precision::F32 => Format::HalfPair,
            Precision::Tf32 => Format::Half,
            Precision::Bf16 => Format::Bfloat,
            Precision::Simt => Format::Single,
        }
    }

    fn planes(self) -> usize {
        match self {
            Format::HalfPair => 2,
            Format::Half | Format::Bfloat => 1,
            Format::Single => 0,
        }
    }

    fn scaled(self) -> bool {
        matches!(self, Format::HalfPair | Format::Half)
    }
}

/// An operand, and the memory it stands in: to be held until its products are queued.
pub(super) struct Planes {
    pub operand: Operand,
    shape: (usize, usize),
    data: Option<Buffer<u8>>,
    exponents: Option<Buffer<u32>>,
}

/// The operands of a layer's forward pass.
#[derive(Default)]
pub struct Kept {
    x: Option<Planes>,
    weight: Option<Planes>,
}

impl Kept {
    /// What there was of x and of W, whose memory serves again: a step then finds everything where the last one had it.
    pub(super) fn take(&mut self) -> [Option<Planes>; 2] {
        [self.x.take(), self.weight.take()]
    }

    /// Takes over what has memory of its own, as long as half of the card's is free: runs beside this one shall have
    /// what they need. What stands in somebody else's memory may be gone by the backward pass.
    pub(super) fn keep(&mut self, cuda: &Cuda, x: Planes, weight: Planes) -> Result<()> {
        let own = |planes: Planes| planes.data.is_some().then_some(planes);
        if cuda.device.is_half_free()? {
            *self = Kept { x: own(x), weight: own(weight) };
        }
        Ok(())
    }

    /// x, if it is there; `rows` by `columns`.
    ///
    /// # Errors
    /// [`Error::Shape`] if it is another.
    pub(super) fn x(&self, rows: usize, columns: usize) -> Result<Option<&Planes>> {
        of_shape(&self.x, (rows, columns))
    }

    /// The same for W.
    pub(super) fn weight(&self, rows: usize, columns: usize) -> Result<Option<&Planes>> {
        of_shape(&self.weight, (rows, columns))
    }
}

fn of_shape(planes: &Option<Planes>, shape: (usize, usize)) -> Result<Option<&Planes>> {
    match planes {
        Some(planes) if planes.shape != shape => Err(Error::Shape {
            op: "linear_backward",
            what: format!("kept of {:?} for {shape:?}", planes.shape),
        }),
        planes => Ok(planes.as_ref()),
    }
}

impl Planes {
    /// An f32 matrix as it is stored, without gaps.
    fn in_place(data: Address, shape: (usize, usize)) -> Planes {
        let operand = Operand { data, pitch: shape.1 as u32, scale: 1.0, ..Operand::zeroed() };
        Planes { operand, shape, data: None, exponents: None }
    }
}

/// W [rows, columns], in the memory of `old` if that fits.
pub(super) fn of_weight<R: Real>(
    cuda: &Cuda,
    weight: Part<'_, Cuda, R>,
    rows: usize,
    columns: usize,
    old: Option<Planes>,
) -> Result<Planes> {
    let field = Field { z: weight, noise: None, norm: None };
    of_input(cuda, &Input::plain(field), rows, columns, old)
}

/// The x [rows, columns] that `input` stands for, in the memory of `old` if that fits.
pub(super) fn of_input<R: Real>(
    cuda: &Cuda,
    input: &Input<'_, Cuda, R>,
    rows: usize,
    columns: usize,
    old: Option<Planes>,
) -> Result<Planes> {
    let format = Format::of(cuda.precision);
    match *input {
        Input::Field {
            field: Field { z, noise: None, norm: None },
            activation: Activation::Identity,
            dropout: None,
        } if format == Format::Single => Ok(Planes::in_place(address(z), (rows, columns))),
        // A byte is exact in 16 bits of either kind: one plane is enough, and the scale is left to the product.
        Input::Pixels { pixels, rows: which, scale, shift }
            if format != Format::Single && shift == R::zero() =>
        {
            let bytes: Input<Cuda, R> = Input::Pixels { pixels, rows: which, scale: R::one(), shift };
            let format = if format == Format::HalfPair { Format::Half } else { format };
            let mut x = write(cuda, &args::Input::from(&bytes), (format, false), (rows, columns), 0, old)?;
            x.operand.scale = scale.wide() as f32;
            Ok(x)
        }
        _ => write(cuda, &args::Input::from(input), (format, format.scaled()), (rows, columns), 0, old),
    }
}

/// dz [rows, columns], and on request its sums over each 128 rows, `[ceil(rows / 128), columns]`.
pub(super) fn of_delta<R: Real>(
    cuda: &Cuda,
    delta: &Delta<'_, Cuda, R>,
    grads: &Buffer<R>,
    (rows, columns): (usize, usize),
    sums: Option<&Buffer<f64>>,
) -> Result<Planes> {
    let format = Format::of(cuda.precision);
    let source = DeltaSource::new(delta, grads);
    let sums = sums.map_or(0, Buffer::address);
    if format != Format::Single || delta.norm.is_some() {
        return write(cuda, &source, (format, format.scaled()), (rows, columns), sums, None);
    }
    if sums != 0 {
        let to = Target { sums, ..Target::nothing((rows, columns)) };
        source.launch(cuda, to)?;
    }
    Ok(Planes::in_place(delta.grad.address(), (rows, columns)))
}

/// Writes `source` [rows, columns], each block `scaled` to the range of its format or as it is; the sums over each 128
/// rows go to `sums`, unless that is null. The memory is that of `old`, if it fits.
fn write<S: Source>(
    cuda: &Cuda,
    source: &S,
    (format, scaled): (Format, bool),
    shape: (usize, usize),
    sums: Address,
    old: Option<Planes>,
) -> Result<Planes> {
    let (rows, columns) = shape;
    let pitch = columns.next_multiple_of(8);
    let bytes = rows * pitch * if format == Format::Single { 4 } else { 2 * format.planes() };
    let (old_data, old_exponents) = old.map_or((None, None), |old| (old.data, old.exponents));
    let data = fitting(cuda, old_data, bytes)?;
    let exponents = scaled.then(|| fitting(cuda, old_exponents, blocks(shape))).transpose()?;
    let to = Target {
        data: data.address(),
        exponents: exponents.as_ref().map_or(0, Buffer::address),
        sums,
        plane_stride: (rows * pitch) as u64,
        pitch: pitch as u32,
        format: format as u32,
        ..Target::nothing(shape)
    };
    source.launch(cuda, to)?;
    let operand = Operand {
        data: to.data,
        exponents: to.exponents,
        plane_stride: to.plane_stride,
        pitch: to.pitch,
        planes: format.planes() as u32,
        blocks_across: columns.div_ceil(BLOCK.1) as u32,
        scale: 1.0,
    };
    Ok(Planes { operand, shape, data: Some(data), exponents })
}

/// Memory for `len` elements: the old one if it is just so large.
fn fitting<T: Element>(cuda: &Cuda, old: Option<Buffer<T>>, len: usize) -> Result<Buffer<T>> {
    match old.filter(|old| old.len() == len) {
        Some(old) => Ok(old),
        None => cuda.scratch(len),
    }
}

fn blocks((rows, columns): (usize, usize)) -> usize {
    rows.div_ceil(BLOCK.0) * columns.div_ceil(BLOCK.1)
}

/// `Target` of the kernels.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Target {
    data: Address,
    exponents: Address,
    sums: Address,
    plane_stride: u64,
    pitch: u32,
    format: u32,
    rows: u32,
    columns: u32,
}

impl Target {
    fn nothing((rows, columns): (usize, usize)) -> Target {
        Target { rows: rows as u32, columns: columns as u32, ..Target::zeroed() }
    }

    /// A block of threads for each block of the matrix.
    fn grid(&self) -> Grid {
        let blocks = blocks((self.rows as usize, self.columns as usize));
        Grid { blocks: [blocks as u32, 1, 1], threads: 256, shared: 0 }
    }
}

/// What a matrix is formed from.
trait Source {
    fn launch(&self, cuda: &Cuda, to: Target) -> Result<()>;
}

/// The kernel's parameter for x.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct OfInput {
    to: Target,
    input: args::Input,
}

impl Source for args::Input {
    fn launch(&self, cuda: &Cuda, to: Target) -> Result<()> {
        // SAFETY: `OfInput` is the kernel's parameter. The operation's check found an input of rows x columns; `write`
        // allocates what is written there for these.
        unsafe { cuda.launch(OPERAND_OF_INPUT, to.grid(), &OfInput { to, input: *self }) }
    }
}

/// The rest of the kernel's parameter for dz.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct DeltaSource {
    grad: Address,
    z: Address,
    norm: args::Norm,
    grad_gamma: Address,
    grad_beta: Address,
}

impl DeltaSource {
    fn new<R: Real>(delta: &Delta<'_, Cuda, R>, grads: &Buffer<R>) -> DeltaSource {
        let plain = DeltaSource { grad: delta.grad.address(), ..Zeroable::zeroed() };
        let Some(DeltaNorm { z, norm, at }) = delta.norm else { return plain };
        DeltaSource {
            z: address(z),
            norm: norm.into(),
            grad_gamma: address_of(grads, at.gamma),
            grad_beta: address_of(grads, at.beta),
            ..plain
        }
    }
}

/// The kernel's parameter for dz.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct OfDelta {
    to: Target,
    from: DeltaSource,
}

impl Source for DeltaSource {
    fn launch(&self, cuda: &Cuda, to: Target) -> Result<()> {
        // SAFETY: `OfDelta` is the kernel's parameter. The operation's check found gradient and field of rows x columns
        // and a norm of columns; `write` and the caller allocate what is written there for these.
        unsafe { cuda.launch(OPERAND_OF_DELTA, to.grid(), &OfDelta { to, from: *self }) }
    }
}
