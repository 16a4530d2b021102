//! The linear perceptron: the best linear substitute for the last layers of a network.

use super::lmap::{Cut, accuracies};
use super::{LinearMap, Options, PrunedAccuracy, PruningCurve, linalg};
use crate::Result;
use crate::backend::{Backend, ClassSums, Gram, Input, Part, PartMut, Real, Rows};
use crate::model::{Evaluator, Net, Samples, Start};

/// Singular values of the centred features below this share of the largest are dropped.
const SMALLEST_SINGULAR_VALUE: f64 = 1e-5;

/// LP pruning accuracy from each layer named in the options: perceptrons fitted on `fit`, measured on all of
/// `measure`.
///
/// `options.limit` bounds the fit. In batch mode each set is evaluated with its own batch-norm statistics: a fit
/// with those of the fitted samples, the measurement with those of the measured ones. Source: paper B, Sec. II.C
/// ("LP"), Figs. 2(a, b) and 3(a).
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) without samples or with a layer that is not hidden;
/// [`Error::Failed`](crate::Error::Failed) if a decomposition does not converge.
pub fn lp<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    fit: &Samples<B>,
    measure: &Samples<B>,
    options: &Options,
) -> Result<PruningCurve> {
    let layers = options.layers_of(2..net.spec.output_layer())?;
    let measured = Options { limit: None, ..options.clone() }.rows(measure.len)?;
    let maps = perceptrons(net, fit, &layers, options)?;
    let cuts: Vec<Cut> = layers.iter().zip(maps).map(|(&layer, map)| Cut { layer, map }).collect();
    let (unpruned, accuracies) = accuracies(net, measure, measured, options.bn, &cuts)?;
    let of_layer = |(&layer, accuracy)| PrunedAccuracy { layer, accuracy, accuracy_matrix_only: None };
    Ok(PruningCurve { unpruned, layers: layers.iter().zip(accuracies).map(of_layer).collect() })
}

/// For each of `layers`, ascending, the least-squares map from x(layer−1) of the first `options.limit` samples
/// to the network's own logits: of minimum norm, features and logits centred by their means, in f64.
///
/// All samples pass together, once for the logits and once for the features: on the device 2·P·N numbers.
///
/// # Errors
/// As [`lp`].
pub fn perceptrons<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    fit: &Samples<B>,
    layers: &[usize],
    options: &Options,
) -> Result<Vec<LinearMap>> {
    fitted(net, fit, layers, options).map_err(|error| {
        error.advise(|| {
            "a fit takes all its samples at once: use fewer (--limit, in training probe.limit)".into()
        })
    })
}

fn fitted<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    fit: &Samples<B>,
    layers: &[usize],
    options: &Options,
) -> Result<Vec<LinearMap>> {
    let (backend, classes, rows) = (net.backend, net.spec.classes(), options.rows(fit.len)?);
    let all = Start::Samples(fit, Rows::From(0));
    let mut evaluator = Evaluator::new(net, options.bn, rows)?;
    evaluator.forward(&net.params, all, rows)?;
    let host = backend.download(evaluator.logits(rows))?;
    let logits = backend.upload(&host)?; // the second pass overwrites its own
    let mut logit_mean = vec![0.0; classes];
    for row in host.chunks_exact(classes) {
        logit_mean.iter_mut().zip(row).for_each(|(sum, logit)| *sum += logit.wide());
    }
    logit_mean.iter_mut().for_each(|sum| *sum /= rows as f64);

    let mut maps = Vec::with_capacity(layers.len());
    evaluator.pass(&net.params, all, rows, |below, input| {
        if !layers.contains(&(below + 1)) {
            return Ok(());
        }
        let features = net.spec.widths[below - 1];
        let mut centre = means(backend, fit, rows, features, input)?;
        centre.extend(&logit_mean);
        let desc = Gram { rows, features, targets: classes };
        let len = features * (features + classes);
        let mut products = backend.zeros::<f64>(len)?;
        let centre_there = backend.upload(&centre)?;
        backend.gram(
            desc,
            input,
            Part::new(&logits, 0, rows * classes),
            Part::new(&centre_there, 0, centre.len()),
            PartMut::new(&mut products, 0, len),
        )?;
        maps.push(solve(&backend.download(Part::new(&products, 0, len))?, &centre, classes)?);
        Ok(())
    })?;
    Ok(maps)
}

/// Means of the columns of `input` over the first `rows` samples, in f64.
fn means<B: Backend, R: Real>(
    backend: &B,
    samples: &Samples<B>,
    rows: usize,
    features: usize,
    input: &Input<'_, B, R>,
) -> Result<Vec<f64>> {
    let desc = ClassSums { rows, features, classes: samples.classes };
    let len = samples.classes * features;
    let mut sums = backend.zeros::<f64>(len)?;
    let labels = samples.labels(Rows::From(0));
    backend.class_sums(desc, input, labels, PartMut::new(&mut sums, 0, len))?;
    let mut means = vec![0.0; features];
    for of_class in backend.download(Part::new(&sums, 0, len))?.chunks_exact(features) {
        means.iter_mut().zip(of_class).for_each(|(mean, sum)| *mean += sum / rows as f64);
    }
    Ok(means)
}

/// The minimum-norm solution of the centred normal equations `products` [features, features + targets], with the
/// intercept that restores the means `centre` [features + targets].
fn solve(products: &[f64], centre: &[f64], targets: usize) -> Result<LinearMap> {
    let features = centre.len() - targets;
    let rows = || products.chunks_exact(features + targets);
    let gram: Vec<f64> = rows().flat_map(|row| &row[..features]).copied().collect();
    let (values, vectors) = linalg::symmetric_eigen(features, &gram)?;
    // Eigenvalues of the Gram matrix are squares of the features' singular values.
    let largest = values.iter().copied().fold(0.0, f64::max);
    let cut = SMALLEST_SINGULAR_VALUE * SMALLEST_SINGULAR_VALUE * largest;
    let mut matrix = vec![0.0; targets * features];
    let kept = vectors.iter().zip(&values).filter(|&(_, &v)| v > 0.0 && v >= cut);
    for (vector, value) in kept {
        let mut along = vec![0.0; targets];
        for (row, v) in rows().zip(vector) {
            along.iter_mut().zip(&row[features..]).for_each(|(along, cross)| *along += cross * v);
        }
        for (weights, along) in matrix.chunks_exact_mut(features).zip(&along) {
            let factor = along / value;
            weights.iter_mut().zip(vector).for_each(|(weight, v)| *weight += factor * v);
        }
    }
    let (means, target_means) = centre.split_at(features);
    let through = |weights: &[f64]| weights.iter().zip(means).map(|(w, m)| w * m).sum::<f64>();
    let offset = matrix.chunks_exact(features).zip(target_means).map(|(w, mean)| mean - through(w)).collect();
    Ok(LinearMap { matrix, offset })
}
