//! Loss of every row and its gradient, each row in f64.

use super::cut::rows_per_task;
use super::*;
use rayon::prelude::*;

pub(super) fn loss<R: Real>(
    desc: Loss,
    logits: Part<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    row_loss: PartMut<'_, Cpu, f64>,
    grad: Option<PartMut<'_, Cpu, R>>,
) -> Result<()> {
    desc.check(&logits, &labels, &row_loss, &grad)?;
    let Loss { kind, rows, classes } = desc;
    let per_task = rows_per_task(rows);
    let panels = logits.slice().par_chunks(per_task * classes).zip(row_loss.slice().par_chunks_mut(per_task));
    let one = match kind {
        LossKind::CrossEntropy => cross_entropy::<R>,
        LossKind::Mse => mean_squared::<R>,
    };
    let label = |row: usize| usize::from(labels.labels[labels.rows.at(row)]);
    match grad {
        None => panels.enumerate().for_each(|(task, (logits, row_loss))| {
            for (i, (logits, loss)) in logits.chunks_exact(classes).zip(row_loss).enumerate() {
                *loss = one(logits, label(task * per_task + i), rows, &mut []);
            }
        }),
        Some(grad) => {
            let grads = grad.slice().par_chunks_mut(per_task * classes);
            panels.zip(grads).enumerate().for_each(|(task, ((logits, row_loss), grad))| {
                let rows_here = logits.chunks_exact(classes).zip(grad.chunks_exact_mut(classes));
                for (i, ((logits, grad), loss)) in rows_here.zip(row_loss).enumerate() {
                    *loss = one(logits, label(task * per_task + i), rows, grad);
                }
            });
        }
    }
    Ok(())
}

/// −log softmax(logits)\[label\], by log-sum-exp around the largest logit; `grad`, unless empty, becomes
/// (softmax − one-hot)/rows.
fn cross_entropy<R: Real>(logits: &[R], label: usize, rows: usize, grad: &mut [R]) -> f64 {
    let largest = logits.iter().fold(f64::NEG_INFINITY, |largest, logit| largest.max(logit.wide()));
    let sum: f64 = logits.iter().map(|logit| (logit.wide() - largest).exp()).sum();
    let log_sum = sum.ln();
    let Some(own) = logits.get(label) else {
        grad.fill(R::nan());
        return f64::NAN;
    };
    for (class, (grad, logit)) in grad.iter_mut().zip(logits).enumerate() {
        let share = (logit.wide() - largest).exp() / sum;
        let target = if class == label { 1.0 } else { 0.0 };
        *grad = R::of((share - target) / rows as f64);
    }
    log_sum - (own.wide() - largest)
}

/// Mean over classes of (logit − one-hot)²; `grad`, unless empty, becomes 2 (logit − one-hot)/(rows · classes).
fn mean_squared<R: Real>(logits: &[R], label: usize, rows: usize, grad: &mut [R]) -> f64 {
    let classes = logits.len();
    if label >= classes {
        grad.fill(R::nan());
        return f64::NAN;
    }
    let off = |class: usize| logits[class].wide() - if class == label { 1.0 } else { 0.0 };
    for (class, grad) in grad.iter_mut().enumerate() {
        *grad = R::of(2.0 * off(class) / (rows * classes) as f64);
    }
    (0..classes).map(|class| off(class) * off(class)).sum::<f64>() / classes as f64
}
