//! Gradients of one layer: dz, x and W as operands (`kernels/planes.cu`), the two products with their epilogues
//! (`kernels/matmul_*.cu`), column sums joined (`kernels/combine.cu`). Or all at once, of few operations.

use super::args::{self, Values, address_of};
use super::matmul::{TILE, TileSums, small, splits_first};
use super::{Buffer, Cuda, Kept, combine, matmul, planes};
use crate::Result;
use crate::backend::*;

pub(super) fn linear_backward<R: Real>(
    cuda: &Cuda,
    desc: LinearBackward,
    delta: &Delta<'_, Cuda, R>,
    input: &Input<'_, Cuda, R>,
    params: &Buffer<R>,
    grads: &mut Buffer<R>,
    below: Option<&mut Buffer<R>>,
    kept: Option<&Kept>,
) -> Result<()> {
    desc.check::<Cuda, R>(delta, input, params, grads, below.as_deref())?;
    let LinearBackward { rows, inputs, outputs, .. } = desc;

    if small::has_backward(&desc, delta) {
        return small::backward(cuda, desc, delta.grad, input, params, grads, below);
    }
    let bias = desc.bias.map(|at| Ok((at, cuda.scratch(rows.div_ceil(TILE) * outputs)?))).transpose()?;
    let sums = bias.as_ref().map(|(_, sums)| sums);
    let unformed = planes::unformed(cuda, input, Linear { rows, inputs, outputs });
    // Beside such an x, dz is the second operand.
    let split = unformed.is_none() && splits_first(cuda, inputs);
    let dz = planes::of_delta(cuda, delta, grads, (rows, outputs), split, sums)?;
    if let Some((at, sums)) = bias {
        combine::sum(cuda, &sums, (rows, outputs), address_of(grads, at))?;
    }

    if let Some(below) = below {
        let formed;
        let weight = match kept.map(|kept| kept.weight(outputs, inputs)).transpose()?.flatten() {
            Some(weight) => weight,
            None => {
                formed = planes::of_weight(cuda, Part::at(params, desc.weight), outputs, inputs)?;
                &formed
            }
        };
        let tiles = desc.below_norm.map(|at| Ok((at, TileSums::new(cuda, rows, inputs)?))).transpose()?;
        let (shape, input) = ((rows, inputs, outputs), args::Input::from(input));
        let sums = tiles.as_ref().map(|(_, sums)| sums);
        matmul::below(cuda, (&dz, weight), shape, input, Values::all(below), sums)?;
        if let Some((at, sums)) = tiles {
            let to = (address_of(grads, at.beta), address_of(grads, at.gamma));
            combine::sums(cuda, &sums, (rows, inputs), to)?;
        }
    }

    let formed;
    let x = match (&unformed, kept.map(|kept| kept.x(rows, inputs)).transpose()?.flatten()) {
        (Some(x), _) | (None, Some(x)) => x,
        (None, None) => {
            formed = planes::of_input(cuda, input, rows, inputs)?;
            &formed
        }
    };
    matmul::weight(cuda, (&dz, x), (outputs, inputs, rows), address_of(grads, desc.weight))
}
