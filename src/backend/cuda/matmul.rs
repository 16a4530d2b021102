//! The matrix products of a layer: `kernels/matmul_*.cu`.

use super::args::{self, Address, Values};
use super::driver::Grid;
use super::planes::Planes;
use super::{Buffer, Cuda, Kernel};
use crate::Result;
use crate::backend::Precision;
use bytemuck::{Pod, Zeroable};

/// The kernel of a family for operands of so many planes each.
macro_rules! tensor_core_entry {
    ($family:literal, $product:expr, $precision:expr, $planes:expr) => {
        match ($product, $precision, $planes) {
            (Product::Forward, Precision::Bf16, _) => concat!($family, "_forward_bf16"),
            (Product::Forward, _, (1, 1)) => concat!($family, "_forward_11"),
            (Product::Forward, _, (1, _)) => concat!($family, "_forward_12"),
            (Product::Forward, ..) => concat!($family, "_forward_22"),
            (Product::Layer, Precision::Bf16, _) => concat!($family, "_layer_bf16"),
            (Product::Layer, _, (1, 1)) => concat!($family, "_layer_11"),
            (Product::Layer, _, (1, _)) => concat!($family, "_layer_12"),
            (Product::Layer, ..) => concat!($family, "_layer_22"),
            (Product::Below, Precision::Bf16, _) => concat!($family, "_below_bf16"),
            (Product::Below, _, (1, _)) => concat!($family, "_below_11"),
            (Product::Below, ..) => concat!($family, "_below_22"),
            (Product::Weight, Precision::Bf16, _) => concat!($family, "_weight_bf16"),
            (Product::Weight, _, (1, _)) => concat!($family, "_weight_11"),
            (Product::Weight, _, (_, 1)) => concat!($family, "_weight_21"),
            (Product::Weight, ..) => concat!($family, "_weight_22"),
            (Product::Flipped, ..) => unreachable!("its x is not in planes"),
        }
    };
}

mod hopper;
pub(super) mod small;

/// Rows and columns of a tile of the result.
pub(super) const TILE: usize = 128;

/// Multiprocessors of a large card, which a product with a long contraction is cut up for. No card's own number, so that the
/// bits are the same on all.
const PROCESSORS: usize = 132;
/// The contraction is not split finer.
const LEAST_SPLIT: usize = 256;
/// Length of a split: a multiple of this.
const SPLIT_STEP: usize = 64;

/// `Operand` of `kernels/matmul.cuh`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Operand {
    pub data: Address,
    pub exponents: Address,
    pub plane_stride: u64,
    pub pitch: u32,
    pub planes: u32,
    pub blocks_across: u32,
    pub scale: f32,
}

/// `Matmul` of `kernels/matmul.cuh`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Matmul {
    a: Operand,
    b: Operand,
    out: Values,
    m: u32,
    n: u32,
    k: u32,
    ldo: u32,
    splits: u32,
    k_per_split: u32,
    bias: Address,
    first: Address,
    second: Address,
    exponents: Address,
    plane_stride: u64,
    input: args::Input,
}

/// Two sums over the rows of each tile, for each column.
pub(super) struct TileSums {
    pub first: Buffer<f64>,
    pub second: Buffer<f64>,
}

impl TileSums {
    /// For a result of [rows, columns].
    pub fn new(cuda: &Cuda, rows: usize, columns: usize) -> Result<TileSums> {
        let len = rows.div_ceil(TILE) * columns;
        Ok(TileSums { first: cuda.scratch(len)?, second: cuda.scratch(len)? })
    }
}

/// A product [m, n] of which each split of the contraction is still by itself: [splits, m, n].
pub(super) struct Splits {
    pub partial: Buffer<f32>,
    pub splits: usize,
}

/// `out [m, n] = a bᵀ + bias`, contracted over k; `sums` become the mean of each tile's column and the sum of squared
/// deviations from it.
pub(super) fn forward(
    cuda: &Cuda,
    (a, b): (&Planes, &Planes),
    (m, n, k): (usize, usize, usize),
    bias: Address,
    out: Values,
    sums: Option<&TileSums>,
) -> Result<()> {
    let input = a.unformed.unwrap_or_else(Zeroable::zeroed);
    let args = Matmul { bias, input, ..Matmul::new((a, b), (m, n, k), out, sums) };
    launch(cuda, Product::Forward, args)
}

