//! `out = x + alpha · y`.

use super::cut::ELEMENTS_PER_TASK;
use super::simd::simd;
use super::*;
use rayon::prelude::*;

pub(super) fn add_scaled<R: Real>(
    alpha: f64,
    x: Part<'_, Cpu, R>,
    y: Part<'_, Cpu, R>,
    out: PartMut<'_, Cpu, R>,
) -> Result<()> {
    check::add_scaled(&x, &y, &out)?;
    let alpha = R::of(alpha);
    let operands = x.slice().par_chunks(ELEMENTS_PER_TASK).zip(y.slice().par_chunks(ELEMENTS_PER_TASK));
    out.slice().par_chunks_mut(ELEMENTS_PER_TASK).zip(operands).for_each(|(out, (x, y))| {
        simd(
            #[inline(always)]
            || {
                for (out, (&x, &y)) in out.iter_mut().zip(x.iter().zip(y)) {
                    *out = x + alpha * y;
                }
            },
        );
    });
    Ok(())
}
