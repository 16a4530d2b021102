//! All layers for a few samples at a time, from the input to the logits: the fields between stay in the cache of
//! one core, and no layer waits for the others' samples.
//!
//! Fields are held with one row per neuron. So W is read along its rows, as it is stored, and never packed.

use super::activation::apply;
use super::load::load;
use super::matmul::{Existing, LANES, Matrix, matmul, transpose};
use super::scratch::Scratch;
use super::simd::simd;
use super::*;
use rayon::prelude::*;

/// Samples of a task: two fields of 512 neurons take 200 kB. More would reuse W no better, which comes from the
/// last-level cache at a byte per clock, and would leave threads waiting for the last task.
const SAMPLES: usize = 48;

pub(super) fn forward<R: Real>(
    desc: Forward,
    input: &Input<'_, Cpu, R>,
    layers: &[Layer<'_, Cpu, R>],
    fields: &[Vec<R>; 2],
    logits: PartMut<'_, Cpu, R>,
) -> Result<()> {
    desc.check(input, layers, fields, &logits)?;
    let classes = logits.span.len / desc.rows;
    logits.slice().par_chunks_mut(SAMPLES * classes).enumerate().for_each(|(task, logits)| {
        let (first, rows) = (task * SAMPLES, logits.len() / classes);
        // Whole vectors, so that a sample's sums do not depend on how many others are in its task.
        let lanes = rows.next_multiple_of(LANES);
        let mut inputs = desc.inputs;
        let mut x = Scratch::new(inputs * lanes);
        let mut by_rows = Scratch::new(lanes * inputs);
        load(input, first..first + rows, inputs, &mut by_rows[..rows * inputs]);
        by_rows[rows * inputs..].fill(R::zero());
        transpose(&by_rows, inputs, &mut x, lanes);
        for (i, layer) in layers.iter().enumerate() {
            let mut z = Scratch::new(layer.outputs * lanes);
            let weight = Matrix::new(layer.weight.slice(), layer.outputs, inputs);
            matmul(Existing::Overwrite, &mut z, weight, Matrix::new(&x, inputs, lanes));
            let f = if i + 1 < layers.len() { desc.activation } else { Activation::Identity };
            simd(
                #[inline(always)]
                || finish(layer, f, &mut z, lanes),
            );
            (x, inputs) = (z, layer.outputs);
        }
        for (i, logits) in logits.chunks_exact_mut(classes).enumerate() {
            logits.iter_mut().zip(x.iter().skip(i).step_by(lanes)).for_each(|(out, &z)| *out = z);
        }
    });
    Ok(())
}

/// x of the next layer from the product of this one, in the order of operations of [`load`].
#[inline(always)]
fn finish<R: Real>(layer: &Layer<'_, Cpu, R>, f: Activation, z: &mut [R], lanes: usize) {
    if let Some(bias) = layer.bias {
        for (z, &bias) in z.chunks_exact_mut(lanes).zip(bias.slice()) {
            z.iter_mut().for_each(|z| *z += bias);
        }
    }
    if let Some(norm) = &layer.norm {
        let [mean, inv_std, gamma, beta] = [norm.mean, norm.inv_std, norm.gamma, norm.beta].map(Part::slice);
        for (o, z) in z.chunks_exact_mut(lanes).enumerate() {
            let (mean, inv_std, gamma, beta) = (mean[o], inv_std[o], gamma[o], beta[o]);
            z.iter_mut().for_each(|z| *z = gamma * ((*z - mean) * inv_std) + beta);
        }
    }
    apply(f, z);
}
