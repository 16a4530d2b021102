//! Samples in the plane in which the output layer sees them best, and how training and test samples lie there.

use super::plane::Plane;
use super::{Options, linalg};
use crate::backend::{Backend, Part, PartMut, Predict, Real, Rows};
use crate::data::Split;
use crate::model::{Evaluator, Net, Network, Samples, Start};
use crate::{Error, Result};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Samples in two dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    /// One pair for each sample.
    pub coordinates: Vec<[f64; 2]>,
    /// Its label.
    pub labels: Vec<u8>,
    /// Its predicted class.
    pub predicted: Vec<u8>,
}

/// x(L−1) · V of those of the first `options.limit` samples that belong to the classes named in the options, in
/// file order. V are the two leading right-singular vectors of W(L), with their entry of largest magnitude positive.
/// Source: paper A, Figs. 6 and 7(c–f).
///
/// `network` is `net` on the host. In batch mode the statistics are those of all the samples, drawn or not.
///
/// # Errors
/// [`Error::Usage`] without samples, for a class that does not exist, or if W(L) has fewer than two rows or columns.
pub fn project<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    options: &Options,
) -> Result<Projection> {
    let (backend, len) = (net.backend, options.rows(samples.len)?);
    let drawn = options.classes_of(samples.classes.max(net.spec.classes()))?;
    let last = net.spec.output_layer() - 1;
    let chunk = Evaluator::chunk(net, options.bn, len);
    let mut evaluator = Evaluator::new(net, options.bn, chunk)?;
    let features = net.spec.widths[last - 1];
    let axes = leading_two(network)?;
    let mut plane = Plane::<B, R, 2>::new(backend, &axes, &vec![0.0; features], chunk)?;
    let mut classes = backend.zeros::<u8>(chunk)?;
    let mut projection = Projection { coordinates: vec![], labels: vec![], predicted: vec![] };
    for first in (0..len).step_by(chunk) {
        let rows = chunk.min(len - first);
        let mut coordinates = Vec::new();
        let start = Start::Samples(samples, Rows::From(first));
        evaluator.pass(&net.params, start, rows, |layer, input| {
            if layer == last {
                coordinates = plane.coordinates(backend, input, rows)?;
            }
            Ok(())
        })?;
        let desc = Predict { rows, classes: net.spec.classes() };
        backend.predict(desc, evaluator.logits(rows), PartMut::new(&mut classes, 0, rows))?;
        let predicted = backend.download(Part::new(&classes, 0, rows))?;
        let labels = &samples.host_labels[first..first + rows];
        for ((&label, at), class) in labels.iter().zip(coordinates).zip(predicted) {
            if drawn.binary_search(&usize::from(label)).is_ok() {
                projection.coordinates.push(at);
                projection.labels.push(label);
                projection.predicted.push(class);
            }
        }
    }
    Ok(projection)
}

/// The two leading right-singular vectors of W(L), one after the other.
fn leading_two(network: &Network) -> Result<Vec<f64>> {
    let layer = network.spec.output_layer();
    let (rows, cols) = (network.spec.classes(), network.spec.widths[layer - 2]);
    if rows.min(cols) < 2 {
        let what =
            format!("the output layer has {rows} x {cols} weights; a plane needs two rows and two columns");
        return Err(Error::Usage(what));
    }
    Ok(linalg::leading_right_singular_vectors(rows, cols, network.weight(layer), 2)?.concat())
}

/// How the test samples of a class lie among the training samples of a projection.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionOverlap {
    /// Label.
    pub class: u8,
    /// Share of its test points whose nearest training point, of all drawn classes, has their own class.
    pub overlap: Option<f64>,
    /// Distance of its training and test centres in units of the training points' standard deviation (root mean
    /// square distance to their centre).
    pub centre_distance: Option<f64>,
}

