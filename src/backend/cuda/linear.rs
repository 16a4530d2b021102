//! `z = x Wᵀ + b` and the column moments of z: x and W as operands (`kernels/planes.cu`), their product with its
//! epilogue (`kernels/matmul_*.cu`), the tiles' moments joined (`kernels/combine.cu`). Or all at once, of few operations.

use super::args::{Values, address, address_of};
use super::matmul::{TileSums, small};
use super::{Cuda, Kept, combine, matmul, planes};
use crate::Result;
use crate::backend::*;

pub(super) fn linear<R: Real>(
    cuda: &Cuda,
    desc: Linear,
    input: &Input<'_, Cuda, R>,
    weight: Part<'_, Cuda, R>,
    bias: Option<Part<'_, Cuda, R>>,
    z: PartMut<'_, Cuda, R>,
    moments: Option<Moments<'_, Cuda, R>>,
    mut kept: Option<&mut Kept>,
) -> Result<()> {
    desc.check(input, &weight, &bias, &z, &moments)?;
    let Linear { rows, inputs, outputs } = desc;
    let old = kept.as_mut().map_or([None, None], |kept| kept.take());
    if small::has_forward(desc, &moments) {
        return small::forward(cuda, desc, input, weight, bias, z);
    }
    let unformed = kept.as_ref().and_then(|_| planes::unformed(cuda, input, desc));
    let [x, weight] = planes::of_layer(cuda, desc, input, unformed, weight, old)?;
    let tiles = moments.as_ref().map(|_| TileSums::new(cuda, rows, outputs)).transpose()?;
    let (shape, bias) = ((rows, outputs, inputs), bias.map_or(0, address));
    matmul::forward(cuda, (&x, &weight), shape, bias, Values::of(z.buf, z.span), tiles.as_ref())?;
    if let Some((Moments { buf, mean, var }, tiles)) = moments.zip(tiles) {
        let to = (address_of(buf, mean), address_of(buf, var));
        combine::moments(cuda, &tiles, (rows, outputs), to)?;
    }
    match kept {
        Some(kept) => kept.keep(cuda, x, weight),
        None => Ok(()),
    }
}