/// The x of the layer above, [m, n], as operand: `x = f(norm(a bᵀ + bias))` with the norm and f of `input`.
pub(super) fn layer(
    cuda: &Cuda,
    (a, b): (&Planes, &Planes),
    (m, n, k): (usize, usize, usize),
    bias: Address,
    input: args::Input,
    x: &Operand,
) -> Result<()> {
    let to = Matmul::new((a, b), (m, n, k), Values::in_f32(x.data), None);
    let args =
        Matmul { bias, input, ldo: x.pitch, exponents: x.exponents, plane_stride: x.plane_stride, ..to };
    launch(cuda, Product::Layer, args)
}

/// `out [m, n] = (a b) ⊙ dropout ⊙ f′(h)` of the layer below, whose x is `input`; `sums` become the sums of that and of
/// that times x̂.
pub(super) fn below(
    cuda: &Cuda,
    (a, b): (&Planes, &Planes),
    (m, n, k): (usize, usize, usize),
    input: args::Input,
    out: Values,
    sums: Option<&TileSums>,
) -> Result<()> {
    let args = Matmul { input, ..Matmul::new((a, b), (m, n, k), out, sums) };
    launch(cuda, Product::Below, args)
}

/// `out [m, n] = dzᵀ x`, contracted over k; or the splits that are to be added for it, in order.
pub(super) fn weight(
    cuda: &Cuda,
    (dz, x): (&Planes, &Planes),
    (m, n, k): (usize, usize, usize),
    out: Address,
) -> Result<Option<Splits>> {
    let (splits, k_per_split) = splits(m, n, k);
    let in_f32 = Values::in_f32(out);
    let (product, args) = match x.unformed {
        None => (Product::Weight, Matmul::new((dz, x), (m, n, k), in_f32, None)),
        Some(input) => {
            let args = Matmul::new((x, dz), (n, m, k), in_f32, None);
            (Product::Flipped, Matmul { input, ldo: n as u32, ..args })
        }
    };
    if splits == 1 {
        launch(cuda, product, args)?;
        return Ok(None);
    }
    let partial = cuda.scratch::<f32>(splits * m * n)?;
    let out = Values::in_f32(partial.address());
    launch(cuda, product, Matmul { out, splits: splits as u32, k_per_split: k_per_split as u32, ..args })?;
    Ok(Some(Splits { partial, splits }))
}

impl Matmul {
    /// With one split.
    fn new(
        (a, b): (&Planes, &Planes),
        (m, n, k): (usize, usize, usize),
        out: Values,
        sums: Option<&TileSums>,
    ) -> Matmul {
        Matmul {
            a: a.operand,
            b: b.operand,
            out,
            m: m as u32,
            n: n as u32,
            k: k as u32,
            ldo: n as u32,
            splits: 1,
            k_per_split: k.next_multiple_of(SPLIT_STEP) as u32,
            first: sums.map_or(0, |sums| sums.first.address()),
            second: sums.map_or(0, |sums| sums.second.address()),
            ..Zeroable::zeroed()
        }
    }

    fn tiles(&self) -> u32 {
        self.m.div_ceil(TILE as u32) * self.n.div_ceil(TILE as u32) * self.splits
    }
}

#[derive(Clone, Copy)]
enum Product {
    Forward,
    Layer,
    Below,
    Weight,
    Flipped,
}

/// Number of splits and the length of all but the last, by shape alone; none is empty.
fn splits(m: usize, n: usize, k: usize) -> (usize, usize) {
    let tiles = m.div_ceil(TILE) * n.div_ceil(TILE);
    // As many splits as go into one round of all processors, or two or three, whichever takes the least time.
    let rounds = |splits: usize| (tiles * splits).div_ceil(PROCESSORS);
    let filling = |rounds: usize| (rounds * PROCESSORS / tiles).clamp(1, k.div_ceil(LEAST_SPLIT));
    let takes_longer = |a: usize, b: usize| rounds(a) * b > rounds(b) * a;
    let wanted =
        [2, 3].map(filling).into_iter().fold(filling(1), |a, b| if takes_longer(a, b) { b } else { a });
    let k_per_split = k.div_ceil(wanted).next_multiple_of(SPLIT_STEP);
    (k.div_ceil(k_per_split), k_per_split)
}

