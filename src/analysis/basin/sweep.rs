//! Predictions of a set of samples under noise of many amplitudes, at the cost of one first layer per trial.
//!
//! The first layer is linear: z(x + σξ) = z(x) + σ z₀(ξ), and likewise for noise on W(2). So z without noise is
//! computed once, z₀ once per trial, and every amplitude starts from these two at the second layer.

use crate::Result;
use crate::analysis::{Options, Progress, Scaling, Space};
use crate::backend::{
    Backend, Field, Input, Linear, Noise, Normals, Part, PartMut, Predict, Real, Rows, Span,
};
use crate::model::{BnMode, Evaluator, Net, Network, Samples, Start};

/// Amplitudes of one pass over all samples.
pub(super) enum Amplitude<'a> {
    /// The same for every sample.
    All(f64),
    /// [samples]; a sample with amplitude 0 is not asked for, its prediction may be anything.
    Each(&'a [f64]),
}

/// The pass and the samples that an answer belongs to.
pub(super) struct At {
    /// Index of the amplitude.
    pub request: usize,
    /// t
    pub trial: usize,
    /// Position of the first sample among those selected.
    pub first: usize,
}

/// The samples that take part.
pub(in crate::analysis) struct Selection<'a, B: Backend> {
    /// The set they are in.
    pub samples: &'a Samples<B>,
    /// Which; their numbers in the set are the row ids of the noise.
    pub rows: Rows<'a, B>,
    /// How many.
    pub len: usize,
}

impl<'a, B: Backend> Selection<'a, B> {
    /// Those from position `first` on.
    fn from(&self, first: usize) -> Rows<'a, B> {
        match self.rows {
            Rows::From(row) => Rows::From(row + first),
            Rows::Listed { index, start } => Rows::Listed { index, start: start + first },
        }
    }
}

/// A network, samples, and the noise that acts on them.
pub(super) struct Sweep<'a, 'b, B: Backend, R: Real> {
    net: &'a Net<'b, B, R>,
    selection: Selection<'a, B>,
    space: Space,
    /// Weight space: what a unit of noise is to each matrix.
    scales: Vec<f64>,
    seed: u64,
    trials: usize,
    /// Whether samples do not see each other through batch statistics.
    independent: bool,
    /// Samples for which z is held at a time.
    segment: usize,
    /// Samples that pass the deeper layers at a time.
    chunk: usize,
    evaluator: Evaluator<'a, 'b, B, R>,
    /// z(2) without noise, [segment, N_2], and the first sample of the segment it belongs to.
    clean: B::Buf<R>,
    clean_of: Option<usize>,
    /// One for each of the first trials, the last of them for the others in turn.
    draws: Vec<Draw<B, R>>,
    scratch: Scratch<B, R>,
    predicted: B::Buf<u8>,
    done: usize,
    total: usize,
}

/// One trial's noise of unit amplitude.
struct Draw<B: Backend, R: Real> {
    /// First sample of the segment, and trial, that it belongs to.
    of: Option<(usize, usize)>,
    /// z₀, what it adds to z(2), [segment, N_2].
    field: B::Buf<R>,
    /// Weight space: what it adds to the parameters.
    params: B::Buf<R>,
}

struct Scratch<B: Backend, R: Real> {
    /// ξ of a chunk of samples, or of one matrix.
    normals: B::Buf<R>,
    /// Weight space: as many zeros.
    zeros: B::Buf<R>,
    /// Weight space: parameters with noise in them.
    params: B::Buf<R>,
    /// [segment]
    amplitude: B::Buf<R>,
}

impl<'a, 'b, B: Backend, R: Real> Sweep<'a, 'b, B, R> {
    /// Room for all passes under these options. `network` is `net` on the host.
    pub fn new(
        net: &'a Net<'b, B, R>,
        network: &Network,
        selection: Selection<'a, B>,
        options: &Options,
    ) -> Result<Self> {
        let (backend, spec, len, trials) = (net.backend, &net.spec, selection.len, options.trials);
        let chunk = Evaluator::chunk(net, options.bn, len);
        let independent = options.bn == BnMode::Eval || !spec.has_norm();
        let largest = net.layout.layers.iter().map(|layer| layer.weight.len).max().unwrap_or(0);
        let (params, normals, zeros) = match options.space {
            Space::Sample => (0, chunk * spec.inputs(), 0),
            Space::Weight => (net.layout.params, largest, largest),
        };
        let row = spec.widths[1];
        // For z, z₀ and noisy parameters that are kept between passes.
        let budget = backend.room() / size_of::<R>();
        let segment = if independent { (budget / (2 * row) / chunk).max(1) * chunk } else { len }.min(len);
        let held = if segment == len { (budget.saturating_sub(len * row)) / (len * row + params) } else { 1 };
        let draw = || {
            let field = backend.zeros(segment * row)?;
            Ok(Draw { of: None, field, params: backend.zeros(params)? })
        };
        Ok(Sweep {
            net,
            selection,
            space: options.space,
            scales: (2..=spec.output_layer()).map(|layer| unit(network.weight(layer), options)).collect(),
            seed: options.seed,
            trials,
            independent,
            segment,
            chunk,
            evaluator: Evaluator::new(net, options.bn, chunk)?,
            clean: backend.zeros(segment * row)?,
            clean_of: None,
            draws: (0..held.clamp(1, trials)).map(|_| draw()).collect::<Result<_>>()?,
            scratch: Scratch {
                normals: backend.zeros(normals)?,
                zeros: backend.zeros(zeros)?,
                params: backend.zeros(params)?,
                amplitude: backend.zeros(segment)?,
            },
            predicted: backend.zeros(segment)?,
            done: 0,
            total: 0,
        })
    }

