//! Passes through a trained network: no dropout, no gradients.

use super::net::NormStats;
use super::{LayerSpans, Net, Samples};
use crate::backend::{
    Activate, Backend, Field, Forward, Input, Layer, Linear, Loss, LossKind, Noise, Norm, Part, PartMut,
    Predict, Real, Rows,
};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which statistics a batch norm uses in evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum BnMode {
    /// The running statistics (PyTorch's evaluation mode).
    Eval,
    /// Those of the evaluated set itself (training mode, α = 1 in paper A, Eq. 3).
    Batch,
}

impl BnMode {
    /// As written in results.
    pub fn name(self) -> &'static str {
        match self {
            BnMode::Eval => "eval",
            BnMode::Batch => "batch",
        }
    }
}

/// Where a pass begins.
pub enum Start<'a, B: Backend, R: Real> {
    /// At the pixels of some samples.
    Samples(&'a Samples<B>, Rows<'a, B>),
    /// At a given x(1), [rows, inputs].
    Input(Input<'a, B, R>),
    /// At the field z(2) of the layer above the input, [rows, N_2], perhaps with noise in it.
    Field(Part<'a, B, R>, Option<Noise<'a, B, R>>),
}

impl<B: Backend, R: Real> Clone for Start<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Start<'_, B, R> {}

/// Runs passes of up to `rows` samples through one network, with buffers made once.
pub struct Evaluator<'n, 'b, B: Backend, R: Real> {
    net: &'n Net<'b, B, R>,
    bn: BnMode,
    /// z of the hidden layers, alternately.
    z: [B::Buf<R>; 2],
    logits: B::Buf<R>,
    stats: Vec<Option<NormStats<B, R>>>,
    rows: usize,
}

impl<'n, 'b, B: Backend, R: Real> Evaluator<'n, 'b, B, R> {
    /// For passes of up to `rows` samples.
    ///
    /// # Errors
    /// [`Error::Memory`](crate::Error::Memory) if its buffers do not fit.
    pub fn new(net: &'n Net<'b, B, R>, bn: BnMode, rows: usize) -> Result<Self> {
        Self::with_buffers(net, bn, rows).map_err(|error| at_once(error, net, bn))
    }

    fn with_buffers(net: &'n Net<'b, B, R>, bn: BnMode, rows: usize) -> Result<Self> {
        let (backend, widest) = (net.backend, widest_field(net));
        Ok(Evaluator {
            net,
            bn,
            z: [backend.zeros(rows * widest)?, backend.zeros(rows * widest)?],
            logits: backend.zeros(rows * net.spec.classes())?,
            stats: (0..net.spec.linears()).map(|i| NormStats::running(net, i)).collect::<Result<_>>()?,
            rows,
        })
    }

    /// How many samples to pass at a time over a set of `len`: all of them where the statistics are the
    /// set's own.
    pub fn chunk(net: &Net<'b, B, R>, bn: BnMode, len: usize) -> usize {
        // Two fields and the logits; beside them two fields and an input that some callers hold.
        let numbers = net.spec.inputs() + 4 * widest_field(net) + net.spec.classes();
        match bn {
            BnMode::Batch if net.spec.has_norm() => len,
            _ => net.backend.chunk_rows(numbers * size_of::<R>()).min(len),
        }
    }

    /// Passes `rows` samples through the network with the parameters `params`. The logits are then in
    /// [`Evaluator::logits`].
    pub fn forward(&mut self, params: &B::Buf<R>, start: Start<'_, B, R>, rows: usize) -> Result<()> {
        if self.bn == BnMode::Batch && self.net.spec.has_norm() {
            return self.pass(params, start, rows, |_, _| Ok(()));
        }
        assert!(rows <= self.rows, "a pass of {rows} rows in buffers for {}", self.rows);
        let Evaluator { net, z, logits, stats, .. } = self;
        let (spec, logits) = (&net.spec, PartMut::new(logits, 0, rows * net.spec.classes()));
        let (first, input) = match start {
            Start::Samples(samples, first) => (0, net.pixels(samples, first)),
            Start::Input(input) => (0, input),
            Start::Field(z, noise) if spec.linears() == 1 => {
                let input = Input::plain(Field { z, noise, norm: None });
                return net.backend.activate(Activate { rows, features: spec.classes() }, &input, logits);
            }
            Start::Field(z, noise) => (1, above(net, stats, params, 0, z, noise)),
        };
        let layer = |(i, spans): (usize, &LayerSpans)| Layer {
            outputs: spec.widths[i + 1],
            weight: Part::at(params, spans.weight),
            bias: spans.bias.map(|bias| Part::at(params, bias)),
            norm: norm(net, stats, params, i),
        };
        let layers: Vec<_> = net.layout.layers.iter().enumerate().skip(first).map(layer).collect();
        let desc = Forward { rows, inputs: spec.widths[first], activation: spec.activation };
        net.backend.forward(desc, &input, &layers, z, logits)
    }

