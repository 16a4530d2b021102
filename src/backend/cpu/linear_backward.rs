//! Gradients of one layer: groups of row tasks form dz, x and the gradient below; then tasks over the rows
//! and columns of W add the group's dzᵀ x.

use super::activation::slope;
use super::cut::{rows_per_task, weight_tiles};
use super::load::{affine, drop_out, in_place, load, pixel_columns, standardised};
use super::matmul::{Existing, Matrix, Packed, join_tiles};
use super::scratch::Scratch;
use super::simd::simd;
use super::sparse::{BLOCK, PixelGradient, SparsePixels, is_short_sum};
use super::*;
use rayon::prelude::*;

/// Row tasks in a group: enough for many threads, few enough that a group's panels stay in cache.
const GROUP: usize = 16;

pub(super) fn linear_backward<R: Real>(
    desc: LinearBackward,
    delta: &Delta<'_, Cpu, R>,
    input: &Input<'_, Cpu, R>,
    params: &Vec<R>,
    grads: &mut Vec<R>,
    below: Option<&mut Vec<R>>,
) -> Result<()> {
    desc.check::<Cpu, R>(delta, input, params, grads, below.as_deref())?;
    let LinearBackward { rows, inputs, outputs, .. } = desc;
    let per_task = rows_per_task(rows);
    let group = GROUP * per_task;

    let through = delta.norm.as_ref().map(|norm| Through::new(norm, grads, rows));
    let stored = in_place(input);
    let weight = || Packed::new(Matrix::new(&params[desc.weight.range()], outputs, inputs));
    let weight = below.as_ref().map(|_| weight());
    let grad = &delta.grad[..rows * outputs];
    let mut below = below.map(|below| &mut below[..rows * inputs]);

    let held = group.min(rows);
    let mut dz_held = Scratch::new(if through.is_some() { held * outputs } else { 0 });
    let pixels = pixel_columns(input, inputs);
    // The same bits whatever is left for the last group.
    let sparse = SparsePixels::of(input, rows, inputs, outputs).filter(|_| !is_short_sum(rows % group));
    let mut sparse = sparse.map(|pixels| (pixels, PixelGradient::new(inputs, outputs)));
    let forms_x = stored.is_none() && pixels.is_none();
    let mut x_held = Scratch::new(if forms_x { held * inputs } else { 0 });
    let mut partial = Scratch::<f64>::new(GROUP * (outputs + 2 * inputs));
    let mut total = Scratch::<f64>::new(outputs + 2 * inputs);
    total.fill(0.0);
    let (mut dw, tiles) = (Scratch::new(0), weight_tiles(outputs, inputs));

    for first in (0..rows).step_by(group) {
        let count = group.min(rows - first);
        let tasks = count.div_ceil(per_task);
        let partial = &mut partial[..tasks * (outputs + 2 * inputs)];
        let grad = &grad[first * outputs..][..count * outputs];
        let below = below.as_mut().map(|below| &mut below[first * inputs..][..count * inputs]);

        let dz_out = pieces(through.is_some().then_some(&mut dz_held[..]), per_task * outputs, tasks);
        let x_out = pieces(forms_x.then_some(&mut x_held[..]), per_task * inputs, tasks);
        let below_out = pieces(below, per_task * inputs, tasks);
        let sums = partial.par_chunks_mut(outputs + 2 * inputs);
        let work = dz_out.zip(x_out).zip(below_out).zip(sums).enumerate();
        work.for_each(|(task, (((dz_out, x_out), below), sums))| {
            let rows = per_task.min(count - task * per_task);
            let at = first + task * per_task;
            let grad = &grad[task * per_task * outputs..][..rows * outputs];
            let (bias, below_norm) = sums.split_at_mut(outputs);
            let dz = match (&through, dz_out) {
                (Some(through), Some(dz)) => {
                    let dz = &mut dz[..rows * outputs];
                    simd(
                        #[inline(always)]
                        || through.pass(at, grad, dz),
                    );
                    &*dz
                }
                _ => grad,
            };
            simd(
                #[inline(always)]
                || column_sums(dz, bias),
            );
            if let Some(x) = x_out {
                load(input, at..at + rows, inputs, &mut x[..rows * inputs]);
            }
            below_norm.fill(0.0);
            if let Some((below, weight)) = below.zip(weight.as_ref()) {
                weight.product(Existing::Overwrite, below, Matrix::new(dz, rows, outputs));
                through_activation(input, at, inputs, below, below_norm);
            }
        });
        for sums in partial.chunks_exact(outputs + 2 * inputs) {
            total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
        }

        let dz = if through.is_some() { &dz_held[..count * outputs] } else { grad };
        let existing = if first == 0 { Existing::Overwrite } else { Existing::Add };
        if let Some((pixels, dw)) = &mut sparse {
            dw.add(existing, dz, &pixels.list(first..first + count, per_task, BLOCK));
            continue;
        }
        let x = match (&pixels, stored) {
            (Some(pixels), _) => {
                Packed::formed(count, inputs, |column, panel| pixels(first..first + count, column, panel))
            }
            (None, Some(x)) => {
                Packed::new(Matrix::new(&x[first * inputs..][..count * inputs], count, inputs))
            }
            (None, None) => Packed::new(Matrix::new(&x_held[..count * inputs], count, inputs)),
        };
        let dz = Matrix::new(dz, count, outputs).transposed();
        if first == 0 {
            dw = Scratch::new(outputs * x.tiled_width());
        }
        x.product_by_tiles(existing, &mut dw, dz, tiles);
    }
    let (bias, rest) = total.split_at(outputs);
    let grad_weight = &mut grads[desc.weight.range()];
    match &sparse {
        Some((_, dw)) => dw.write(grad_weight, bias),
        None => join_tiles(&dw, grad_weight, inputs, tiles),
    }
    let (sum, sum_standardised) = rest.split_at(inputs);
    if let Some(at) = desc.bias {
        round_into(bias, &mut grads[at.range()]);
    }
    if let (Some(at), Some(_)) = (desc.below_norm, below) {
        round_into(sum, &mut grads[at.beta.range()]);
        round_into(sum_standardised, &mut grads[at.gamma.range()]);
    }
    Ok(())
}

