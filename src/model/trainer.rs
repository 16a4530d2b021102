//! One training step: forward, loss, backward, update, all explicit.

use super::net::NormStats;
use super::{Momentum, Net, Network, Samples};
use crate::backend::{
    Backend, BatchNorm, Delta, DeltaNorm, Dropout, Field, Input, Linear, LinearBackward, Loss, LossKind,
    Moments, Optimizer, Part, PartMut, Real, Rows, Running, Update,
};
use crate::rng::stream;
use crate::{Error, Result};

/// A network in training with its optimiser state and every buffer a step needs.
pub struct Trainer<'b, B: Backend, R: Real> {
    /// The network.
    pub net: Net<'b, B, R>,
    /// What is minimised.
    pub loss: LossKind,
    /// Formula of the update.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Key of the dropout masks.
    pub seed: u64,
    /// Updates done.
    pub step: u64,
    grads: B::Buf<R>,
    first: B::Buf<R>,
    second: B::Buf<R>,
    /// See [`Backend::update`].
    status: B::Buf<u32>,
    /// z of every layer.
    z: Vec<B::Buf<R>>,
    stats: Vec<Option<NormStats<B, R>>>,
    /// dL/dlogits.
    top: B::Buf<R>,
    /// dL/dh of a hidden layer and of the one below it, alternately.
    delta: [B::Buf<R>; 2],
    row_loss: B::Buf<f64>,
    /// Of every linear layer.
    kept: Vec<B::Kept>,
    batch: usize,
    /// Of a step.
    recording: B::Recording,
}

/// Optimiser state on the host: first and second moments in the layout of the parameters (empty where
/// the optimiser has none).
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// Momentum buffer, or the mean of the gradients.
    pub first: Vec<f64>,
    /// Mean of their squares.
    pub second: Vec<f64>,
}

impl<'b, B: Backend, R: Real> Trainer<'b, B, R> {
    /// A trainer for batches of up to `batch` samples.
    ///
    /// # Errors
    /// [`Error::Memory`] if its buffers do not fit, with a batch that does.
    pub fn new(net: Net<'b, B, R>, loss: LossKind, update: Update, seed: u64, batch: usize) -> Result<Self> {
        let backend = net.backend;
        let bytes = bytes_per_sample::<R>(&net.spec.widths);
        Self::with_buffers(net, loss, update, seed, batch).map_err(|error| {
            error.advise(|| match backend.chunk_rows(bytes) {
                fits if fits < batch => format!("choose a smaller train.batch, {fits} fits"),
                _ => "choose smaller model.widths".into(),
            })
        })
    }

    fn with_buffers(
        net: Net<'b, B, R>,
        loss: LossKind,
        update: Update,
        seed: u64,
        batch: usize,
    ) -> Result<Self> {
        let backend = net.backend;
        let widths = &net.spec.widths;
        let hidden = &widths[1..widths.len() - 1];
        let widest = hidden.iter().max().copied().unwrap_or(0);
        let logits = || backend.zeros(batch * net.spec.classes());
        let (has_first, has_second) = moments_of(update.optimizer);
        let moment = |has: bool| backend.zeros(if has { net.layout.params } else { 0 });
        Ok(Trainer {
            loss,
            optimizer: update.optimizer,
            lr: update.lr,
            weight_decay: update.weight_decay,
            seed,
            step: 0,
            grads: backend.zeros(net.layout.params)?,
            first: moment(has_first)?,
            second: moment(has_second)?,
            status: backend.zeros(2)?,
            z: hidden.iter().map(|n| backend.fields(batch * n)).chain([logits()]).collect::<Result<_>>()?,
            stats: (0..net.spec.linears()).map(|i| NormStats::running(&net, i)).collect::<Result<_>>()?,
            top: logits()?,
            delta: [backend.fields(batch * widest)?, backend.fields(batch * widest)?],
            row_loss: backend.zeros(batch)?,
            kept: (0..net.spec.linears()).map(|_| B::Kept::default()).collect(),
            batch,
            recording: B::Recording::default(),
            net,
        })
    }

    /// One update on `rows` samples. Nothing is waited for; [`Trainer::check`] tells whether it was finite.
    ///
    /// # Errors
    /// Those of the backend; [`Error::Memory`] if what the operations need for themselves does not fit.
    pub fn step(&mut self, samples: &Samples<B>, rows: Rows<'_, B>, count: usize) -> Result<()> {
        let mut recording = std::mem::take(&mut self.recording);
        let done = self.net.backend.sequence(&mut recording, || {
            self.gradients(samples, rows, count)?;
            self.update()
        });
        self.recording = recording;
        done.map_err(|error| error.advise(|| "choose a smaller train.batch or smaller model.widths".into()))
    }

