//! `z = x Wᵀ + b` and the column moments of z, in tasks of rows that are finished while in cache.

use super::cut::rows_per_task;
use super::load::{in_place, load};
use super::matmul::{Existing, Matrix, Packed, depth_step};
use super::scratch::Scratch;
use super::simd::simd;
use super::sparse::SparsePixels;
use super::*;
use rayon::prelude::*;

pub(super) fn linear<R: Real>(
    desc: Linear,
    input: &Input<'_, Cpu, R>,
    weight: Part<'_, Cpu, R>,
    bias: Option<Part<'_, Cpu, R>>,
    z: PartMut<'_, Cpu, R>,
    moments: Option<Moments<'_, Cpu, R>>,
) -> Result<()> {
    desc.check(input, &weight, &bias, &z, &moments)?;
    let Linear { rows, inputs, outputs } = desc;
    let weight = Packed::new(Matrix::new(weight.slice(), outputs, inputs).transposed());
    let stored = in_place(input);
    let sparse = SparsePixels::of(input, rows, inputs, outputs).filter(|_| weight.is_finite());
    let bias = bias.map(Part::slice);
    let per_task = rows_per_task(rows);

    let product = |task: usize, z: &mut [R]| {
        let first = task * per_task;
        let rows = z.len() / outputs;
        match (stored, &sparse) {
            (Some(x), _) => multiply(&x[first * inputs..][..rows * inputs], rows, &weight, z),
            (None, Some(x)) => {
                x.list(first..first + rows, rows, depth_step(inputs)).product(&weight, z, outputs);
            }
            (None, None) => {
                let mut x = Scratch::new(rows * inputs);
                load(input, first..first + rows, inputs, &mut x);
                multiply(&x, rows, &weight, z);
            }
        }
        if let Some(bias) = bias {
            simd(
                #[inline(always)]
                || {
                    for z in z.chunks_exact_mut(outputs) {
                        z.iter_mut().zip(bias).for_each(|(z, &b)| *z += b);
                    }
                },
            );
        }
    };

    let tasks = z.slice().par_chunks_mut(per_task * outputs).enumerate();
    let Some(moments) = moments else {
        tasks.for_each(|(task, z)| product(task, z));
        return Ok(());
    };
    let mut partial = Scratch::<f64>::new(rows.div_ceil(per_task) * 2 * outputs);
    tasks.zip(partial.par_chunks_mut(2 * outputs)).for_each(|((task, z), partial)| {
        product(task, z);
        let (mean, squares) = partial.split_at_mut(outputs);
        simd(
            #[inline(always)]
            || panel_moments(z, mean, squares),
        );
    });
    combine(&partial, rows, per_task, outputs, moments);
    Ok(())
}

/// `z = x weight`, [rows, outputs].
fn multiply<R: Real>(x: &[R], rows: usize, weight: &Packed<R>, z: &mut [R]) {
    let inputs = x.len() / rows;
    if rows > 1 {
        return weight.product(Existing::Overwrite, z, Matrix::new(x, rows, inputs));
    }
    // A row by itself would be summed in another order than among others: it goes in twice.
    let (mut twice, mut out) = (Scratch::new(2 * inputs), Scratch::new(2 * z.len()));
    twice[..inputs].copy_from_slice(x);
    twice[inputs..].copy_from_slice(x);
    weight.product(Existing::Overwrite, &mut out, Matrix::new(&twice, 2, inputs));
    z.copy_from_slice(&out[..z.len()]);
}

/// Mean and sum of squared deviations from it of each column of a panel, in two passes.
#[inline(always)]
pub(super) fn panel_moments<R: Real>(z: &[R], mean: &mut [f64], squares: &mut [f64]) {
    let outputs = mean.len();
    mean.fill(0.0);
    squares.fill(0.0);
    for z in z.chunks_exact(outputs) {
        mean.iter_mut().zip(z).for_each(|(mean, z)| *mean += z.wide());
    }
    let rows = (z.len() / outputs) as f64;
    mean.iter_mut().for_each(|mean| *mean /= rows);
    for z in z.chunks_exact(outputs) {
        for ((squares, mean), z) in squares.iter_mut().zip(&*mean).zip(z) {
            let off = z.wide() - mean;
            *squares += off * off;
        }
    }
}

/// Joins the panels in order: Chan, Golub & LeVeque, "Updating formulae and a pairwise algorithm for
/// computing sample variances" (1979).
pub(super) fn combine<R: Real>(
    partial: &[f64],
    rows: usize,
    per_task: usize,
    outputs: usize,
    moments: Moments<'_, Cpu, R>,
) {
    let mut total = Scratch::<f64>::new(2 * outputs);
    total.fill(0.0);
    let (mean, squares) = total.split_at_mut(outputs);
    for (task, panel) in partial.chunks_exact(2 * outputs).enumerate() {
        let before = (task * per_task) as f64;
        let count = per_task.min(rows - task * per_task) as f64;
        let share = count / (before + count);
        let (panel_mean, panel_squares) = panel.split_at(outputs);
        for c in 0..outputs {
            let off = panel_mean[c] - mean[c];
            mean[c] += off * share;
            squares[c] += panel_squares[c] + off * off * before * share;
        }
    }
    let Moments { buf, mean: mean_at, var: var_at } = moments;
    for (out, mean) in buf[mean_at.range()].iter_mut().zip(&*mean) {
        *out = R::of(*mean);
    }
    for (out, squares) in buf[var_at.range()].iter_mut().zip(&*squares) {
        *out = R::of(squares / rows as f64);
    }
}
