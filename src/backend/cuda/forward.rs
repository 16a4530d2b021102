//! A run of layers in evaluation. Statistics are known beforehand, so the product of a layer makes the operand of the
//! layer above at once (`kernels/matmul_*.cu`), and z is never stored; the bits are those of one `linear` after the other,
//! but where neither f nor a norm changes z: `linear` may then split it row by row.

use super::args::{self, Values, address};
use super::linear::linear;
use super::matmul::{self, small::is_small};
use super::planes::{self, Planes};
use super::{Buffer, Cuda};
use crate::Result;
use crate::backend::*;

pub(super) fn forward<R: Real>(
    cuda: &Cuda,
    desc: Forward,
    input: &Input<'_, Cuda, R>,
    layers: &[Layer<'_, Cuda, R>],
    fields: &mut [Buffer<R>; 2],
    logits: PartMut<'_, Cuda, R>,
) -> Result<()> {
    desc.check(input, layers, fields, &logits)?;
    let Forward { rows, mut inputs, activation } = desc;
    let [mut below, mut z] = fields.each_mut();
    let mut logits = Some(logits);
    // The x of the layer at hand, where the layer below made it.
    let mut operand: Option<Planes> = None;
    for (i, layer) in layers.iter().enumerate() {
        let &Layer { outputs, weight, bias, norm } = layer;
        let desc = Linear { rows, inputs, outputs };
        let stored = match i.checked_sub(1) {
            None => *input,
            Some(i) => {
                let z = Part::new(below, 0, rows * inputs);
                let field = Field { z, noise: None, norm: layers[i].norm };
                Input::Field { field, activation, dropout: None }
            }
        };
        // Small layers take x as it is stored.
        let above = match layers.get(i + 1) {
            Some(next) if !is_small(rows, inputs, outputs) && !is_small(rows, outputs, next.outputs) => {
                planes::unwritten(cuda, rows, outputs)?
            }
            _ => None,
        };
        let to = logits.take_if(|_| i + 1 == layers.len());
        let to = to.unwrap_or_else(|| PartMut::new(z, 0, rows * outputs));
        if operand.is_none() && above.is_none() {
            linear(cuda, desc, &stored, weight, bias, to, None, None)?;
        } else {
            let [x, weight] = match operand {
                Some(x) => [x, planes::of_weight(cuda, weight, outputs, inputs)?],
                None => planes::of_layer(cuda, desc, &stored, None, weight, [None, None])?,
            };
            let (shape, bias) = ((rows, outputs, inputs), bias.map_or(0, address));
            if let Some(above) = &above {
                let of_z = args::Input::of_layer(norm, activation);
                matmul::layer(cuda, (&x, &weight), shape, bias, of_z, &above.operand)?;
            } else {
                matmul::forward(cuda, (&x, &weight), shape, bias, Values::of(to.buf, to.span), None)?;
            }
        }
        (below, z) = (z, below);
        operand = above;
        inputs = outputs;
    }
    Ok(())
}
