//! Column moments of an input, in panels of rows that are finished while in cache.

use super::cut::rows_per_task;
use super::load::load;
use super::scratch::Scratch;
use super::simd::simd;
use super::*;
use rayon::prelude::*;

pub(super) fn moments<R: Real>(
    desc: Activate,
    input: &Input<'_, Cpu, R>,
    moments: Moments<'_, Cpu, R>,
) -> Result<()> {
    desc.check_moments(input, &moments)?;
    let Activate { rows, features } = desc;
    let per_task = rows_per_task(rows);
    let mut partial = Scratch::<f64>::new(rows.div_ceil(per_task) * 2 * features);
    partial.par_chunks_mut(2 * features).enumerate().for_each(|(task, partial)| {
        let first = task * per_task;
        let last = rows.min(first + per_task);
        let mut x = Scratch::new((last - first) * features);
        load(input, first..last, features, &mut x);
        let (mean, squares) = partial.split_at_mut(features);
        simd(
            #[inline(always)]
            || panel_moments::<R>(&x, mean, squares),
        );
    });
    combine(&partial, rows, per_task, features, moments);
    Ok(())
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
