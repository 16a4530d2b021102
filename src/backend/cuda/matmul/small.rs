//! Both passes of a small layer in a launch each: `kernels/matmul_small.cu`.

use crate::Result;
use crate::backend::cuda::args::{self, Address, Values, address, address_of};
use crate::backend::cuda::driver::Grid;
use crate::backend::cuda::{Buffer, Cuda, Kernel};
use crate::backend::*;
use bytemuck::{Pod, Zeroable};

const SMALL_FORWARD: Kernel = Kernel::new("matmul_small", "small_forward");
const SMALL_BACKWARD: Kernel = Kernel::new("matmul_small", "small_backward");

/// Rows and columns of a result that a block makes.
const SIDE: usize = 16;
/// A contraction is never split: longer ones would take longer than a launch.
const LONGEST: usize = 2048;
/// Multiply-adds of a product that are done in plain f32 before tensor cores would have got their operands.
const MOST: usize = 1 << 27;

/// Whether a product of these is made here, in whatever precision; by shape alone.
pub(in crate::backend::cuda) fn is_small(rows: usize, inputs: usize, outputs: usize) -> bool {
    rows.max(inputs).max(outputs) <= LONGEST && rows * inputs * outputs <= MOST
}

/// Whether [`forward`] has everything that is asked for.
pub(in crate::backend::cuda) fn has_forward<R: Real>(
    desc: Linear,
    moments: &Option<Moments<'_, Cuda, R>>,
) -> bool {
    moments.is_none() && is_small(desc.rows, desc.inputs, desc.outputs)
}

/// Whether [`backward`] has everything that is asked for.
pub(in crate::backend::cuda) fn has_backward<R: Real>(
    desc: &LinearBackward,
    delta: &Delta<'_, Cuda, R>,
) -> bool {
    delta.norm.is_none() && desc.below_norm.is_none() && is_small(desc.rows, desc.inputs, desc.outputs)
}

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SmallForward {
    input: args::Input,
    weight: Address,
    bias: Address,
    z: Values,
    rows: u32,
    inputs: u32,
    outputs: u32,
    unused: u32,
}

/// The kernel's parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SmallBackward {
    input: args::Input,
    grad: Values,
    below: Values,
    weight: Address,
    grad_weight: Address,
    grad_bias: Address,
    rows: u32,
    inputs: u32,
    outputs: u32,
    unused: u32,
}

/// `z = x Wᵀ + b`, of arguments that were checked.
pub(in crate::backend::cuda) fn forward<R: Real>(
    cuda: &Cuda,
    Linear { rows, inputs, outputs }: Linear,
    input: &Input<'_, Cuda, R>,
    weight: Part<'_, Cuda, R>,
    bias: Option<Part<'_, Cuda, R>>,
    z: PartMut<'_, Cuda, R>,
) -> Result<()> {
    let args = SmallForward {
        input: input.into(),
        weight: address(weight),
        bias: bias.map_or(0, address),
        z: Values::of(z.buf, z.span),
        rows: rows as u32,
        inputs: inputs as u32,
        outputs: outputs as u32,
        unused: 0,
    };
    // SAFETY: `SmallForward` is the kernel's parameter; the operation's check found every part to fit the description.
    unsafe { cuda.launch(SMALL_FORWARD, grid(tiles(rows, outputs)), &args) }
}

/// Gradients of weight and bias and the gradient below, of arguments that were checked.
pub(in crate::backend::cuda) fn backward<R: Real>(
    cuda: &Cuda,
    desc: LinearBackward,
    grad: &Buffer<R>,
    input: &Input<'_, Cuda, R>,
    params: &Buffer<R>,
    grads: &mut Buffer<R>,
    below: Option<&mut Buffer<R>>,
) -> Result<()> {
    let LinearBackward { rows, inputs, outputs, .. } = desc;
    let blocks = tiles(outputs, inputs) + if below.is_some() { tiles(rows, inputs) } else { 0 };
    let args = SmallBackward {
        input: input.into(),
        grad: Values::all(grad),
        below: below.map_or(Values::in_f32(0), |below| Values::all(below)),
        weight: address_of(params, desc.weight),
        grad_weight: address_of(grads, desc.weight),
        grad_bias: desc.bias.map_or(0, |bias| address_of(grads, bias)),
        rows: rows as u32,
        inputs: inputs as u32,
        outputs: outputs as u32,
        unused: 0,
    };
    // SAFETY: `SmallBackward` is the kernel's parameter; the operation's check found every part to fit the description,
    // and blocks beyond those of dW are only there if there is a `below`.
    unsafe { cuda.launch(SMALL_BACKWARD, grid(blocks), &args) }
}

fn tiles(rows: usize, columns: usize) -> usize {
    rows.div_ceil(SIDE) * columns.div_ceil(SIDE)
}

fn grid(blocks: usize) -> Grid {
    Grid { blocks: [blocks as u32, 1, 1], threads: 256, shared: 0 }
}
