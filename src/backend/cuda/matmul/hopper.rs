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
    let entry = tensor_core_entry!("hopper", product, cuda.precision, (m.a.planes, m.b.planes));
    let kernel = Kernel::new(FILE, entry).with_shared(SHARED);
    let blocks = m.tiles().min(cuda.device.processors);
    let grid = Grid { blocks: [blocks, 1, 1], threads: 384, shared: SHARED };
    // SAFETY: `HopperMatmul` is the kernel's parameter. Operands have the rows and columns of the product, which the
    // maps bound; `out` and the sums were found or made to fit m x n by the caller.
    unsafe { cuda.launch(kernel, grid, &args) }
}
