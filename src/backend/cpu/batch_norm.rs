//! Turns batch moments into `1/√(σ² + ε)` and feeds the running statistics.

use super::*;

pub(super) fn batch_norm<R: Real>(
    desc: BatchNorm,
    mean: Part<'_, Cpu, R>,
    var: Part<'_, Cpu, R>,
    inv_std: PartMut<'_, Cpu, R>,
    running: Option<Running<'_, Cpu, R>>,
) -> Result<()> {
    desc.check(&mean, &var, &inv_std, &running)?;
    let (mean, var) = (mean.slice(), var.slice());
    for (inv_std, var) in inv_std.slice().iter_mut().zip(var) {
        *inv_std = R::of(1.0 / (var.wide() + desc.eps).sqrt());
    }
    if let Some(Running { moments: Moments { buf, mean: mean_at, var: var_at }, status }) = running
        && status[0] == 0
    {
        // A batch that overflowed must not spoil the state before it, which training falls back on.
        let blend = |old: R, new: f64| match new.is_finite() {
            true => R::of((1.0 - desc.momentum) * old.wide() + desc.momentum * new),
            false => old,
        };
        for (running, mean) in buf[mean_at.range()].iter_mut().zip(mean) {
            *running = blend(*running, mean.wide());
        }
        let unbiased = desc.rows as f64 / (desc.rows - 1) as f64;
        for (running, var) in buf[var_at.range()].iter_mut().zip(var) {
            *running = blend(*running, var.wide() * unbiased);
        }
    }
    Ok(())
}
