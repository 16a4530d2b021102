//! `kernels/planes.cu`: operands of the matrix products, in the form that a precision multiplies.

use super::args::{self, Address, Values, address_of};
use super::driver::Grid;
use super::matmul::{Operand, forms_first, splits_first};
use super::{Buffer, Cuda, Kernel};
use crate::backend::*;
use crate::{Error, Result};
use bytemuck::{Pod, Zeroable};

const OPERANDS_OF_INPUTS: Kernel = Kernel::new("planes", "operands_of_inputs");
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
    /// An x that its products form while they read what is in memory, which is z.
    pub unformed: Option<args::Input>,
    shape: (usize, usize),
    data: Option<Buffer<u8>>,
    exponents: Option<Buffer<u32>>,
}

/// The operands of a layer's forward pass.
#[derive(Default)]
pub struct Kept {
    x: Option<Planes>,
    weight: Option<Planes>,
    /// Whether there is room for them; asked once, for the driver takes its time to answer.
    has_room: Option<bool>,
}

impl Kept {
    /// What there was of x and of W, whose memory serves again: a step then finds everything where the last one had it.
    pub(super) fn take(&mut self) -> [Option<Planes>; 2] {
        [self.x.take(), self.weight.take()]
    }

    /// Takes over what has memory of its own, if half of the card's was free at first: runs beside this one shall have
    /// what they need. What stands in somebody else's memory may be gone by the backward pass.
    pub(super) fn keep(&mut self, cuda: &Cuda, x: Planes, weight: Planes) -> Result<()> {
        let own = |planes: Planes| planes.data.is_some().then_some(planes);
        let has_room = match self.has_room {
            Some(known) => known,
            None => cuda.device.is_half_free()?,
        };
        self.has_room = Some(has_room);
        if has_room {
            (self.x, self.weight) = (own(x), own(weight));
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
    /// A matrix that is stored, without gaps, as products in this format take it: in f32, or in bf16 with rows of a
    /// length that they can copy. `split`: they split f32 themselves, which they read in pairs.
    fn in_place(values: Values, format: Format, shape: (usize, usize), split: bool) -> Option<Planes> {
        let aligned = |columns, bytes| shape.1.is_multiple_of(columns) && values.data.is_multiple_of(bytes);
        let planes = match format {
            Format::Single => Some(0),
            Format::Bfloat => (values.is_narrow() && aligned(8, 16)).then_some(1),
            Format::HalfPair | Format::Half => (split && !values.is_narrow() && aligned(2, 8)).then_some(0),
        };
        let (data, plane_stride, pitch) = (values.data, (shape.0 * shape.1) as u64, shape.1 as u32);
        planes.map(|planes| Planes {
            operand: Operand { data, plane_stride, pitch, planes, scale: 1.0, ..Operand::zeroed() },
            unformed: None,
            shape,
            data: None,
            exponents: None,
        })
    }
}

/// W [rows, columns].
pub(super) fn of_weight<R: Real>(
    cuda: &Cuda,
    weight: Part<'_, Cuda, R>,
    rows: usize,
    columns: usize,
) -> Result<Planes> {
    of_input(cuda, &as_input(weight), rows, columns)
}

/// The x [rows, columns] that `input` stands for.
pub(super) fn of_input<R: Real>(
    cuda: &Cuda,
    input: &Input<'_, Cuda, R>,
    rows: usize,
    columns: usize,
) -> Result<Planes> {
    let (planes, source) = plan(cuda, input, (rows, columns), false, None)?;
    form(cuda, [source, None])?;
    Ok(planes)
}

/// The x [rows, inputs] of a layer in training, where its products form it: what is left of the norm, by ReLU, of a z in
/// f32. Both passes ask alike.
pub(super) fn unformed<R: Real>(
    cuda: &Cuda,
    input: &Input<'_, Cuda, R>,
    Linear { rows, inputs, outputs }: Linear,
) -> Option<Planes> {
    let &Input::Field { field: Field { z, noise: None, .. }, activation: Activation::Relu, dropout: None } =
        input
    else {
        return None;
    };
    let stored =
        || Planes::in_place(Values::of(z.buf, z.span), Format::of(cuda.precision), (rows, inputs), true);
    let stored = forms_first(cuda, inputs, outputs).then(stored).flatten()?;
    Some(Planes { unformed: Some(input.into()), ..stored })
}

/// Both operands of a layer's forward pass, in one launch: x [rows, inputs], which may be `unformed`, and W
/// [outputs, inputs], in the memory of `old` where that fits.
pub(super) fn of_layer<R: Real>(
    cuda: &Cuda,
    Linear { rows, inputs, outputs }: Linear,
    input: &Input<'_, Cuda, R>,
    unformed: Option<Planes>,
    weight: Part<'_, Cuda, R>,
    [old_x, old_weight]: [Option<Planes>; 2],
) -> Result<[Planes; 2]> {
    let (x, of_x) = match unformed {
        Some(x) => (x, None),
        None => plan(cuda, input, (rows, inputs), splits_first(cuda, outputs), old_x)?,
    };
    let (weight, of_weight) = plan(cuda, &as_input(weight), (outputs, inputs), false, old_weight)?;
    form(cuda, [of_x, of_weight])?;
    Ok([x, weight])
}

/// Memory for the x [rows, features] of a layer, which the product of the layer below is to write as operand. None in a
/// precision that multiplies f32 as it is stored.
pub(super) fn unwritten(cuda: &Cuda, rows: usize, features: usize) -> Result<Option<Planes>> {
    let format = Format::of(cuda.precision);
    let x = (format != Format::Single).then(|| room(cuda, (format, format.scaled()), (rows, features), None));
    Ok(x.transpose()?.map(|(x, _)| x))
}

fn as_input<R: Real>(weight: Part<'_, Cuda, R>) -> Input<'_, Cuda, R> {
    Input::plain(Field { z: weight, noise: None, norm: None })
}

/// Memory for an x, that of `old` if it fits, and what has to be written there: nothing of what is stored as products
/// want it, or, with `split`, in f32.
fn plan<R: Real>(
    cuda: &Cuda,
    input: &Input<'_, Cuda, R>,
    shape: (usize, usize),
    split: bool,
    old: Option<Planes>,
) -> Result<(Planes, Option<OfInput>)> {
    let format = Format::of(cuda.precision);
    let new = |input: &Input<'_, Cuda, R>, format, old| {
        let (x, to) = room(cuda, format, shape, old)?;
        Ok((x, Some(OfInput { to, input: input.into() })))
    };
    let stored = match *input {
        Input::Field {
            field: Field { z, noise: None, norm: None },
            activation: Activation::Identity,
            dropout: None,
        } => Planes::in_place(Values::of(z.buf, z.span), format, shape, split),
        _ => None,
    };
    if let Some(stored) = stored {
        return Ok((stored, None));
    }
    match *input {
        // A byte is exact in 16 bits of either kind: one plane is enough, and the scale is left to the product.
        Input::Pixels { pixels, rows, scale, shift } if format != Format::Single && shift == R::zero() => {
            let format = if format == Format::HalfPair { Format::Half } else { format };
            let bytes = Input::Pixels { pixels, rows, scale: R::one(), shift };
            let (mut x, source) = new(&bytes, (format, false), old)?;
            x.operand.scale = scale.wide() as f32;
            Ok((x, source))
        }
        _ => new(input, (format, format.scaled()), old),
    }
}

/// Writes what is planned, in one launch.
fn form(cuda: &Cuda, sources: [Option<OfInput>; 2]) -> Result<()> {
    let mut sources = sources.into_iter().flatten();
    let Some(first) = sources.next() else { return Ok(()) };
    let second = sources.next();
    let blocks = |of: &OfInput| of.to.grid().blocks[0];
    let of_second = second.as_ref().map_or(0, blocks);
    let args =
        OfInputs { of: [first, second.unwrap_or_else(Zeroable::zeroed)], blocks: blocks(&first), unused: 0 };
    let grid = Grid { blocks: [args.blocks + of_second, 1, 1], ..first.to.grid() };
    // SAFETY: `OfInputs` is the kernel's parameter. The operation's check found inputs of these rows x columns; `room`
    // allocates what is written there for them. Blocks beyond those of the first are only there if there is a second.
    unsafe { cuda.launch(OPERANDS_OF_INPUTS, grid, &args) }
}

/// dz [rows, columns], and on request its sums over each 128 rows, `[ceil(rows / 128), columns]`. `split`: its products
/// split it themselves, should it be stored in f32.
pub(super) fn of_delta<R: Real>(
    cuda: &Cuda,
    delta: &Delta<'_, Cuda, R>,
    grads: &Buffer<R>,
    (rows, columns): (usize, usize),
    split: bool,
    sums: Option<&Buffer<f64>>,
) -> Result<Planes> {
    let format = Format::of(cuda.precision);
    let from = DeltaSource::new(delta, grads);
    let sums = sums.map_or(0, Buffer::address);
    let shape = (rows, columns);
    let stored = match delta.norm {
        None => Planes::in_place(Values::all(delta.grad), format, shape, split),
        Some(_) => None,
    };
    let (planes, to) = match stored {
        Some(planes) => (planes, Target::nothing(shape)),
        None => room(cuda, (format, format.scaled()), shape, None)?,
    };
    let to = Target { sums, ..to };
    if to.data != 0 || to.sums != 0 {
        // SAFETY: `OfDelta` is the kernel's parameter. The operation's check found gradient and field of rows x columns
        // and a norm of columns; `room` and the caller allocate what is written there for these.
        unsafe { cuda.launch(OPERAND_OF_DELTA, to.grid(), &OfDelta { to, from }) }?;
    }
    Ok(planes)
}

/// Memory for a matrix, each block `scaled` to the range of its format or as it is: that of `old`, if it fits. The kernels
/// are yet to write there.
fn room(
    cuda: &Cuda,
    (format, scaled): (Format, bool),
    shape: (usize, usize),
    old: Option<Planes>,
) -> Result<(Planes, Target)> {
    let (rows, columns) = shape;
    let pitch = columns.next_multiple_of(8);
    let bytes = rows * pitch * if format == Format::Single { 4 } else { 2 * format.planes() };
    let (old_data, old_exponents) = old.map_or((None, None), |old| (old.data, old.exponents));
    let data = fitting(cuda, old_data, bytes)?;
    let exponents = scaled.then(|| fitting(cuda, old_exponents, blocks(shape))).transpose()?;
    let to = Target {
        data: data.address(),
        exponents: exponents.as_ref().map_or(0, Buffer::address),
        plane_stride: (rows * pitch) as u64,
        pitch: pitch as u32,
        format: format as u32,
        ..Target::nothing(shape)
    };
    let operand = Operand {
        data: to.data,
        exponents: to.exponents,
        plane_stride: to.plane_stride,
        pitch: to.pitch,
        planes: format.planes() as u32,
        blocks_across: columns.div_ceil(BLOCK.1) as u32,
        scale: 1.0,
    };
    Ok((Planes { operand, unformed: None, shape, data: Some(data), exponents }, to))
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

/// `OfInput` of the kernels.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct OfInput {
    to: Target,
    input: args::Input,
}

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct OfInputs {
    of: [OfInput; 2],
    blocks: u32,
    unused: u32,
}

/// The rest of the kernel's parameter for dz.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct DeltaSource {
    grad: Values,
    z: Values,
    norm: args::Norm,
    grad_gamma: Address,
    grad_beta: Address,
}

impl DeltaSource {
    fn new<R: Real>(delta: &Delta<'_, Cuda, R>, grads: &Buffer<R>) -> DeltaSource {
        let plain = DeltaSource { grad: Values::all(delta.grad), ..Zeroable::zeroed() };
        let Some(DeltaNorm { z, norm, at }) = delta.norm else { return plain };
        DeltaSource {
            z: Values::of(z.buf, z.span),
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
