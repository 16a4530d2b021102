//! The products on compute capability 9.0: `kernels/matmul_hopper.cu`, and `kernels/matmul_hopper_single.cu` for a first
//! operand in f32.

use super::{Matmul, Operand, Product, TILE};
use crate::Result;
use crate::backend::Precision;
use crate::backend::cuda::driver::{Grid, Stack, TensorMap};
use crate::backend::cuda::{Cuda, Kernel};
use bytemuck::{Pod, Zeroable};

/// In builds for sm_90a alone.
pub(super) const FILE: &str = "matmul_hopper";
const SINGLE_FILE: &str = "matmul_hopper_single";
/// As in that kernel's file.
pub(super) const MOST_FEATURES: usize = 1280;
/// `WGMMA_DEPTH` of `kernels/tiles.cuh`: of the contraction, in a tile of an operand.
const DEPTH: u32 = 64;
/// `HOPPER_SHARED` of `kernels/matmul_hopper.cuh`.
const SHARED: u32 = 211_568;
/// `FORMED_SHARED` of `kernels/matmul_hopper_single.cu`.
const FORMED_SHARED: u32 = 232_048;

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
        Product::Weight | Product::Flipped => (mn_major(&m.a, m.m, m.k), mn_major(&m.b, m.n, m.k)),
    };
    let map = |(stack, box_rows): (Stack, u32)| cuda.device.tensor_map(&stack, box_rows);
    let copied = m.a.planes > 0;
    let a = if copied { map(a)? } else { Zeroable::zeroed() };
    let b = map(b)?;
    let forms = matches!(product, Product::Forward | Product::Flipped) && m.input.has_field();
    let (file, entry) = match (copied, forms) {
        (true, _) => (FILE, tensor_core_entry!("hopper", product, cuda.precision, (m.a.planes, m.b.planes))),
        (false, false) => (SINGLE_FILE, single(product, cuda.precision, m.b.planes)),
        (false, true) => (SINGLE_FILE, formed(product, cuda.precision)),
    };
    let shared = if forms { FORMED_SHARED } else { SHARED };
    let blocks = m.tiles().min(cuda.device.processors);
    let grid = Grid { blocks: [blocks, 1, 1], threads: 384, shared };
    let args = HopperMatmul { a, b, m, unused: [0; 12] };
    // SAFETY: `HopperMatmul` is the kernel's parameter. Operands have the rows and columns of the product, which the
    // maps bound; `out` and the sums were found or made to fit m x n by the caller.
    unsafe { cuda.launch(Kernel::new(file, entry).with_shared(shared), grid, &args) }
}

/// The kernel that splits its first operand, for so many planes of the second.
fn single(product: Product, precision: Precision, planes: u32) -> &'static str {
    match (product, precision, planes) {
        (Product::Forward, Precision::F32, _) => "single_forward_22",
        (Product::Forward, ..) => "single_forward_11",
        (Product::Layer, Precision::F32, _) => "single_layer_22",
        (Product::Layer, ..) => "single_layer_11",
        (Product::Below, Precision::F32, _) => "single_below_22",
        (Product::Below, ..) => "single_below_11",
        (Product::Weight, Precision::F32, 1) => "single_weight_21",
        (Product::Weight, Precision::F32, _) => "single_weight_22",
        (Product::Weight, ..) => "single_weight_11",
        (Product::Flipped, ..) => unreachable!("x is formed"),
    }
}

/// The kernel that forms its first operand.
fn formed(product: Product, precision: Precision) -> &'static str {
    match (product, precision) {
        (Product::Forward, Precision::F32) => "formed_forward_22",
        (Product::Forward, _) => "formed_forward_11",
        (Product::Flipped, Precision::F32) => "formed_flipped_22",
        (Product::Flipped, _) => "formed_flipped_11",
        _ => unreachable!("these take no x"),
    }
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
