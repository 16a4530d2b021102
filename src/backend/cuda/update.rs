//! `kernels/update.cu`

use super::args::Address;
use super::driver::Grid;
use super::{Buffer, Cuda, Kernel};
use crate::Result;
use crate::backend::{self as host, Optimizer, Real};
use bytemuck::{Pod, Zeroable};

const UPDATE_CHECK: Kernel = Kernel::new("update", "update_check");
const UPDATE: Kernel = Kernel::new("update", "update");

/// Parameters of a piece, and most pieces; of more parameters they are longer.
const PIECE: usize = 1024;
const MOST_PIECES: usize = 1024;

/// The kernels' parameter.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Update {
    params: Address,
    grads: Address,
    first: Address,
    second: Address,
    lowest: Address,
    status: Address,
    len: u64,
    piece: u32,
    pieces: u32,
    step: u32,
    formula: u32,
    lr: f32,
    decay: f32,
    momentum: f32,
    shrink: f32,
    new_first: f32,
    old_second: f32,
    new_second: f32,
    rate: f32,
    root: f32,
    eps: f32,
}

pub(super) fn update<R: Real>(
    cuda: &Cuda,
    desc: host::Update,
    params: &mut Buffer<R>,
    grads: &Buffer<R>,
    first: &mut Buffer<R>,
    second: &mut Buffer<R>,
    status: &mut Buffer<u32>,
) -> Result<()> {
    desc.check::<Cuda, R>(params, grads, first, second, status)?;
    let len = params.len();
    if len == 0 {
        return Ok(());
    }
    let piece = PIECE.max(len.div_ceil(MOST_PIECES));
    let pieces = len.div_ceil(piece);
    let lowest = cuda.scratch::<u32>(pieces)?;
    let args = Update {
        params: params.address(),
        grads: grads.address(),
        first: first.address(),
        second: second.address(),
        lowest: lowest.address(),
        status: status.address(),
        len: len as u64,
        piece: piece as u32,
        pieces: pieces as u32,
        step: desc.step as u32,
        ..numbers(&desc)
    };
    let grid = Grid { blocks: [pieces as u32, 1, 1], threads: 256, shared: 0 };
    // SAFETY: `Update` is the parameter of both; `check` found params and grads, and the moments that the formula
    // reads, to have `len` elements and status two; `lowest` has one for each piece.
    unsafe {
        cuda.launch(UPDATE_CHECK, grid, &args)?;
        cuda.launch(UPDATE, grid, &args)
    }
}

/// The formula and its numbers, computed in f64 and rounded once.
fn numbers(desc: &host::Update) -> Update {
    let plain = Update { lr: desc.lr as f32, decay: desc.weight_decay as f32, ..Update::zeroed() };
    match desc.optimizer {
        Optimizer::Sgd { momentum: 0.0 } => plain,
        Optimizer::Sgd { momentum } => Update { formula: 1, momentum: momentum as f32, ..plain },
        Optimizer::Adam { betas, eps } => adam(desc, betas, eps, Update { shrink: 1.0, ..plain }),
        Optimizer::AdamW { betas, eps } => {
            let shrink = (1.0 - desc.lr * desc.weight_decay) as f32;
            adam(desc, betas, eps, Update { decay: 0.0, shrink, ..plain })
        }
    }
}

fn adam(desc: &host::Update, betas: [f64; 2], eps: f64, plain: Update) -> Update {
    let correction = betas.map(|beta| 1.0 - beta.powf(desc.step as f64));
    Update {
        formula: 2,
        new_first: (1.0 - betas[0]) as f32,
        old_second: betas[1] as f32,
        new_second: (1.0 - betas[1]) as f32,
        rate: (desc.lr / correction[0]) as f32,
        root: correction[1].sqrt() as f32,
        eps: eps as f32,
        ..plain
    }
}
