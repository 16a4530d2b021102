//! Where noise carries single samples: the cones of paper A, Fig. 5(c).

use super::basin::{Probe, Selection, check};
use super::plane::Plane;
use super::{Options, Progress, Space, linalg};
use crate::backend::{
    Activate, Backend, ClassSums, Field, Gram, Input, Noise, Normals, Part, PartMut, Predict, Real, Rows,
};
use crate::model::{BnMode, Evaluator, Net, Network, Samples, Start};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The layer whose principal components are the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// x(L−1), what the output layer sees.
    Features,
    /// x(1), the pixels in the network's range.
    Input,
}

/// Noisy copies of samples in three dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cones {
    /// The layer shown.
    pub view: View,
    /// Copies of each sample at each amplitude.
    pub trials: usize,
    /// Share of the variance of the set along each axis.
    pub variance: [f64; 3],
    /// One for each chosen sample. In files under another name: the frame around a result counts its samples.
    #[serde(rename = "cones")]
    pub samples: Vec<Cone>,
}

/// One sample and its noisy copies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cone {
    /// Its number in the file.
    pub index: usize,
    /// Its label.
    pub label: u8,
    /// Its class without noise.
    pub predicted: u8,
    /// Its basin size, as in [`SampleBasin`](super::SampleBasin).
    pub size: Option<f64>,
    /// The class it is lost to first: at the lowest amplitude at which less than half of its copies keep the predicted
    /// class, the commonest of the others, the lowest among equals; none if there is no such amplitude.
    pub lost_to: Option<u8>,
    /// Without noise.
    pub point: [f64; 3],
    /// By amplitude in ascending order, then by trial.
    pub copies: Vec<NoisyCopy>,
}

/// One noisy copy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoisyCopy {
    /// σ, in units of the pixel range [0, 1].
    pub amplitude: f64,
    /// t; copies of the same trial differ in amplitude only.
    pub trial: usize,
    /// Where it lies.
    pub point: [f64; 3],
    /// Its class.
    pub predicted: u8,
}

/// Noisy copies, at the options' amplitudes and trials, of the samples `chosen` by number, or of the first two of each
/// class in file order. The noise is that of [`basin`](super::basin). The axes are the three leading principal
/// components of the first `options.limit` samples without noise. Source: paper A, Fig. 5(c).
///
/// `network` is `net` on the host. In batch mode the batch norms keep the statistics of those samples without
/// noise: a handful of noisy copies has none of its own worth having.
///
/// # Errors
/// [`Error::Usage`] without samples, for a sample or class that does not exist, for noise that means nothing, or
/// if the layer shown has fewer than three neurons.
pub fn cones<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    options: &Options,
    view: View,
    chosen: Option<&[usize]>,
    progress: &mut Progress<'_>,
) -> Result<Cones> {
    check(options)?;
    let (backend, len) = (net.backend, options.rows(samples.len)?);
    let labels = &samples.host_labels[..len];
    let chosen = match chosen {
        Some(chosen) => chosen.to_vec(),
        None => first_two(labels, &options.classes_of(samples.classes.max(net.spec.classes()))?),
    };
    if let Some(index) = chosen.iter().find(|&&index| index >= len) {
        return Err(Error::Usage(format!(
            "sample {index} is not among the first {len}: choose a lower number"
        )));
    }
    let index: Vec<u32> = chosen.iter().map(|&index| index as u32).collect();
    let index = backend.upload(&index)?;
    let rows = Rows::Listed { index: &index, start: 0 };

    let network = frozen(net, network, samples, len, options.bn)?;
    let net = Net::<B, R>::new(backend, &network)?;
    let layer = match view {
        View::Features => net.spec.output_layer() - 1,
        View::Input => 1,
    };
    let Axes { vectors, centre, variance } = principal(&net, samples, len, layer)?;
    let mut plane = Plane::<B, R, 3>::new(backend, &vectors, &centre, chosen.len())?;
    let mut copies = Copies::new(&net, samples, rows, chosen.len(), layer)?;
    let (points, predicted) = copies.at(0.0, &mut plane)?;

    let mut amplitudes = options.amplitudes.clone();
    amplitudes.sort_by(f64::total_cmp);
    amplitudes.dedup();
    let mut noisy: Vec<Vec<NoisyCopy>> = vec![Vec::new(); chosen.len()];
    for trial in 0..options.trials {
        copies.draw(options.seed, trial)?;
        for &amplitude in &amplitudes {
            let (points, predicted) = copies.at(amplitude, &mut plane)?;
            for ((noisy, point), predicted) in noisy.iter_mut().zip(points).zip(predicted) {
                noisy.push(NoisyCopy { amplitude, trial, point, predicted });
            }
        }
    }
    noisy.iter_mut().for_each(|copies| copies.sort_by(|a, b| a.amplitude.total_cmp(&b.amplitude)));

    let own_labels: Vec<u8> = chosen.iter().map(|&index| labels[index]).collect();
    let selection = Selection { samples, rows, len: chosen.len() };
    let settings = Options { bn: BnMode::Eval, space: Space::Sample, ..options.clone() };
    let mut probe = Probe::new(&net, &network, selection, own_labels.clone(), &settings, progress)?;
    let sizes = probe.sample_sizes()?;
    let cones = noisy.into_iter().enumerate().map(|(i, copies)| Cone {
        index: chosen[i],
        label: own_labels[i],
        predicted: predicted[i],
        size: sizes[i].value(),
        lost_to: lost_to(&copies, predicted[i]),
        point: points[i],
        copies,
    });
    Ok(Cones { view, trials: options.trials, variance, samples: cones.collect() })
}

