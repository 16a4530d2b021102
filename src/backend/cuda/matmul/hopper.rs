//! The products on compute capability 9.0: `kernels/matmul_hopper.cu`.

use super::{Matmul, Operand, Product, TILE};
use crate::Result;
use crate::backend::Precision;
use crate::backend::cuda::driver::{Grid, Stack, TensorMap};
use crate::backend::cuda::{Cuda, Kernel};
use bytemuck::{Pod, Zeroable};

/// In builds for sm_90a alone.
pub(super) const FILE: &str = "matmul_hopper";
/// `WGMMA_DEPTH` of `kernels/tiles.cuh`: of the contraction, in a tile of an operand.
const DEPTH: u32 = 64;
/// `HOPPER_SHARED` of `kernels/matmul_hopper.cuh`.
const SHARED: u32 = 211_552;

/// `HopperMatmul` of `kernels/matmul_hopper.cuh`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct HopperMatmul {
    a: TensorMap,
    b: TensorMap,
    m: Matmul,
    /// Up to a multiple of what tensor maps are aligned to.
    unused: [u64; 12],
}

pub(super) fn launch(cuda: &Cuda, product: Product, m: Matmul) -> Result<()> {
    let (a, b) = match product {
        Product::Forward | Product::Layer => (k_major(&m.a, m.m, m.k), k_major(&m.b, m.n, m.k)),
        Product::Below => (k_major(&m.a, m.m, m.k), mn_major(&m.b, m.n, m.k)),
        Product::Weight => (mn_major(&m.a, m.m, m.k), mn_major(&m.b, m.n, m.k)),
    };
    let map = |(stack, box_rows): (Stack, u32)| cuda.device.tensor_map(&stack, box_rows);
    let (a, b) = (map(a)?, map(b)?);
    let entry = tensor_core_entry!("hopper", product, cuda.precision, (m.a.planes, m.b.planes));
    let blocks = m.tiles().min(cuda.device.processors);
    let grid = Grid { blocks: [blocks, 1, 1], threads: 384, shared: SHARED };
    let args = HopperMatmul { a, b, m, unused: [0; 12] };
    // SAFETY: `HopperMatmul` is the kernel's parameter. Operands have the rows and columns of the product, which the
    // maps bound; `out` and the sums were found or made to fit m x n by the caller.
    unsafe { cuda.launch(Kernel::new(FILE, entry).with_shared(SHARED), grid, &args) }
}

/// Rows of the result's rows or columns, k along them; and rows of a box.
fn k_major(operand: &Operand, lines: u32, k: u32) -> (Stack, u32) {
    (stack(operand, lines, k), TILE as u32)
}

/// A row for each k; and rows of a box.
fn mn_major(operand: &Operand, lines: u32, k: u32) -> (Stack, u32) {
    (stack(operand, k, lines), DEPTH)
}

fn stack(operand: &Operand, rows: u32, columns: u32) -> Stack {
    let &Operand { data, plane_stride, pitch, planes, .. } = operand;
    Stack { data, planes, rows, columns, plane_stride, pitch }
}
