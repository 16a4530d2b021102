//! One optimiser step over the flat parameters: PyTorch 2.15's formulas, in its order of operations.

use super::cut::ELEMENTS_PER_TASK;
use super::simd::simd;
use super::*;
use rayon::prelude::*;

pub(super) fn update<R: Real>(
    desc: Update,
    params: &mut Vec<R>,
    grads: &Vec<R>,
    first: &mut Vec<R>,
    second: &mut Vec<R>,
    status: &mut Vec<u32>,
) -> Result<()> {
    desc.check::<Cpu, R>(params, grads, first, second, status)?;
    if status[0] != 0 {
        return Ok(());
    }
    if let Some(index) = first_non_finite(grads) {
        status.copy_from_slice(&[index as u32 + 1, desc.step as u32]);
        return Ok(());
    }
    let pieces = params.par_chunks_mut(ELEMENTS_PER_TASK).zip(grads.par_chunks(ELEMENTS_PER_TASK));
    let firsts = first.par_chunks_mut(ELEMENTS_PER_TASK);
    match desc.optimizer {
        Optimizer::Sgd { momentum: 0.0 } => {
            pieces.for_each(|(params, grads)| {
                simd(
                    #[inline(always)]
                    || descend(&desc, params, grads),
                )
            });
        }
        Optimizer::Sgd { momentum } => {
            pieces.zip(firsts).for_each(|((params, grads), buffer)| {
                if desc.step == 1 {
                    buffer.fill(R::zero()); // the first buffer is the gradient itself
                }
                simd(
                    #[inline(always)]
                    || roll(&desc, momentum, params, grads, buffer),
                );
            });
        }
        Optimizer::Adam { betas, eps } => {
            let adam = Adam::new(&desc, betas, eps, desc.weight_decay, 1.0);
            pieces.zip(firsts).zip(second.par_chunks_mut(ELEMENTS_PER_TASK)).for_each(
                |(((params, grads), first), second)| {
                    simd(
                        #[inline(always)]
                        || adam.step(params, grads, first, second),
                    )
                },
            );
        }
        Optimizer::AdamW { betas, eps } => {
            let adam = Adam::new(&desc, betas, eps, 0.0, 1.0 - desc.lr * desc.weight_decay);
            pieces.zip(firsts).zip(second.par_chunks_mut(ELEMENTS_PER_TASK)).for_each(
                |(((params, grads), first), second)| {
                    simd(
                        #[inline(always)]
                        || adam.step(params, grads, first, second),
                    )
                },
            );
        }
    }
    Ok(())
}

fn first_non_finite<R: Real>(values: &[R]) -> Option<usize> {
    let suspect = |values: &&[R]| {
        simd(
            #[inline(always)]
            || values.iter().fold(false, |bad, v| bad | !v.is_finite()),
        )
    };
    let pieces = values.par_chunks(ELEMENTS_PER_TASK).enumerate();
    let (piece, values) = pieces.find_first(|(_, values)| suspect(values))?;
    values.iter().position(|v| !v.is_finite()).map(|at| piece * ELEMENTS_PER_TASK + at)
}

/// `p −= lr (g + decay p)`.
#[inline(always)]
fn descend<R: Real>(desc: &Update, params: &mut [R], grads: &[R]) {
    let (lr, decay) = (R::of(desc.lr), R::of(desc.weight_decay));
    for (p, &g) in params.iter_mut().zip(grads) {
        *p -= lr * (g + decay * *p);
    }
}

/// `buffer = momentum · buffer + g + decay p; p −= lr buffer`.
#[inline(always)]
fn roll<R: Real>(desc: &Update, momentum: f64, params: &mut [R], grads: &[R], buffer: &mut [R]) {
    let (lr, decay, momentum) = (R::of(desc.lr), R::of(desc.weight_decay), R::of(momentum));
    for ((p, &g), b) in params.iter_mut().zip(grads).zip(buffer) {
        *b = momentum * *b + (g + decay * *p);
        *p -= lr * *b;
    }
}

/// The numbers of one step of Adam or AdamW, computed in f64 and rounded once.
struct Adam<R> {
    /// Added to the gradient as `decay · p` (Adam).
    decay: R,
    /// Multiplies p first (AdamW).
    shrink: R,
    /// 1 − β₁, β₂, 1 − β₂.
    weights: [R; 3],
    /// lr/(1 − β₁ᵗ).
    rate: R,
    /// √(1 − β₂ᵗ).
    root: R,
    eps: R,
}

impl<R: Real> Adam<R> {
    fn new(desc: &Update, betas: [f64; 2], eps: f64, decay: f64, shrink: f64) -> Adam<R> {
        let step = desc.step as f64;
        let correction = betas.map(|beta| 1.0 - beta.powf(step));
        Adam {
            decay: R::of(decay),
            shrink: R::of(shrink),
            weights: [1.0 - betas[0], betas[1], 1.0 - betas[1]].map(R::of),
            rate: R::of(desc.lr / correction[0]),
            root: R::of(correction[1].sqrt()),
            eps: R::of(eps),
        }
    }

    #[inline(always)]
    fn step(&self, params: &mut [R], grads: &[R], first: &mut [R], second: &mut [R]) {
        let &Adam { decay, shrink, weights: [new_first, old_second, new_second], rate, root, eps } = self;
        for (((p, &g), m), v) in params.iter_mut().zip(grads).zip(first).zip(second) {
            let g = g + decay * *p;
            *p *= shrink;
            *m += new_first * (g - *m);
            *v = old_second * *v + new_second * g * g;
            *p -= rate * *m / (v.sqrt() / root + eps);
        }
    }
}