/// The batch norm of this layer, seen from above: per column what dz is made of.
struct Through<'a, R> {
    z: &'a [R],
    mean: &'a [R],
    inv_std: &'a [R],
    /// γ inv_std, Σ g / rows, Σ g x̂ / rows: [3, outputs].
    factors: Scratch<R>,
}

impl<'a, R: Real> Through<'a, R> {
    fn new(delta: &DeltaNorm<'a, Cpu, R>, grads: &[R], rows: usize) -> Through<'a, R> {
        let Norm { mean, inv_std, gamma, .. } = delta.norm;
        let (mean, inv_std, outputs) = (mean.slice(), inv_std.slice(), mean.span.len);
        let rows = R::of(rows as f64);
        let mut factors = Scratch::new(3 * outputs);
        let (scale, means) = factors.split_at_mut(outputs);
        let (grad_mean, grad_x_mean) = means.split_at_mut(outputs);
        for c in 0..outputs {
            scale[c] = gamma.slice()[c] * inv_std[c];
            grad_mean[c] = grads[delta.at.beta.range()][c] / rows;
            grad_x_mean[c] = grads[delta.at.gamma.range()][c] / rows;
        }
        Through { z: delta.z.slice(), mean, inv_std, factors }
    }

    /// dz of the rows from `first` on whose gradient is `grad`.
    #[inline(always)]
    fn pass(&self, first: usize, grad: &[R], dz: &mut [R]) {
        let outputs = self.mean.len();
        let (scale, means) = self.factors.split_at(outputs);
        let (grad_mean, grad_x_mean) = means.split_at(outputs);
        let z = &self.z[first * outputs..][..grad.len()];
        let rows = z.chunks_exact(outputs).zip(grad.chunks_exact(outputs)).zip(dz.chunks_exact_mut(outputs));
        for ((z, grad), dz) in rows {
            let statistics = self.mean.iter().zip(self.inv_std);
            let factors = scale.iter().zip(grad_mean).zip(grad_x_mean);
            let values = z.iter().zip(grad).zip(statistics.zip(factors));
            for (dz, ((&z, &grad), ((&mean, &inv_std), ((&scale, &grad_mean), &grad_x_mean)))) in
                dz.iter_mut().zip(values)
            {
                *dz = scale * (grad - grad_mean - (z - mean) * inv_std * grad_x_mean);
            }
        }
    }
}

/// Turns dL/dx of the rows from `first` on into dL/dh in place: `g ⊙ dropout ⊙ f′(h)`; then the sums of
/// it and of it times x̂ go into `sums` [2, inputs].
fn through_activation<R: Real>(
    input: &Input<'_, Cpu, R>,
    first: usize,
    inputs: usize,
    grad: &mut [R],
    sums: &mut [f64],
) {
    let Input::Field { field, activation, dropout } = input else { return };
    let mut rows = Scratch::<R>::new(2 * inputs);
    let (standard, h) = rows.split_at_mut(inputs);
    let (sum, sum_standardised) = sums.split_at_mut(inputs);
    simd(
        #[inline(always)]
        || {
            for (i, g) in grad.chunks_exact_mut(inputs).enumerate() {
                standardised(field, first + i, standard);
                h.copy_from_slice(standard);
                affine(field, h);
                slope(*activation, h);
                g.iter_mut().zip(&*h).for_each(|(g, &slope)| *g *= slope);
                if let Some(dropout) = dropout {
                    drop_out(dropout, first + i, g);
                }
                if field.norm.is_some() {
                    let sums = sum.iter_mut().zip(sum_standardised.iter_mut());
                    for ((sum, sum_standardised), (g, standard)) in sums.zip(g.iter().zip(&*standard)) {
                        *sum += g.wide();
                        *sum_standardised += g.wide() * standard.wide();
                    }
                }
            }
        },
    );
}

#[inline(always)]
fn column_sums<R: Real>(values: &[R], sums: &mut [f64]) {
    sums.fill(0.0);
    for row in values.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value.wide());
    }
}

fn round_into<R: Real>(sums: &[f64], out: &mut [R]) {
    out.iter_mut().zip(sums).for_each(|(out, &sum)| *out = R::of(sum));
}

/// A buffer's pieces for the tasks, or nothing for each of them.
fn pieces<R: Real>(
    buffer: Option<&mut [R]>,
    len: usize,
    tasks: usize,
) -> impl IndexedParallelIterator<Item = Option<&mut [R]>> {
    match buffer {
        Some(buffer) => rayon::iter::Either::Left(buffer.par_chunks_mut(len).map(Some)),
        None => rayon::iter::Either::Right(rayon::iter::repeat_n((), tasks).map(|()| None)),
    }
}