    /// As [`Evaluator::forward`], layer by layer, and shows `visit` the input x(l) of every matrix W(l+1),
    /// l = 1…L−1.
    ///
    /// A pass that begins at a field shows no l = 1.
    pub fn pass(
        &mut self,
        params: &B::Buf<R>,
        start: Start<'_, B, R>,
        rows: usize,
        visit: impl FnMut(usize, &Input<'_, B, R>) -> Result<()>,
    ) -> Result<()> {
        let (net, bn) = (self.net, self.bn);
        self.layers(params, start, rows, visit).map_err(|error| at_once(error, net, bn))
    }

    fn layers(
        &mut self,
        params: &B::Buf<R>,
        start: Start<'_, B, R>,
        rows: usize,
        mut visit: impl FnMut(usize, &Input<'_, B, R>) -> Result<()>,
    ) -> Result<()> {
        assert!(rows <= self.rows, "a pass of {rows} rows in buffers for {}", self.rows);
        let net = self.net;
        let last = net.spec.linears() - 1;
        for (i, spans) in net.layout.layers.iter().enumerate() {
            let (inputs, outputs) = (net.spec.widths[i], net.spec.widths[i + 1]);
            let [even, odd] = &mut self.z;
            let (z, below) = if i % 2 == 0 { (even, &*odd) } else { (odd, &*even) };
            let z = PartMut::new(if i == last { &mut self.logits } else { z }, 0, rows * outputs);
            let (stats_below, stats) = self.stats.split_at_mut(i);
            let own = stats[0].as_mut().filter(|_| self.bn == BnMode::Batch);
            let input = match start {
                Start::Field(given, noise) if i == 0 => {
                    let input = Input::plain(Field { z: given, noise, norm: None });
                    let desc = Activate { rows, features: outputs };
                    if let Some(own) = own {
                        net.backend.moments(desc, &input, own.moments())?;
                        own.invert(net, rows)?;
                    }
                    if i == last {
                        net.backend.activate(desc, &input, z)?;
                    }
                    continue;
                }
                Start::Samples(samples, first) if i == 0 => net.pixels(samples, first),
                Start::Input(input) if i == 0 => input,
                Start::Field(given, noise) if i == 1 => above(net, stats_below, params, 0, given, noise),
                _ => above(net, stats_below, params, i - 1, Part::new(below, 0, rows * inputs), None),
            };
            visit(i + 1, &input)?;
            let weight = Part::at(params, spans.weight);
            let bias = spans.bias.map(|bias| Part::at(params, bias));
            let desc = Linear { rows, inputs, outputs };
            match own {
                Some(own) => {
                    net.backend.linear(desc, &input, weight, bias, z, Some(own.moments()), None)?;
                    own.invert(net, rows)?;
                }
                None => net.backend.linear(desc, &input, weight, bias, z, None, None)?,
            }
        }
        Ok(())
    }

    /// The batch-norm statistics in use, by [`Layout`](super::Layout): the running ones, or in batch mode
    /// those of the last pass.
    pub fn statistics(&self) -> Result<Vec<f64>> {
        let mut all = Vec::with_capacity(self.net.layout.stats);
        for stats in self.stats.iter().flatten() {
            all.extend(stats.download(self.net.backend)?);
        }
        Ok(all)
    }

    /// The logits of the last pass, [rows, classes].
    pub fn logits(&self, rows: usize) -> Part<'_, B, R> {
        Part::new(&self.logits, 0, rows * self.net.spec.classes())
    }
}

/// What to do where a pass of all samples together does not fit.
fn at_once<B: Backend, R: Real>(error: Error, net: &Net<'_, B, R>, bn: BnMode) -> Error {
    match bn {
        BnMode::Batch if net.spec.has_norm() => error.advise(|| {
            "batch statistics need all samples in one pass: use fewer (--limit, in training probe.limit) or --bn eval"
                .into()
        }),
        _ => error,
    }
}

/// Width of the widest hidden layer.
fn widest_field<B: Backend, R: Real>(net: &Net<'_, B, R>) -> usize {
    net.spec.widths[1..net.spec.linears()].iter().max().copied().unwrap_or(0)
}

/// The batch norm of linear layer `i`, if it has one.
fn norm<'a, B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    stats: &'a [Option<NormStats<B, R>>],
    params: &'a B::Buf<R>,
    i: usize,
) -> Option<Norm<'a, B, R>> {
    stats[i].as_ref().zip(net.layout.layers[i].norm).map(|(stats, at)| stats.norm(params, at))
}