    fn update(&mut self) -> Result<()> {
        self.step += 1;
        let desc = Update {
            optimizer: self.optimizer,
            lr: self.lr,
            weight_decay: self.weight_decay,
            step: self.step,
        };
        let (net, first, second) = (&mut self.net, &mut self.first, &mut self.second);
        net.backend.update(desc, &mut net.params, &self.grads, first, second, &mut self.status)
    }

    /// Forward and backward pass on `count` samples: fills the gradients and feeds the running statistics.
    fn gradients(&mut self, samples: &Samples<B>, rows: Rows<'_, B>, count: usize) -> Result<()> {
        assert!(count <= self.batch, "a batch of {count} in buffers for {}", self.batch);
        for i in 0..self.net.spec.linears() {
            self.forward(i, samples, rows, count)?;
        }
        let net = &self.net;
        let (backend, last) = (net.backend, net.spec.linears() - 1);
        let classes = net.spec.classes();
        backend.loss(
            Loss { kind: self.loss, rows: count, classes },
            Part::new(&self.z[last], 0, count * classes),
            samples.labels(rows),
            PartMut::new(&mut self.row_loss, 0, count),
            Some(PartMut::new(&mut self.top, 0, count * classes)),
        )?;
        let mask = (self.seed, self.step);
        for i in (0..=last).rev() {
            let spans = &net.layout.layers[i];
            let [a, b] = &mut self.delta;
            let (above, below) = if (last - i).is_multiple_of(2) { (&*a, b) } else { (&*b, a) };
            let grad = if i == last { &self.top } else { above };
            let norm = self.stats[i].as_ref().zip(spans.norm).map(|(stats, at)| DeltaNorm {
                z: Part::new(&self.z[i], 0, count * net.spec.widths[i + 1]),
                norm: stats.norm(&net.params, at),
                at,
            });
            let desc = LinearBackward {
                rows: count,
                inputs: net.spec.widths[i],
                outputs: net.spec.widths[i + 1],
                weight: spans.weight,
                bias: spans.bias,
                below_norm: i.checked_sub(1).and_then(|below| net.layout.layers[below].norm),
            };
            let input = match i.checked_sub(1) {
                None => net.pixels(samples, rows),
                Some(below) => hidden(net, below, &self.z[below], self.stats[below].as_ref(), count, mask),
            };
            let below = (i > 0).then_some(below);
            let (delta, kept) = (Delta { grad, norm }, Some(&self.kept[i]));
            backend.linear_backward(desc, &delta, &input, &net.params, &mut self.grads, below, kept)?;
        }
        Ok(())
    }

    /// Field of layer i+2, with its batch statistics, from that of the layer below.
    fn forward(&mut self, i: usize, samples: &Samples<B>, rows: Rows<'_, B>, count: usize) -> Result<()> {
        let mask = (self.seed, self.step);
        let net = &self.net;
        let spans = &net.layout.layers[i];
        let desc = Linear { rows: count, inputs: net.spec.widths[i], outputs: net.spec.widths[i + 1] };
        let (z_below, z) = self.z.split_at_mut(i);
        let (stats_below, stats) = self.stats.split_at_mut(i);
        let input = match i.checked_sub(1) {
            None => net.pixels(samples, rows),
            Some(below) => hidden(net, below, &z_below[below], stats_below[below].as_ref(), count, mask),
        };
        let z = PartMut::new(&mut z[0], 0, count * desc.outputs);
        let weight = Part::at(&net.params, spans.weight);
        let bias = spans.bias.map(|bias| Part::at(&net.params, bias));
        let (own, kept) = (stats[0].as_mut(), Some(&mut self.kept[i]));
        let Some((own, [mean, var])) = own.zip(spans.stats) else {
            return net.backend.linear(desc, &input, weight, bias, z, None, kept);
        };
        net.backend.linear(desc, &input, weight, bias, z, Some(own.moments()), kept)?;
        let momentum = match net.spec.bn.momentum {
            Momentum::Fixed(momentum) => momentum,
            Momentum::Cumulative => 1.0 / (self.step + 1) as f64,
        };
        let desc = BatchNorm { rows: count, features: desc.outputs, eps: net.spec.bn.eps, momentum };
        let moments = Moments { buf: &mut self.net.running, mean, var };
        let running = Running { moments, status: &self.status };
        own.feed(self.net.backend, desc, running)
    }

