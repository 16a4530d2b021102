//! The products on compute capability 9.0: `kernels/matmul_hopper.cu`.

use super::{Matmul, Product, TILE};
use crate::Result;
use crate::backend::Precision;
use crate::backend::cuda::driver::Grid;
use crate::backend::cuda::tensor_map::TensorMap;
use crate::backend::cuda::{Cuda, Kernel};
use bytemuck::{Pod, Zeroable};

const FILE: &str = "matmul_hopper";
/// `WGMMA_DEPTH` of `kernels/tiles.cuh`: of the contraction, in a tile of an operand.
const DEPTH: u32 = 64;
/// `HOPPER_SHARED` of `kernels/matmul_hopper.cuh`.
const SHARED: u32 = 205_408;

/// `HopperMatmul` of `kernels/matmul_hopper.cuh`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct HopperMatmul {
    a: TensorMap,
    b: TensorMap,
    m: Matmul,
    unused: [u64; 2],
}

/// Whether the card and this build have what these kernels need.
pub(super) fn fits(cuda: &Cuda) -> bool {
    cuda.device.capability == 90 && cuda.has(FILE)
}

pub(super) fn launch(cuda: &Cuda, product: Product, m: Matmul) -> Result<()> {
    // Rows and columns of an operand in memory, and rows of the boxes in which it is read.
    let by_k = |lines: u32| (lines, m.k, TILE as u32);
    let by_lines = |lines: u32| (m.k, lines, DEPTH);
    let (a, b) = match product {
        Product::Forward => (by_k(m.m), by_k(m.n)),
        Product::Below => (by_k(m.m), by_lines(m.n)),
        Product::Weight => (by_lines(m.m), by_lines(m.n)),
    };
    let args = HopperMatmul {
        a: TensorMap::new(&m.a, a.0, a.1, a.2)?,
        b: TensorMap::new(&m.b, b.0, b.1, b.2)?,
        m,
        unused: [0; 2],
    };
    let kernel = kernel(product, cuda.precision, (m.a.planes, m.b.planes));
    let blocks = m.tiles().min(cuda.device.processors);
    let grid = Grid { blocks: [blocks, 1, 1], threads: 384, shared: SHARED };
    // SAFETY: `HopperMatmul` is the kernel's parameter. Operands have the rows and columns of the product, which the
    // maps bound; `out` and the sums were found or made to fit m x n by the caller.
    unsafe { cuda.launch(kernel, grid, &args) }
}

fn kernel(product: Product, precision: Precision, planes: (u32, u32)) -> Kernel {
    let bf16 = precision == Precision::Bf16;
    let entry = match (product, planes) {
        (Product::Forward, _) if bf16 => "hopper_forward_bf16",
        (Product::Forward, (1, 1)) => "hopper_forward_11",
        (Product::Forward, (1, _)) => "hopper_forward_12",
        (Product::Forward, _) => "hopper_forward_22",
        (Product::Below, _) if bf16 => "hopper_below_bf16",
        (Product::Below, (1, _)) => "hopper_below_11",
        (Product::Below, _) => "hopper_below_22",
        (Product::Weight, _) if bf16 => "hopper_weight_bf16",
        (Product::Weight, (1, _)) => "hopper_weight_11",
        (Product::Weight, (_, 1)) => "hopper_weight_21",
        (Product::Weight, _) => "hopper_weight_22",
    };
    Kernel::new(FILE, entry).with_shared(SHARED)
}
