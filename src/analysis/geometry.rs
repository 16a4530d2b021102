//! How the samples of a class lie around their centre, and the centres to each other.

use super::Options;
use crate::Result;
use crate::backend::{Backend, ClassSums, Part, PartMut, Real, Rows};
use crate::model::{Evaluator, Net, Samples, Start};
use serde::{Deserialize, Serialize};

/// Class geometry of the layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Geometry {
    /// In ascending order.
    pub layers: Vec<LayerGeometry>,
}

/// Class geometry of x(l).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerGeometry {
    /// l, 1 for the input.
    pub layer: usize,
    /// 1 − cosine of a sample with the centre of its class, mean over all samples.
    pub within_cosine_distance: f64,
    /// Mean cosine over the unordered pairs of class centres; none with fewer than two classes.
    pub between_cosine_similarity: Option<f64>,
    /// The within-class distance class by class, \[K\]; none for a class without samples.
    pub per_class: Vec<Option<f64>>,
}

/// Centres and distances of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerDistances {
    /// l, 1 for the input.
    pub layer: usize,
    /// Mean of x(l) over each class; none for a class without samples.
    pub centres: Vec<Option<Vec<f64>>>,
    /// 1 − cosine of each sample with the centre of its class.
    pub distances: Vec<f64>,
}

/// Class geometry of x(l), l = 1…L−1, of the first `options.limit` samples. Source: paper B, Fig. 3(c).
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) without samples or with a layer that does not exist.
pub fn geometry<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    options: &Options,
) -> Result<Geometry> {
    let layers = distances(net, samples, options)?;
    Ok(Geometry { layers: layers.iter().map(|layer| summary(layer, &samples.host_labels)).collect() })
}

/// Class centres, and the distance of every sample to its own, behind [`geometry`]: a class centre is the mean of
/// its x(l), neither of unit vectors nor centred; a zero vector has cosine 0.
///
/// # Errors
/// As [`geometry`].
pub fn distances<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    options: &Options,
) -> Result<Vec<LayerDistances>> {
    let (backend, len) = (net.backend, options.rows(samples.len)?);
    let layers = options.layers_of(1..net.spec.output_layer())?;
    let classes = samples.classes.max(net.spec.classes());
    let width = |layer: usize| net.spec.widths[layer - 1];
    let chunk = Evaluator::chunk(net, options.bn, len);
    let mut evaluator = Evaluator::new(net, options.bn, chunk)?;

    let mut sums: Vec<B::Buf<f64>> =
        layers.iter().map(|&layer| backend.zeros(classes * width(layer))).collect::<Result<_>>()?;
    for first in (0..len).step_by(chunk) {
        let rows = chunk.min(len - first);
        let start = Start::Samples(samples, Rows::From(first));
        evaluator.pass(&net.params, start, rows, |layer, input| {
            let Ok(at) = layers.binary_search(&layer) else { return Ok(()) };
            let desc = ClassSums { rows, features: width(layer), classes };
            let sums = PartMut::new(&mut sums[at], 0, classes * width(layer));
            backend.class_sums(desc, input, samples.labels(Rows::From(first)), sums)
        })?;
    }

    let mut count = vec![0; classes];
    samples.host_labels[..len].iter().for_each(|&label| count[usize::from(label)] += 1);
    let mut centres = Vec::with_capacity(layers.len());
    let mut all = Vec::with_capacity(layers.len());
    for (&layer, sums) in layers.iter().zip(&sums) {
        let mut host = backend.download(Part::new(sums, 0, classes * width(layer)))?;
        for (centre, &count) in host.chunks_exact_mut(width(layer)).zip(&count) {
            centre.iter_mut().for_each(|sum| *sum /= f64::max(f64::from(count), 1.0));
        }
        centres.push(backend.upload(&host)?);
        let present = host.chunks_exact(width(layer)).zip(&count);
        let present = present.map(|(centre, &count)| (count > 0).then(|| centre.to_vec())).collect();
        all.push(LayerDistances { layer, centres: present, distances: Vec::with_capacity(len) });
    }

    let mut cosines = backend.zeros::<f64>(chunk)?;
    for first in (0..len).step_by(chunk) {
        let rows = chunk.min(len - first);
        let start = Start::Samples(samples, Rows::From(first));
        evaluator.pass(&net.params, start, rows, |layer, input| {
            let Ok(at) = layers.binary_search(&layer) else { return Ok(()) };
            let desc = ClassSums { rows, features: width(layer), classes };
            let centres = Part::new(&centres[at], 0, classes * width(layer));
            let labels = samples.labels(Rows::From(first));
            backend.class_cosines(desc, input, labels, centres, PartMut::new(&mut cosines, 0, rows))?;
            let host = backend.download(Part::new(&cosines, 0, rows))?;
            all[at].distances.extend(host.iter().map(|cosine| 1.0 - cosine));
            Ok(())
        })?;
    }
    Ok(all)
}

/// Means over samples, in file order, and over pairs of centres.
fn summary(of: &LayerDistances, labels: &[u8]) -> LayerGeometry {
    let mut sums = vec![(0.0, 0); of.centres.len()];
    for (distance, &label) in of.distances.iter().zip(labels) {
        let (sum, count) = &mut sums[usize::from(label)];
        *sum += distance;
        *count += 1;
    }
    let centres: Vec<&Vec<f64>> = of.centres.iter().flatten().collect();
    let pairs: Vec<f64> = centres
        .iter()
        .enumerate()
        .flat_map(|(i, a)| centres[i + 1..].iter().map(move |b| cosine(a, b)))
        .collect();
    LayerGeometry {
        layer: of.layer,
        within_cosine_distance: of.distances.iter().sum::<f64>() / of.distances.len() as f64,
        between_cosine_similarity: (!pairs.is_empty())
            .then(|| pairs.iter().sum::<f64>() / pairs.len() as f64),
        per_class: sums.iter().map(|&(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect(),
    }
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = dot(a, a).sqrt() * dot(b, b).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}