/// The first two samples of each of these classes, class by class.
fn first_two(labels: &[u8], classes: &[usize]) -> Vec<usize> {
    let of_class = |&class: &usize| {
        let own = labels.iter().enumerate().filter(move |(_, label)| usize::from(**label) == class);
        own.map(|(index, _)| index).take(2)
    };
    classes.iter().flat_map(of_class).collect()
}

/// The network with running statistics that are those of the samples, in batch mode.
fn frozen<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    len: usize,
    bn: BnMode,
) -> Result<Network> {
    if bn == BnMode::Eval || !net.spec.has_norm() {
        return Ok(network.clone());
    }
    let mut evaluator = Evaluator::new(net, bn, len)?;
    evaluator.forward(&net.params, Start::Samples(samples, Rows::From(0)), len)?;
    Ok(Network { running: evaluator.statistics()?, ..network.clone() })
}

struct Axes {
    /// [3, features]
    vectors: Vec<f64>,
    /// [features]
    centre: Vec<f64>,
    variance: [f64; 3],
}

/// The three leading principal components of x(layer) of the first `len` samples.
fn principal<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    len: usize,
    layer: usize,
) -> Result<Axes> {
    let (backend, features, classes) = (net.backend, net.spec.widths[layer - 1], samples.classes);
    if features < 3 {
        let what = format!("layer {layer} has {features} neurons; three dimensions need three or more");
        return Err(Error::Usage(what));
    }
    let chunk = Evaluator::chunk(net, BnMode::Eval, len);
    let mut evaluator = Evaluator::new(net, BnMode::Eval, chunk)?;
    let mut sums = backend.zeros::<f64>(classes * features)?;
    for first in (0..len).step_by(chunk) {
        let (at, rows) = (Rows::From(first), chunk.min(len - first));
        evaluator.pass(&net.params, Start::Samples(samples, at), rows, |l, input| {
            let desc = ClassSums { rows, features, classes };
            match l == layer {
                true => backend.class_sums(
                    desc,
                    input,
                    samples.labels(at),
                    PartMut::new(&mut sums, 0, classes * features),
                ),
                false => Ok(()),
            }
        })?;
    }
    let mut centre = vec![0.0; features];
    for sums in backend.download(Part::new(&sums, 0, classes * features))?.chunks_exact(features) {
        centre.iter_mut().zip(sums).for_each(|(centre, sum)| *centre += sum / len as f64);
    }

    let there = backend.upload(&centre)?;
    let (none, area) = (backend.zeros::<R>(0)?, features * features);
    let mut products = backend.zeros::<f64>(area)?;
    for first in (0..len).step_by(chunk) {
        let (at, rows) = (Rows::From(first), chunk.min(len - first));
        evaluator.pass(&net.params, Start::Samples(samples, at), rows, |l, input| {
            let desc = Gram { rows, features, targets: 0 };
            let (targets, centre) = (Part::new(&none, 0, 0), Part::new(&there, 0, features));
            match l == layer {
                true => backend.gram(desc, input, targets, centre, PartMut::new(&mut products, 0, area)),
                false => Ok(()),
            }
        })?;
    }
    let (values, all) = linalg::symmetric_eigen(features, &backend.download(Part::new(&products, 0, area))?)?;
    let total: f64 = values.iter().sum();
    let share = |d: usize| if total > 0.0 { values[features - 1 - d] / total } else { 0.0 };
    let vectors = all.into_iter().rev().take(3).flatten().collect();
    Ok(Axes { vectors, centre, variance: std::array::from_fn(share) })
}

