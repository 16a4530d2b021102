//! Whole training steps on one fixed batch.

use crate::inputs::{deep_spec, network, plain_spec, split};
use crate::{record_check, time};
use criterion::Criterion;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::{Activation, LossKind, Optimizer, Rows, Update};
use netdyn::model::{Net, Samples, Spec, Trainer};

const BETAS: [f64; 2] = [0.9, 0.999];
const ADAM: Update =
    Update { optimizer: Optimizer::Adam { betas: BETAS, eps: 1e-8 }, lr: 1e-3, weight_decay: 0.0, step: 0 };
const ADAMW: Update =
    Update { optimizer: Optimizer::AdamW { betas: BETAS, eps: 1e-8 }, lr: 1e-3, weight_decay: 0.01, step: 0 };

/// The papers' deep network, on part of the samples and on all.
pub fn step_512x8(criterion: &mut Criterion, cpu: &Cpu) {
    for batch in [12_000, 60_000] {
        step(criterion, cpu, ("step_512x8", batch), deep_spec(), LossKind::CrossEntropy, ADAM);
    }
}

/// The papers' shallow network, on few samples and on all.
pub fn shallow(criterion: &mut Criterion, cpu: &Cpu) {
    for batch in [600, 60_000] {
        let spec = plain_spec(vec![784, 2048, 10], Activation::Tanh);
        step(criterion, cpu, ("shallow", batch), spec, LossKind::CrossEntropy, ADAM);
    }
}

/// The small network of the grokking runs: what counts is what a step costs beside its arithmetic.
pub fn small_net(criterion: &mut Criterion, cpu: &Cpu) {
    let spec = plain_spec(vec![784, 200, 200, 10], Activation::Relu);
    step(criterion, cpu, ("small_net", 200), spec, LossKind::Mse, ADAMW);
}

/// The check is the loss of the first three steps.
fn step(
    criterion: &mut Criterion,
    cpu: &Cpu,
    case: (&str, usize),
    spec: Spec,
    loss: LossKind,
    update: Update,
) {
    let batch = case.1;
    let make = || {
        let samples = Samples::new(cpu, &split(batch))?;
        let net = Net::<_, f32>::new(cpu, &network(spec.clone(), 1.0))?;
        let mut trainer = Trainer::new(net, loss, update, 0, batch)?;
        let mut losses = vec![];
        for _ in 0..3 {
            trainer.step(&samples, Rows::From(0), batch)?;
            losses.push(trainer.last_batch(batch)?.0);
        }
        record_check(case, &losses);
        Ok((trainer, samples))
    };
    time(criterion, case, flops(&spec, batch), make, |(trainer, samples)| {
        trainer.step(samples, Rows::From(0), batch)
    });
}

/// Forward, weight gradient and input gradient; the last is not needed for the first layer.
fn flops(spec: &Spec, batch: usize) -> u64 {
    let widths = &spec.widths;
    let multiply_adds: usize = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    (batch * (6 * multiply_adds - 2 * widths[0] * widths[1])) as u64
}