/// Region overlap of two projections with the same network, for every class that either has. Source: paper A, Sec. V.B.
pub fn region_overlap(train: &Projection, test: &Projection) -> Vec<RegionOverlap> {
    let at_home: Vec<bool> = test
        .coordinates
        .par_iter()
        .zip(&test.labels)
        .map(|(at, label)| {
            let nearest = |best: (f64, Option<u8>), (other, &class): (&[f64; 2], &u8)| {
                let distance = square(at, other);
                if distance < best.0 { (distance, Some(class)) } else { best }
            };
            let candidates = train.coordinates.iter().zip(&train.labels);
            candidates.fold((f64::INFINITY, None), nearest).1 == Some(*label)
        })
        .collect();
    let mut classes: Vec<u8> = train.labels.iter().chain(&test.labels).copied().collect();
    classes.sort_unstable();
    classes.dedup();
    let of_class = |class| {
        let own = test.labels.iter().zip(&at_home).filter(|(label, _)| **label == class);
        let (count, hits) = own.fold((0, 0), |(count, hits), (_, &home)| (count + 1, hits + u32::from(home)));
        let both = centre(train, class).zip(centre(test, class));
        RegionOverlap {
            class,
            overlap: (count > 0).then(|| f64::from(hits) / f64::from(count)),
            centre_distance: both
                .map(|((train, spread), (test, _))| square(&train, &test).sqrt() / spread)
                .filter(|distance| distance.is_finite()),
        }
    };
    classes.into_iter().map(of_class).collect()
}

/// Mean of the points of a class, and the root of their mean square distance to it.
fn centre(projection: &Projection, class: u8) -> Option<([f64; 2], f64)> {
    let points: Vec<[f64; 2]> = projection
        .coordinates
        .iter()
        .zip(&projection.labels)
        .filter(|(_, label)| **label == class)
        .map(|(at, _)| *at)
        .collect();
    let count = points.len() as f64;
    let mean = [0, 1].map(|d| points.iter().map(|at| at[d]).sum::<f64>() / count);
    let spread = (points.iter().map(|at| square(at, &mean)).sum::<f64>() / count).sqrt();
    (!points.is_empty()).then_some((mean, spread))
}

fn square(a: &[f64; 2], b: &[f64; 2]) -> f64 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// Root mean square pixel difference, in units of [0, 1], of a test sample to the nearest training sample of its
/// class: median over the test samples whose class has training samples; none if there are none. Source: paper A,
/// Sec. V.B.
///
/// On the bytes themselves, so exact.
pub fn test_train_distance(train: &Split, test: &Split) -> Option<f64> {
    let mut by_class: Vec<Vec<&[u8]>> = vec![Vec::new(); 256];
    for (image, &label) in train.images.chunks_exact(train.pixels).zip(&train.labels) {
        by_class[usize::from(label)].push(image);
    }
    let mut nearest: Vec<u64> = test
        .images
        .par_chunks_exact(test.pixels)
        .zip(&test.labels)
        .filter_map(|(image, &label)| {
            by_class[usize::from(label)].iter().map(|other| squares(image, other)).min()
        })
        .collect();
    nearest.sort_unstable();
    let rms = |sum: u64| (sum as f64 / test.pixels as f64).sqrt() / 255.0;
    let middle = nearest.len() / 2;
    match nearest.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(rms(nearest[middle])),
        _ => Some((rms(nearest[middle - 1]) + rms(nearest[middle])) / 2.0),
    }
}

/// Sum of squared differences of two images.
fn squares(a: &[u8], b: &[u8]) -> u64 {
    // Blocks short enough for a 32-bit sum, which vectorises.
    let block = |(a, b): (&[u8], &[u8])| -> i32 {
        a.iter().zip(b).map(|(&a, &b)| (i32::from(a) - i32::from(b)).pow(2)).sum()
    };
    a.chunks(4096).zip(b.chunks(4096)).map(|pair| block(pair) as u64).sum()
}