/// Chosen samples, with and without noise.
struct Copies<'n, 'b, 's, B: Backend, R: Real> {
    net: &'n Net<'b, B, R>,
    evaluator: Evaluator<'n, 'b, B, R>,
    rows: Rows<'s, B>,
    len: usize,
    layer: usize,
    /// x(1) without noise, [len, inputs].
    clean: B::Buf<R>,
    /// ξ of the trial at hand, [len, inputs].
    xi: B::Buf<R>,
    amplitude: B::Buf<R>,
    predicted: B::Buf<u8>,
}

impl<'n, 'b, 's, B: Backend, R: Real> Copies<'n, 'b, 's, B, R> {
    /// `len` samples, to be looked at in layer `layer`.
    fn new(
        net: &'n Net<'b, B, R>,
        samples: &Samples<B>,
        rows: Rows<'s, B>,
        len: usize,
        layer: usize,
    ) -> Result<Self> {
        let (backend, features) = (net.backend, net.spec.inputs());
        let mut clean = backend.zeros(len * features)?;
        let out = PartMut::new(&mut clean, 0, len * features);
        backend.activate(Activate { rows: len, features }, &net.pixels(samples, rows), out)?;
        Ok(Copies {
            net,
            evaluator: Evaluator::new(net, BnMode::Eval, len)?,
            rows,
            len,
            layer,
            clean,
            xi: backend.zeros(len * features)?,
            amplitude: backend.zeros(len)?,
            predicted: backend.zeros(len)?,
        })
    }

    /// Draws the noise of a trial.
    fn draw(&mut self, seed: u64, trial: usize) -> Result<()> {
        let (rows, cols) = (self.len, self.net.spec.inputs());
        let desc = Normals { rows, cols, seed, trial: trial as u32, stream: 0 };
        self.net.backend.normals(desc, self.rows, PartMut::new(&mut self.xi, 0, rows * cols))
    }

    /// Places and classes of all samples under the noise at hand.
    fn at(&mut self, amplitude: f64, plane: &mut Plane<B, R, 3>) -> Result<(Vec<[f64; 3]>, Vec<u8>)> {
        let (net, backend, rows) = (self.net, self.net.backend, self.len);
        let size = rows * net.spec.inputs();
        let factor = vec![R::of(amplitude * net.input.of_unit()); rows];
        backend.write(&factor, PartMut::new(&mut self.amplitude, 0, rows))?;
        let noise =
            Noise { xi: Part::new(&self.xi, 0, size), amplitude: Part::new(&self.amplitude, 0, rows) };
        let z = Part::new(&self.clean, 0, size);
        let input = Input::plain(Field { z, noise: Some(noise), norm: None });
        let mut points = Vec::new();
        self.evaluator.pass(&net.params, Start::Input(input), rows, |layer, input| {
            if layer == self.layer {
                points = plane.coordinates(backend, input, rows)?;
            }
            Ok(())
        })?;
        let desc = Predict { rows, classes: net.spec.classes() };
        let predicted = PartMut::new(&mut self.predicted, 0, rows);
        backend.predict(desc, self.evaluator.logits(rows), predicted)?;
        Ok((points, backend.download(Part::new(&self.predicted, 0, rows))?))
    }
}

/// The class that takes the sample first; `copies` are in ascending order of amplitude.
fn lost_to(copies: &[NoisyCopy], own: u8) -> Option<u8> {
    let lost = copies.chunk_by(|a, b| a.amplitude == b.amplitude).find(|copies| {
        let kept = copies.iter().filter(|copy| copy.predicted == own).count();
        2 * kept < copies.len()
    })?;
    let votes = |class: u8| lost.iter().filter(|copy| copy.predicted == class).count();
    (0..=u8::MAX).rev().filter(|&class| class != own).max_by_key(|&class| votes(class))
}