/// The input of the layer above linear layer `i`, whose z is given.
fn above<'a, B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    stats: &'a [Option<NormStats<B, R>>],
    params: &'a B::Buf<R>,
    i: usize,
    z: Part<'a, B, R>,
    noise: Option<Noise<'a, B, R>>,
) -> Input<'a, B, R> {
    let field = Field { z, noise, norm: norm(net, stats, params, i) };
    Input::Field { field, activation: net.spec.activation, dropout: None }
}

/// What a network makes of a set of samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Predicted class of every sample.
    pub predicted: Vec<u8>,
    /// Softmax cross-entropy of every sample.
    pub cross_entropy: Vec<f64>,
    /// Squared difference to the one-hot target, mean over classes, of every sample.
    pub mse: Vec<f64>,
}

impl Outcome {
    /// Share of samples whose prediction is their label.
    pub fn accuracy(&self, labels: &[u8]) -> f64 {
        let right = self.predicted.iter().zip(labels).filter(|(p, y)| p == y).count();
        right as f64 / labels.len() as f64
    }

    /// Mean of the loss that a network is trained with.
    pub fn loss(&self, kind: LossKind) -> f64 {
        let rows = match kind {
            LossKind::CrossEntropy => &self.cross_entropy,
            LossKind::Mse => &self.mse,
        };
        rows.iter().sum::<f64>() / rows.len() as f64
    }
}

/// Predictions and losses of the first `len` samples of a set.
pub fn outcome<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    len: usize,
    bn: BnMode,
) -> Result<Outcome> {
    let backend = net.backend;
    let chunk = Evaluator::chunk(net, bn, len);
    let mut evaluator = Evaluator::new(net, bn, chunk)?;
    let mut predicted = backend.zeros::<u8>(chunk)?;
    let mut row_loss = backend.zeros::<f64>(chunk)?;
    let mut outcome = Outcome { predicted: vec![], cross_entropy: vec![], mse: vec![] };
    let classes = net.spec.classes();
    for first in (0..len).step_by(chunk.max(1)) {
        let rows = chunk.min(len - first);
        let at = Rows::From(first);
        evaluator.forward(&net.params, Start::Samples(samples, at), rows)?;
        let logits = evaluator.logits(rows);
        backend.predict(Predict { rows, classes }, logits, PartMut::new(&mut predicted, 0, rows))?;
        outcome.predicted.extend(backend.download(Part::new(&predicted, 0, rows))?);
        for (kind, all) in
            [(LossKind::CrossEntropy, &mut outcome.cross_entropy), (LossKind::Mse, &mut outcome.mse)]
        {
            let desc = Loss { kind, rows, classes };
            backend.loss(desc, logits, samples.labels(at), PartMut::new(&mut row_loss, 0, rows), None)?;
            all.extend(backend.download(Part::new(&row_loss, 0, rows))?);
        }
    }
    Ok(outcome)
}