    /// Loss and logits of the last batch of `count` samples, before its update: mean loss, [count, classes].
    pub fn last_batch(&self, count: usize) -> Result<(f64, Vec<R>)> {
        let (backend, spec) = (self.net.backend, &self.net.spec);
        let rows = backend.download(Part::new(&self.row_loss, 0, count))?;
        let logits = Part::new(&self.z[spec.linears() - 1], 0, count * spec.classes());
        Ok((rows.iter().sum::<f64>() / count as f64, backend.download(logits)?))
    }

    /// Waits, and answers [`Error::NonFinite`] if a gradient was not finite; parameters and moments are then those before
    /// that step, however many were begun since, and running statistics have met its batch and no later one.
    pub fn check(&self) -> Result<()> {
        let status = self.net.backend.download(Part::new(&self.status, 0, 2))?;
        let [flag, step] = status[..] else { unreachable!("a status has two words") };
        let Some(index) = flag.checked_sub(1).map(|index| index as usize) else { return Ok(()) };
        let (layer, tensor) = self.net.layout.name_of(index);
        let tensor = format!("gradient of {tensor}");
        Err(Error::NonFinite {
            step: u64::from(step),
            layer,
            tensor,
            kept: "the last good state is kept".into(),
        })
    }

    /// Optimiser state on the host, without loss.
    pub fn optimizer_state(&self) -> Result<OptimizerState> {
        let (has_first, has_second) = moments_of(self.optimizer);
        let wide = |has: bool, buf| -> Result<Vec<f64>> {
            let len = if has { self.net.layout.params } else { 0 };
            let values: Vec<R> = self.net.backend.download(Part::new(buf, 0, len))?;
            Ok(values.into_iter().map(R::wide).collect())
        };
        Ok(OptimizerState { first: wide(has_first, &self.first)?, second: wide(has_second, &self.second)? })
    }

    /// Continues from a stored state: `network`, optimiser state and number of steps done.
    ///
    /// # Errors
    /// [`Error::Shape`] if the state belongs to another network or optimiser.
    pub fn restore(&mut self, network: &Network, state: &OptimizerState, step: u64) -> Result<()> {
        let backend = self.net.backend;
        let narrow = |values: &[f64]| values.iter().map(|&v| R::of(v)).collect::<Vec<R>>();
        let (params, stats) = (self.net.layout.params, self.net.layout.stats);
        let (has_first, has_second) = moments_of(self.optimizer);
        backend.write(&narrow(&network.params), PartMut::new(&mut self.net.params, 0, params))?;
        backend.write(&narrow(&network.running), PartMut::new(&mut self.net.running, 0, stats))?;
        let first = if has_first { params } else { 0 };
        let second = if has_second { params } else { 0 };
        backend.write(&narrow(&state.first), PartMut::new(&mut self.first, 0, first))?;
        backend.write(&narrow(&state.second), PartMut::new(&mut self.second, 0, second))?;
        backend.write(&[0, 0], PartMut::new(&mut self.status, 0, 2))?;
        self.step = step;
        Ok(())
    }
}

/// What a sample of a batch takes: the fields of all layers, and three gradients.
fn bytes_per_sample<R: Real>(widths: &[usize]) -> usize {
    let (classes, hidden) = widths[1..].split_last().expect("a network has a layer");
    let widest = hidden.iter().max().copied().unwrap_or(0);
    size_of::<R>() * (2 * classes + hidden.iter().sum::<usize>() + 2 * widest) + size_of::<f64>()
}

/// Whether an optimiser keeps first and second moments.
fn moments_of(optimizer: Optimizer) -> (bool, bool) {
    match optimizer {
        Optimizer::Sgd { momentum } => (momentum != 0.0, false),
        Optimizer::Adam { .. } | Optimizer::AdamW { .. } => (true, true),
    }
}

/// The output x of the hidden layer behind linear layer `i`, dropped out with the mask of (seed, step).
fn hidden<'a, B: Backend, R: Real>(
    net: &'a Net<'_, B, R>,
    i: usize,
    z: &'a B::Buf<R>,
    stats: Option<&'a NormStats<B, R>>,
    count: usize,
    (seed, step): (u64, u64),
) -> Input<'a, B, R> {
    let norm = stats.zip(net.layout.layers[i].norm).map(|(stats, at)| stats.norm(&net.params, at));
    let field = Field { z: Part::new(z, 0, count * net.spec.widths[i + 1]), noise: None, norm };
    let rate = net.spec.dropout;
    let stream = stream::DROPOUT + i as u32 + 2;
    let dropout = (rate > 0.0).then_some(Dropout { rate, seed, step: step as u32, stream });
    Input::Field { field, activation: net.spec.activation, dropout }
}
