//! Mean and variance of the columns of an input.

use super::cut::rows_per_task;
use super::linear::{combine, panel_moments};
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
            || panel_moments(&x, mean, squares),
        );
    });
    combine(&partial, rows, per_task, features, moments);
    Ok(())
}