/// Which of the kernels make a product.
#[derive(Debug, PartialEq, Eq)]
enum Family {
    Simt,
    Mma,
    Hopper,
}

impl Family {
    /// On a card of this compute capability. `for_hopper`: the build has code for sm_90a, which runs on 9.0 alone.
    fn of(precision: Precision, capability: u32, for_hopper: bool) -> Family {
        match precision {
            Precision::Simt => Family::Simt,
            _ if capability == 90 && for_hopper => Family::Hopper,
            _ => Family::Mma,
        }
    }
}

fn family(cuda: &Cuda) -> Family {
    Family::of(cuda.precision, cuda.device.capability, cuda.has(hopper::FILE))
}

/// Whether products with results of so many columns take a first operand in f32 and split it themselves, which they do
/// again for each tile in a row of the result: with few of them, that costs less than planes that are read once.
pub(super) fn splits_first(cuda: &Cuda, columns: usize) -> bool {
    const MOST_TILES: usize = 8;
    family(cuda) == Family::Hopper && columns.div_ceil(TILE) <= MOST_TILES
}

/// Whether the products of a training step form their x [rows, features] of a z in f32, for results of so many columns.
/// Planes would serve two of them: with one product of halves instead of three, forming x again takes longer than these.
pub(super) fn forms_first(cuda: &Cuda, features: usize, columns: usize) -> bool {
    let gains = match cuda.precision {
        Precision::F32 => true,
        Precision::Tf32 => columns <= TILE,
        Precision::Bf16 | Precision::Simt => false,
    };
    gains && features <= hopper::MOST_FEATURES && splits_first(cuda, columns)
}

fn launch(cuda: &Cuda, product: Product, args: Matmul) -> Result<()> {
    let kernel = match family(cuda) {
        Family::Simt => simt(product),
        Family::Mma => mma(product, cuda.precision, (args.a.planes, args.b.planes)),
        Family::Hopper => return hopper::launch(cuda, product, args),
    };
    let grid = Grid { blocks: [args.tiles(), 1, 1], threads: 256, shared: kernel.shared };
    // SAFETY: `Matmul` is the kernel's parameter. Operands have the rows and columns of the product, `out` and the sums
    // were found or made to fit m x n by the caller, and nothing beyond these is touched.
    unsafe { cuda.launch(kernel, grid, &args) }
}

fn simt(product: Product) -> Kernel {
    Kernel::new(
        "matmul_simt",
        match product {
            Product::Forward => "matmul_simt_forward",
            Product::Layer => unreachable!("plain f32 has no operands to write"),
            Product::Below => "matmul_simt_below",
            Product::Weight => "matmul_simt_weight",
            Product::Flipped => unreachable!("plain f32 has its x formed"),
        },
    )
}

/// Tensor cores of any card.
fn mma(product: Product, precision: Precision, planes: (u32, u32)) -> Kernel {
    const PLANE_OF_STAGES: u32 = 3 * 8192;
    Kernel::new("matmul_mma", tensor_core_entry!("mma", product, precision, planes))
        .with_shared(PLANE_OF_STAGES * (planes.0 + planes.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_fill_rounds() {
        // (m, n, k), and into how many k is cut.
        for (shape, wanted) in [
            ((512, 512, 60_000), 8),
            ((10, 512, 60_000), 33),
            ((128, 128, 30_000), 118),
            ((1536, 1536, 60_000), 2),
            ((512, 512, 200), 1),
            ((4096, 4096, 60_000), 1),
        ] {
            let (splits, k_per_split) = splits(shape.0, shape.1, shape.2);
            assert_eq!(splits, wanted, "{shape:?}");
            assert!((splits - 1) * k_per_split < shape.2 && splits * k_per_split >= shape.2, "{shape:?}");
        }
    }

    #[test]
    fn hopper_needs_the_card_and_the_code() {
        let of = |capability, for_hopper| Family::of(Precision::F32, capability, for_hopper);
        assert_eq!(of(90, true), Family::Hopper);
        assert_eq!(of(90, false), Family::Mma);
        for other in [80, 86, 89, 100, 120] {
            assert_eq!(of(other, true), Family::Mma, "{other}");
        }
        assert_eq!(Family::of(Precision::Simt, 90, true), Family::Simt);
    }
}