    /// Whether samples of different amplitude may share a pass: not where the noise is on the weights, nor where
    /// batch statistics tie the samples together.
    pub fn mixes(&self) -> bool {
        self.space == Space::Sample && self.independent
    }

    /// Predictions without noise.
    pub fn clean(&mut self) -> Result<Vec<u8>> {
        let len = self.selection.len;
        let mut predicted = Vec::with_capacity(len);
        for first in (0..len).step_by(self.segment) {
            let rows = self.segment.min(len - first);
            self.hold_clean(first, rows)?;
            for (start, count) in chunks(rows, self.chunk) {
                let start_at = Start::Field(rows_of(self.net, &self.clean, start, count), None);
                self.evaluator.forward(&self.net.params, start_at, count)?;
                predict(self.net, &self.evaluator, &mut self.predicted, start, count)?;
            }
            predicted.extend(self.net.backend.download(Part::new(&self.predicted, 0, rows))?);
        }
        Ok(predicted)
    }

    /// Passes all samples through the network under noise of these amplitudes, every trial. `answer` gets the
    /// predicted classes of the samples from `At::first` on.
    pub fn run(
        &mut self,
        amplitudes: &[Amplitude<'_>],
        progress: &mut Progress<'_>,
        mut answer: impl FnMut(At, &[u8]),
    ) -> Result<()> {
        let len = self.selection.len;
        self.total += amplitudes.len() * self.trials * len.div_ceil(self.segment);
        for first in (0..len).step_by(self.segment) {
            let rows = self.segment.min(len - first);
            self.hold_clean(first, rows)?;
            for trial in 0..self.trials {
                let slot = self.hold_draw(first, rows, trial)?;
                for (request, amplitude) in amplitudes.iter().enumerate() {
                    match amplitude {
                        Amplitude::All(amplitude) => self.pass(slot, *amplitude, &vec![*amplitude; rows])?,
                        Amplitude::Each(each) => {
                            let fits = self.mixes();
                            crate::backend::shape("basin", fits, || {
                                "amplitudes cannot be mixed here".into()
                            })?;
                            self.pass(slot, 0.0, &each[first..first + rows])?;
                        }
                    }
                    let predicted = self.net.backend.download(Part::new(&self.predicted, 0, rows))?;
                    answer(At { request, trial, first }, &predicted);
                    self.done += 1;
                    progress(self.done, self.total);
                }
            }
        }
        Ok(())
    }

    /// Predicts the segment at hand with the noise of a draw, `weight` times on the weights above the first layer
    /// (in weight space), and as often as `each` says on the z(2) of each sample.
    fn pass(&mut self, slot: usize, weight: f64, each: &[f64]) -> Result<()> {
        let Sweep { net, evaluator, clean, draws, scratch, predicted, .. } = self;
        let (backend, draw) = (net.backend, &draws[slot]);
        let (factor, params) = match self.space {
            Space::Sample => (net.input.of_unit(), &net.params),
            Space::Weight => {
                let all = Span { start: 0, len: net.layout.params };
                let out = PartMut::at(&mut scratch.params, all);
                backend.add_scaled(weight, Part::at(&net.params, all), Part::at(&draw.params, all), out)?;
                (1.0, &scratch.params)
            }
        };
        let amplitudes: Vec<R> = each.iter().map(|a| R::of(a * factor)).collect();
        backend.write(&amplitudes, PartMut::new(&mut scratch.amplitude, 0, each.len()))?;
        for (start, count) in chunks(each.len(), self.chunk) {
            if self.independent && each[start..start + count].iter().all(|&a| a == 0.0) {
                continue;
            }
            let noise = Noise {
                xi: rows_of(net, &draw.field, start, count),
                amplitude: Part::new(&scratch.amplitude, start, count),
            };
            let start_at = Start::Field(rows_of(net, clean, start, count), Some(noise));
            evaluator.forward(params, start_at, count)?;
            predict(net, evaluator, predicted, start, count)?;
        }
        Ok(())
    }

    /// Makes `clean` that of the `rows` samples from `first` on.
    fn hold_clean(&mut self, first: usize, rows: usize) -> Result<()> {
        if self.clean_of == Some(first) {
            return Ok(());
        }
        let layer = &self.net.layout.layers[0];
        let (weight, bias) = (layer.weight, layer.bias.map(|bias| Part::at(&self.net.params, bias)));
        for (start, count) in chunks(rows, self.chunk) {
            let input = self.net.pixels(self.selection.samples, self.selection.from(first + start));
            let weight = Part::at(&self.net.params, weight);
            first_layer(self.net, &input, weight, bias, &mut self.clean, start, count)?;
        }
        self.clean_of = Some(first);
        Ok(())
    }

    /// Makes one of the draws that of a trial for the `rows` samples from `first` on; answers which.
    fn hold_draw(&mut self, first: usize, rows: usize, trial: usize) -> Result<usize> {
        let slot = trial.min(self.draws.len() - 1);
        if self.draws[slot].of == Some((first, trial)) {
            return Ok(slot);
        }
        let (net, seed, trial_word) = (self.net, self.seed, trial as u32);
        let Draw { of, field, params } = &mut self.draws[slot];
        let weight = net.layout.layers[0].weight;
        match self.space {
            Space::Sample => {
                let cols = net.spec.inputs();
                for (start, count) in chunks(rows, self.chunk) {
                    let desc = Normals { rows: count, cols, seed, trial: trial_word, stream: 0 };
                    let normals = &mut self.scratch.normals;
                    let ids = self.selection.from(first + start);
                    net.backend.normals(desc, ids, PartMut::new(normals, 0, count * cols))?;
                    let z = Part::new(normals, 0, count * cols);
                    let input = Input::plain(Field { z, noise: None, norm: None });
                    first_layer(net, &input, Part::at(&net.params, weight), None, field, start, count)?;
                }
            }
            Space::Weight => {
                for (i, layer) in net.layout.layers.iter().enumerate() {
                    let (rows, cols) = (net.spec.widths[i + 1], net.spec.widths[i]);
                    let desc = Normals { rows, cols, seed, trial: trial_word, stream: i as u32 + 2 };
                    let (normals, zeros) = (&mut self.scratch.normals, &self.scratch.zeros);
                    net.backend.normals(desc, Rows::From(0), PartMut::new(normals, 0, rows * cols))?;
                    let (zeros, xi) = (Part::new(zeros, 0, rows * cols), Part::new(normals, 0, rows * cols));
                    net.backend.add_scaled(self.scales[i], zeros, xi, PartMut::at(params, layer.weight))?;
                }
                for (start, count) in chunks(rows, self.chunk) {
                    let input = net.pixels(self.selection.samples, self.selection.from(first + start));
                    first_layer(net, &input, Part::at(params, weight), None, field, start, count)?;
                }
            }
        }
        *of = Some((first, trial));
        Ok(slot)
    }
}

/// What noise of unit amplitude is to a weight matrix: its population standard deviation, or 1.
fn unit(weights: &[f64], options: &Options) -> f64 {
    match options.scaling {
        Scaling::Absolute => 1.0,
        Scaling::Standardized => {
            let count = weights.len() as f64;
            let mean = weights.iter().sum::<f64>() / count;
            (weights.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / count).sqrt()
        }
    }
}

/// First position and length of the pieces of `rows` samples.
fn chunks(rows: usize, chunk: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(chunk).map(move |start| (start, chunk.min(rows - start)))
}

/// Rows of a buffer [segment, N_2].
fn rows_of<'z, B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    buf: &'z B::Buf<R>,
    start: usize,
    count: usize,
) -> Part<'z, B, R> {
    let row = net.spec.widths[1];
    Part::new(buf, start * row, count * row)
}

/// z(2) of some samples into rows of a buffer [segment, N_2].
fn first_layer<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    input: &Input<'_, B, R>,
    weight: Part<'_, B, R>,
    bias: Option<Part<'_, B, R>>,
    z: &mut B::Buf<R>,
    start: usize,
    count: usize,
) -> Result<()> {
    let (inputs, outputs) = (net.spec.inputs(), net.spec.widths[1]);
    let z = PartMut::new(z, start * outputs, count * outputs);
    net.backend.linear(Linear { rows: count, inputs, outputs }, input, weight, bias, z, None, None)
}

/// Predicted classes of the last pass into their place in the segment.
fn predict<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    evaluator: &Evaluator<'_, '_, B, R>,
    predicted: &mut B::Buf<u8>,
    start: usize,
    count: usize,
) -> Result<()> {
    let desc = Predict { rows: count, classes: net.spec.classes() };
    net.backend.predict(desc, evaluator.logits(count), PartMut::new(predicted, start, count))
}
