//! `kernels/planes.cu`: operands of the matrix products, in the form that a precision multiplies.

use super::args::{self, Address, address, address_of};
use super::driver::Grid;
use super::matmul::Operand;
use super::{Buffer, Cuda, Kernel};
use crate::Result;
use crate::backend::*;
use bytemuck::{Pod, Zeroable};

/// Rows and columns of a block; sums are over so many rows.
const BLOCK: (usize, usize) = (128, 64);
/// Most blocks that look for the largest element.
const MOST_PARTS: usize = 1024;

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

/// An operand, and the memory it stands in: to be kept until its products are queued.
pub(super) struct Planes {
    pub operand: Operand,
    _data: Option<Buffer<u8>>,
    _inv_scale: Option<Buffer<f32>>,
}

impl Planes {
    /// An f32 matrix as it is stored, without gaps.
    fn in_place(data: Address, columns: usize) -> Planes {
        let operand = Operand { data, pitch: columns as u32, ..Operand::zeroed() };
        Planes { operand, _data: None, _inv_scale: None }
    }
}

/// W [rows, columns].
pub(super) fn of_weight<R: Real>(
    cuda: &Cuda,
    weight: Part<'_, Cuda, R>,
    rows: usize,
    columns: usize,
) -> Result<Planes> {
    let field = Field { z: weight, noise: None, norm: None };
    of_input(cuda, &Input::plain(field), rows, columns)
}

/// The x [rows, columns] that `input` stands for.
pub(super) fn of_input<R: Real>(
    cuda: &Cuda,
    input: &Input<'_, Cuda, R>,
    rows: usize,
    columns: usize,
) -> Result<Planes> {
    let format = Format::of(cuda.precision);
    match *input {
        Input::Field {
            field: Field { z, noise: None, norm: None },
            activation: Activation::Identity,
            dropout: None,
        } if format == Format::Single => Ok(Planes::in_place(address(z), columns)),
        // A byte is exact in 16 bits of either kind: one plane is enough, and the scale is left to the product.
        Input::Pixels { pixels, rows: which, scale, shift }
            if format != Format::Single && shift == R::zero() =>
        {
            let bytes: Input<Cuda, R> = Input::Pixels { pixels, rows: which, scale: R::one(), shift };
            let format = if format == Format::HalfPair { Format::Half } else { format };
            let source = args::Input::from(&bytes);
            write(cuda, &source, format, Scale::Given(scale.wide() as f32), (rows, columns), 0)
        }
        _ => write(cuda, &args::Input::from(input), format, Scale::of(format), (rows, columns), 0),
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
        return write(cuda, &source, format, Scale::of(format), (rows, columns), sums);
    }
    if sums != 0 {
        let to = Target { sums, ..Target::nothing((rows, columns)) };
        source.launch(cuda, DeltaSource::OPERAND, blocks(rows, columns), to)?;
    }
    Ok(Planes::in_place(delta.grad.address(), columns))
}

/// What the elements of a scaled format are multiplied by.
enum Scale {
    /// Nothing.
    None,
    /// The power of two that fits the largest.
    Fitted,
    /// Nothing, but the product's result by this.
    Given(f32),
}

impl Scale {
    fn of(format: Format) -> Scale {
        if format.scaled() { Scale::Fitted } else { Scale::None }
    }
}

/// Writes `source` [rows, columns]; the sums over each 128 rows go to `sums`, unless that is null.
fn write<S: Source>(
    cuda: &Cuda,
    source: &S,
    format: Format,
    scale: Scale,
    shape: (usize, usize),
    sums: Address,
) -> Result<Planes> {
    let (rows, columns) = shape;
    let pitch = columns.next_multiple_of(8);
    let bytes = rows * pitch * if format == Format::Single { 4 } else { 2 * format.planes() };
    let data = cuda.scratch::<u8>(bytes)?;
    let inv_scale = match scale {
        Scale::None => None,
        Scale::Fitted | Scale::Given(_) => Some(cuda.scratch::<f32>(1)?),
    };
    let blocks = blocks(rows, columns);
    let parts = blocks.min(MOST_PARTS);
    let largest = match scale {
        Scale::Fitted => Some(cuda.scratch::<u32>(parts)?),
        Scale::None | Scale::Given(_) => None,
    };
    let to = Target {
        data: data.address(),
        inv_scale: inv_scale.as_ref().map_or(0, Buffer::address),
        largest: largest.as_ref().map_or(0, Buffer::address),
        sums,
        plane_stride: (rows * pitch) as u64,
        pitch: pitch as u32,
        format: format as u32,
        parts: parts as u32,
        given_scale: if let Scale::Given(scale) = scale { scale } else { 1.0 },
        ..Target::nothing(shape)
    };
    if largest.is_some() {
        source.launch(cuda, S::LARGEST, parts, to)?;
    }
    source.launch(cuda, S::OPERAND, blocks, to)?;
    let operand = Operand {
        data: to.data,
        inv_scale: to.inv_scale,
        plane_stride: to.plane_stride,
        pitch: to.pitch,
        planes: format.planes() as u32,
    };
    Ok(Planes { operand, _data: Some(data), _inv_scale: inv_scale })
}

fn blocks(rows: usize, columns: usize) -> usize {
    rows.div_ceil(BLOCK.0) * columns.div_ceil(BLOCK.1)
}

/// `Target` of the kernels.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Target {
    data: Address,
    inv_scale: Address,
    largest: Address,
    sums: Address,
    plane_stride: u64,
    pitch: u32,
    format: u32,
    rows: u32,
    columns: u32,
    parts: u32,
    given_scale: f32,
}

impl Target {
    fn nothing((rows, columns): (usize, usize)) -> Target {
        Target { rows: rows as u32, columns: columns as u32, ..Target::zeroed() }
    }
}

/// What a matrix is formed from.
trait Source {
    const LARGEST: Kernel;
    const OPERAND: Kernel;

    fn launch(&self, cuda: &Cuda, kernel: Kernel, blocks: usize, to: Target) -> Result<()>;
}

/// The kernels' parameter for x.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct OfInput {
    to: Target,
    input: args::Input,
}

impl Source for args::Input {
    const LARGEST: Kernel = Kernel::new("planes", "largest_of_input");
    const OPERAND: Kernel = Kernel::new("planes", "operand_of_input");

    fn launch(&self, cuda: &Cuda, kernel: Kernel, blocks: usize, to: Target) -> Result<()> {
        let grid = Grid { blocks: [blocks as u32, 1, 1], threads: 256, shared: 0 };
        // SAFETY: `OfInput` is the kernel's parameter. The operation's check found an input of rows x columns; `write`
        // allocates what is written there for these, and no block lies beyond them.
        unsafe { cuda.launch(kernel, grid, &OfInput { to, input: *self }) }
    }
}

/// The rest of the kernels' parameter for dz.
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

/// The kernels' parameter for dz.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct OfDelta {
    to: Target,
    from: DeltaSource,
}

impl Source for DeltaSource {
    const LARGEST: Kernel = Kernel::new("planes", "largest_of_delta");
    const OPERAND: Kernel = Kernel::new("planes", "operand_of_delta");

    fn launch(&self, cuda: &Cuda, kernel: Kernel, blocks: usize, to: Target) -> Result<()> {
        let grid = Grid { blocks: [blocks as u32, 1, 1], threads: 256, shared: 0 };
        // SAFETY: `OfDelta` is the kernel's parameter. The operation's check found gradient and field of rows x columns
        // and a norm of columns; `write` and the caller allocate what is written there for these.
        unsafe { cuda.launch(kernel, grid, &OfDelta { to, from: *self }) }
    }
}
