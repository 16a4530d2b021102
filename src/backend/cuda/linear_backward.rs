//! Gradients of one layer: dz, x and W as operands (`kernels/planes.cu`), the two products with their epilogues
//! (`kernels/matmul_*.cu`), what tiles and splits left joined (`kernels/combine.cu`). Or all at once, of few operations.

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
    let mut parts = combine::Parts::default();
    if desc.bias.is_some() {
        parts.bias = Some(cuda.scratch(rows.div_ceil(TILE) * outputs)?);
    }
    let unformed = planes::unformed(cuda, input, Linear { rows, inputs, outputs });
    // Beside such an x, dz is the second operand.
    let split = unformed.is_none() && splits_first(cuda, inputs);
    let dz = planes::of_delta(cuda, delta, grads, (rows, outputs), split, parts.bias.as_ref())?;

    if let Some(below) = below {
        let formed;
        let weight = match kept.map(|kept| kept.weight(outputs, inputs)).transpose()?.flatten() {
            Some(weight) => weight,
            None => {
                formed = planes::of_weight(cuda, Part::at(params, desc.weight), outputs, inputs)?;
                &formed
            }
        };
        if desc.below_norm.is_some() {
            parts.below = Some(TileSums::new(cuda, rows, inputs)?);
        }
        let (shape, input) = ((rows, inputs, outputs), args::Input::from(input));
        matmul::below(cuda, (&dz, weight), shape, input, Values::all(below), parts.below.as_ref())?;
    }

    let formed;
    let x = match (&unformed, kept.map(|kept| kept.x(rows, inputs)).transpose()?.flatten()) {
        (Some(x), _) | (None, Some(x)) => x,
        (None, None) => {
            formed = planes::of_input(cuda, input, rows, inputs)?;
            &formed
        }
    };
    parts.weight = matmul::weight(cuda, (&dz, x), (outputs, inputs, rows), address_of(grads, desc.weight))?;
    combine::gradients(cuda, &desc, &parts, grads)
}
