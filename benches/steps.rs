//! Whole training steps on one fixed batch.

use crate::Bench;
use crate::inputs::{deep_spec, narrowed, network, normalised_spec, plain_spec, shrunk, split};
use netdyn::Result;
use netdyn::backend::{Activation, Backend, LossKind, Optimizer, Part, Rows, Update};
use netdyn::model::{Net, Samples, Spec, Trainer};

const BETAS: [f64; 2] = [0.9, 0.999];
const ADAM: Update =
    Update { optimizer: Optimizer::Adam { betas: BETAS, eps: 1e-8 }, lr: 1e-3, weight_decay: 0.0, step: 0 };
const ADAMW: Update =
    Update { optimizer: Optimizer::AdamW { betas: BETAS, eps: 1e-8 }, lr: 1e-3, weight_decay: 0.01, step: 0 };

/// The papers' deep network, on part of the samples and on all.
pub fn step_512x8<B: Backend>(bench: &mut Bench<'_, B>) {
    for batch in [12_000, 60_000] {
        step(bench, ("step_512x8", batch), deep_spec(), LossKind::CrossEntropy, ADAM);
    }
}

/// A narrow and deeper network, whose layers are bound by memory rather than arithmetic.
pub fn step_128x21<B: Backend>(bench: &mut Bench<'_, B>) {
    step(bench, ("step_128x21", 30_000), normalised_spec(128, 21), LossKind::CrossEntropy, ADAM);
}

/// The papers' shallow network, on few samples and on all.
pub fn shallow<B: Backend>(bench: &mut Bench<'_, B>) {
    for batch in [600, 60_000] {
        let spec = plain_spec(vec![784, narrowed(2048), 10], Activation::Tanh);
        step(bench, ("shallow", batch), spec, LossKind::CrossEntropy, ADAM);
    }
}

/// The small network of the grokking runs: what counts is what a step costs beside its arithmetic.
pub fn small_net<B: Backend>(bench: &mut Bench<'_, B>) {
    step(bench, ("small_net", 200), small_spec(), LossKind::Mse, ADAMW);
}

fn small_spec() -> Spec {
    plain_spec(vec![784, narrowed(200), narrowed(200), 10], Activation::Relu)
}

/// Seeds of the small network that are trained at once.
pub const SEEDS: usize = 8;

/// A step of each of eight small networks: on a card each has a stream of its own, as in `reproduce --jobs 8`; on the CPU they
/// take turns. The check is that of one of them, which are all alike.
pub fn small_net_8seeds<B: Backend>(bench: &mut Bench<'_, B>, processors: [&B; SEEDS]) {
    let (spec, case) = (small_spec(), ("small_net_8seeds", 200));
    let batch = shrunk(case.1);
    let checks = bench.checks(case);
    let make = |_| {
        let new = |backend| Training::new(backend, &spec, LossKind::Mse, ADAMW, batch);
        let mut trainings = processors.into_iter().map(new).collect::<Result<Vec<_>>>()?;
        let losses = trainings.iter_mut().map(Training::first_losses).collect::<Result<Vec<_>>>()?;
        checks.record(&losses[0]);
        Ok(trainings)
    };
    let wait = |_| {
        for backend in processors {
            backend.download(Part::new(&backend.zeros::<u8>(1)?, 0, 1))?;
        }
        Ok(())
    };
    bench.time_until(case, SEEDS as u64 * flops(&spec, batch), make, wait, |_, trainings| {
        trainings.iter_mut().try_for_each(Training::step)
    });
}

/// How a step grows with width, with depth and with the batch, the others as in the papers' deep network.
pub fn growth<B: Backend>(bench: &mut Bench<'_, B>) {
    for width in [128, 256, 512, 1024, 2048] {
        grown(bench, ("step_width", width), normalised_spec(width, 8), 60_000);
    }
    for depth in [3, 10, 23, 50, 100] {
        grown(bench, ("step_depth", depth), normalised_spec(512, depth - 2), 60_000);
    }
    for batch in [1_000, 6_000, 60_000, 600_000] {
        grown(bench, ("step_batch", batch), deep_spec(), batch);
    }
}

fn grown<B: Backend>(bench: &mut Bench<'_, B>, case: (&str, usize), spec: Spec, batch: usize) {
    let batch = shrunk(batch);
    let make = |backend| Training::new(backend, &spec, LossKind::CrossEntropy, ADAM, batch);
    bench.time(case, flops(&spec, batch), make, |_, training| training.step());
}

/// The check is the loss of the first three steps.
fn step<B: Backend>(
    bench: &mut Bench<'_, B>,
    case: (&str, usize),
    spec: Spec,
    loss: LossKind,
    update: Update,
) {
    let batch = shrunk(case.1);
    let checks = bench.checks(case);
    let make = |backend| {
        let mut training = Training::new(backend, &spec, loss, update, batch)?;
        checks.record(&training.first_losses()?);
        Ok(training)
    };
    bench.time(case, flops(&spec, batch), make, |_, training| training.step());
}

/// Steps on one fixed batch.
struct Training<'b, B: Backend> {
    trainer: Trainer<'b, B, f32>,
    samples: Samples<B>,
    batch: usize,
}

impl<'b, B: Backend> Training<'b, B> {
    fn new(backend: &'b B, spec: &Spec, loss: LossKind, update: Update, batch: usize) -> Result<Self> {
        let samples = Samples::new(backend, &split(batch))?;
        let net = Net::new(backend, &network(spec.clone(), 1.0))?;
        Ok(Training { trainer: Trainer::new(net, loss, update, 0, batch)?, samples, batch })
    }

    fn step(&mut self) -> Result<()> {
        self.trainer.step(&self.samples, Rows::From(0), self.batch)
    }

    /// Those of three steps.
    fn first_losses(&mut self) -> Result<Vec<f64>> {
        let loss = |_| {
            self.step()?;
            Ok(self.trainer.last_batch(self.batch)?.0)
        };
        (0..3).map(loss).collect()
    }
}

/// Forward, weight gradient and input gradient; the last is not needed for the first layer.
fn flops(spec: &Spec, batch: usize) -> u64 {
    let widths = &spec.widths;
    let multiply_adds: usize = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    (batch * (6 * multiply_adds - 2 * widths[0] * widths[1])) as u64
}
