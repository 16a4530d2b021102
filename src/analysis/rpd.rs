//! The rank probability distribution: where the samples of a class stand in the order of all samples.

use super::{LinearMap, Options, linear_maps};
use crate::backend::{Backend, Input, Part, PartMut, RankMass, Real, Rows};
use crate::error::{Error, Result};
use crate::model::{Evaluator, Net, Network, Samples, Start};
use serde::{Deserialize, Serialize};

/// Rank probability distributions of hidden layers (paper A, Sec. II.C; "ranking position distribution" in B).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rpd {
    /// B, bins of the normalised rank axis [0, 1].
    pub bins: usize,
    /// In ascending order.
    pub layers: Vec<LayerRpd>,
}

/// The RPD of one hidden layer. Densities have mean 1; bin 0 holds the highest ranks. What belongs to a class
/// without samples is none, and does not enter the layer's mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRpd {
    /// Number of the layer; the first hidden one is 2.
    pub layer: usize,
    /// N
    pub neurons: usize,
    /// Minus the least-squares slope of `density` against bin centres; positive where samples crowd the high
    /// ranks of their class.
    pub gradient: f64,
    /// Mean over neurons and classes, \[B\].
    pub density: Vec<f64>,
    /// \[K\]
    pub class_gradient: Vec<Option<f64>>,
    /// Mean over neurons, \[K\]\[B\].
    pub class_density: Vec<Option<Vec<f64>>>,
    /// Pairs of neuron and class whose linear map is zero: all samples are equal to them, and the RPD flat.
    pub zero_signs: usize,
    /// \[N\]\[K\], if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neuron_gradient: Option<Vec<Vec<Option<f64>>>>,
}

/// RPDs of the hidden layers named in the options, over the first `options.limit` samples.
///
/// The samples are ranked by h(l) · sign M(l), with M(l) the linear map from the layer to the logits; `network`
/// is `net` on the host. All samples pass together, because a rank needs all of them: on the device that takes
/// 2·P·N numbers, and one layer's counts; on the host 8·N·K·B bytes for each layer named, until the pass has
/// brought the statistics on which the signs depend. Source: paper A, Sec. II.C and Eq. 4.
///
/// # Errors
/// [`Error::Usage`] without samples, with fewer than two bins, or with a layer that is not hidden.
pub fn rpd<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    options: &Options,
) -> Result<Rpd> {
    let rows = options.rows(samples.len)?;
    let layers = options.layers_of(2..net.spec.output_layer())?;
    let bins = options.bins;
    if bins < 2 {
        return Err(Error::Usage(format!("--bins {bins}: a rank distribution needs two bins or more")));
    }
    let (backend, classes) = (net.backend, net.spec.classes());
    let widest = layers.iter().map(|layer| net.spec.widths[layer - 1]).max().unwrap_or(0);
    let mut mass = backend.zeros::<f64>(widest * classes * bins)?;
    let mut masses = Vec::with_capacity(layers.len());
    let mut evaluator = Evaluator::new(net, options.bn, rows).map_err(at_once)?;
    let visit = |layer: usize, input: &Input<'_, B, R>| {
        let Input::Field { field, .. } = input else { return Ok(()) };
        if layers.contains(&layer) {
            let neurons = net.spec.widths[layer - 1];
            let len = neurons * classes * bins;
            let desc = RankMass { rows, neurons, classes, bins };
            let labels = samples.labels(Rows::From(0));
            backend.rank_mass(desc, field, labels, PartMut::new(&mut mass, 0, len))?;
            masses.push(backend.download(Part::new(&mass, 0, len))?);
        }
        Ok(())
    };
    let start = Start::Samples(samples, Rows::From(0));
    evaluator.pass(&net.params, start, rows, visit).map_err(at_once)?;
    let maps = linear_maps(network, &evaluator.statistics()?);
    let counts = class_counts(&samples.host_labels[..rows], classes);
    let of_layer =
        |(&layer, mass): (&usize, &Vec<f64>)| layer_rpd(layer, mass, &maps[layer - 1], &counts, options);
    Ok(Rpd { bins, layers: layers.iter().zip(&masses).map(of_layer).collect() })
}

/// What to do where the samples do not fit together.
fn at_once(error: Error) -> Error {
    error.advise(|| "ranks need all samples at once: use fewer (--limit, in training probe.limit)".into())
}

/// Samples of each class, [K].
fn class_counts(labels: &[u8], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in labels {
        if let Some(count) = counts.get_mut(usize::from(label)) {
            *count += 1;
        }
    }
    counts
}

/// The RPD of a layer from the class mass [N, K, B] of its fields and the linear map above it.
fn layer_rpd(layer: usize, mass: &[f64], map: &LinearMap, counts: &[usize], options: &Options) -> LayerRpd {
    let (classes, bins) = (counts.len(), options.bins);
    let neurons = map.matrix.len() / classes;
    let mut sums = vec![vec![0.0; bins]; classes];
    let mut gradients = vec![vec![None; classes]; neurons];
    let mut density = vec![0.0; bins];
    for (i, of_neuron) in mass.chunks_exact(classes * bins).enumerate() {
        for (k, of_pair) in of_neuron.chunks_exact(bins).enumerate().filter(|&(k, _)| counts[k] > 0) {
            signed_density(of_pair, counts[k], map.matrix[k * neurons + i], &mut density);
            sums[k].iter_mut().zip(&density).for_each(|(sum, d)| *sum += d);
            if options.detail.per_neuron {
                gradients[i][k] = Some(gradient(&density));
            }
        }
    }
    let mean = |sum: Vec<f64>, count: usize| sum.into_iter().map(|s| s / count as f64).collect::<Vec<f64>>();
    let class_density: Vec<Option<Vec<f64>>> =
        sums.into_iter().zip(counts).map(|(sum, &n)| (n > 0).then(|| mean(sum, neurons))).collect();
    let mut total = vec![0.0; bins];
    for of_class in class_density.iter().flatten() {
        total.iter_mut().zip(of_class).for_each(|(total, d)| *total += d);
    }
    let density = mean(total, class_density.iter().flatten().count());
    LayerRpd {
        layer,
        neurons,
        gradient: gradient(&density),
        density,
        class_gradient: class_density.iter().map(|d| d.as_deref().map(gradient)).collect(),
        class_density,
        zero_signs: map.matrix.iter().filter(|&&m| m == 0.0).count(),
        neuron_gradient: options.detail.per_neuron.then_some(gradients),
    }
}

/// The density of one neuron and class: its `mass` for a positive `sign`, mirrored for a negative one, flat for
/// zero, where all samples are equal.
fn signed_density(mass: &[f64], count: usize, sign: f64, density: &mut [f64]) {
    let scale = mass.len() as f64 / count as f64;
    let bins = density.iter_mut();
    if sign > 0.0 {
        bins.zip(mass).for_each(|(d, m)| *d = m * scale);
    } else if sign < 0.0 {
        bins.zip(mass.iter().rev()).for_each(|(d, m)| *d = m * scale);
    } else {
        bins.for_each(|d| *d = 1.0);
    }
}

/// Minus the least-squares slope of a density against its bin centres in [0, 1].
fn gradient(density: &[f64]) -> f64 {
    let bins = density.len() as f64;
    let (mut product, mut square) = (0.0, 0.0);
    for (b, d) in density.iter().enumerate() {
        let away = (b as f64 + 0.5) / bins - 0.5;
        product += away * d;
        square += away * away;
    }
    -product / square
}
