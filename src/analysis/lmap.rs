//! The linear substitution map: a network whose last activations are replaced by the identity.

use super::Options;
use crate::Result;
use crate::backend::{Backend, Linear, Part, PartMut, Predict, Real, Rows};
use crate::model::{BnMode, Evaluator, Net, Network, Samples, Start};
use serde::{Deserialize, Serialize};

/// An affine map from the output x(l) of a layer to the logits: `logits = x(l) Mᵀ + c`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearMap {
    /// M, row-major [K, N_l].
    pub matrix: Vec<f64>,
    /// c, \[K\].
    pub offset: Vec<f64>,
}

/// Accuracy against the layer from which a network is pruned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PruningCurve {
    /// Accuracy of the whole network.
    pub unpruned: f64,
    /// In ascending order.
    pub layers: Vec<PrunedAccuracy>,
}

/// Accuracy with layers `layer`…L replaced by one linear map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrunedAccuracy {
    /// The first layer replaced, 2…L−1.
    pub layer: usize,
    /// With biases and batch-norm shifts.
    pub accuracy: f64,
    /// Without any bias or batch-norm shift of the layers replaced (L-map only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_matrix_only: Option<f64>,
}

/// L-map pruning accuracy from each layer named in the options, on the first `options.limit` samples.
///
/// `network` is `net` on the host. One forward pass and a small product per layer; in batch mode one pass more
/// before it, for the statistics of the set. Source: paper A, Sec. II.C, Eqs. 2 and 4, Fig. 3(h).
///
/// # Errors
/// [`Error::Usage`](crate::Error::Usage) without samples or with a layer that is not hidden.
pub fn lmap<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    options: &Options,
) -> Result<PruningCurve> {
    let rows = options.rows(samples.len)?;
    let layers = options.layers_of(2..net.spec.output_layer())?;
    let maps = linear_maps(network, &statistics(net, network, samples, rows, options.bn)?);
    let mut cuts = Vec::with_capacity(2 * layers.len());
    for &layer in &layers {
        let full = maps[layer - 2].clone();
        let bare = LinearMap { matrix: full.matrix.clone(), offset: vec![0.0; full.offset.len()] };
        cuts.extend([Cut { layer, map: full }, Cut { layer, map: bare }]);
    }
    let (unpruned, accuracies) = accuracies(net, samples, rows, options.bn, &cuts)?;
    let of_layer = |(&layer, pair): (&usize, &[f64])| PrunedAccuracy {
        layer,
        accuracy: pair[0],
        accuracy_matrix_only: Some(pair[1]),
    };
    Ok(PruningCurve {
        unpruned,
        layers: layers.iter().zip(accuracies.chunks_exact(2)).map(of_layer).collect(),
    })
}

/// The L-maps of a network from x(l) to the logits, l = 1…L−1 (index l−1), in f64:
///
/// `M(l) = W(L) · D(L−1)W(L−1) ··· D(l+1)W(l+1)` with `D = diag(γ/√(σ² + ε))`, and c(l) of the biases and
/// the shifts β − γμ/√(σ² + ε).
///
/// `statistics` are those of the batch norms, by [`Layout`](crate::model::Layout): the running ones, or those of
/// an evaluated set. Source: paper A, Eqs. 2 and 4.
pub fn linear_maps(network: &Network, statistics: &[f64]) -> Vec<LinearMap> {
    let (spec, layout, params) = (&network.spec, network.layout(), &network.params);
    let mut map = LinearMap { matrix: identity(spec.classes()), offset: vec![0.0; spec.classes()] };
    let mut maps = Vec::with_capacity(spec.linears());
    for spans in layout.layers.iter().rev() {
        let (weight, outputs) = (&params[spans.weight.range()], map.matrix.len() / spec.classes());
        let mut scale = vec![1.0; outputs];
        let mut shift = spans.bias.map_or_else(|| vec![0.0; outputs], |bias| params[bias.range()].to_vec());
        if let Some((norm, [mean, var])) = spans.norm.zip(spans.stats) {
            let (gamma, beta) = (&params[norm.gamma.range()], &params[norm.beta.range()]);
            let (mean, var) = (&statistics[mean.range()], &statistics[var.range()]);
            for j in 0..outputs {
                scale[j] = gamma[j] / (var[j] + spec.bn.eps).sqrt();
                shift[j] = scale[j] * (shift[j] - mean[j]) + beta[j];
            }
        }
        map = map.after(weight, &scale, &shift);
        maps.push(map.clone());
    }
    maps.reverse();
    maps
}

fn identity(size: usize) -> Vec<f64> {
    (0..size * size).map(|i| if i / size == i % size { 1.0 } else { 0.0 }).collect()
}

impl LinearMap {
    /// This map after `h = scale ⊙ (W x) + shift`, W [outputs, inputs].
    fn after(&self, weight: &[f64], scale: &[f64], shift: &[f64]) -> LinearMap {
        let (outputs, mut offset) = (scale.len(), self.offset.clone());
        let inputs = weight.len() / outputs;
        let mut matrix = vec![0.0; self.offset.len() * inputs];
        for (j, row) in weight.chunks_exact(inputs).enumerate() {
            for (k, out) in matrix.chunks_exact_mut(inputs).enumerate() {
                let above = self.matrix[k * outputs + j];
                let factor = above * scale[j];
                out.iter_mut().zip(row).for_each(|(out, w)| *out += factor * w);
                offset[k] += above * shift[j];
            }
        }
        LinearMap { matrix, offset }
    }

    /// Matrix and offset in `R`, both times the power of two that brings the largest entry near 1.
    ///
    /// A positive factor changes no prediction, and the maps of deep networks can leave the range of f32.
    fn for_prediction<R: Real>(&self) -> [Vec<R>; 2] {
        let largest = self.matrix.iter().chain(&self.offset).fold(0.0_f64, |top, v| top.max(v.abs()));
        let factor = if largest > 0.0 { (-largest.log2().floor()).min(1000.0).exp2() } else { 1.0 };
        [&self.matrix, &self.offset].map(|part| part.iter().map(|v| R::of(v * factor)).collect())
    }
}

/// Batch-norm statistics on which the first `rows` samples are evaluated, by
/// [`Layout`](crate::model::Layout).
pub(super) fn statistics<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    rows: usize,
    bn: BnMode,
) -> Result<Vec<f64>> {
    if bn == BnMode::Eval || !net.spec.has_norm() {
        return Ok(network.running.clone());
    }
    let mut evaluator = Evaluator::new(net, bn, rows)?;
    evaluator.forward(&net.params, Start::Samples(samples, Rows::From(0)), rows)?;
    evaluator.statistics()
}

/// Layers `layer`…L replaced by a map of x(layer−1).
pub(super) struct Cut {
    pub layer: usize,
    pub map: LinearMap,
}

/// Accuracy of the network on its first `rows` samples, and with each of the cuts, from one pass.
pub(super) fn accuracies<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    rows: usize,
    bn: BnMode,
    cuts: &[Cut],
) -> Result<(f64, Vec<f64>)> {
    let (backend, classes) = (net.backend, net.spec.classes());
    let chunk = Evaluator::chunk(net, bn, rows);
    let mut evaluator = Evaluator::new(net, bn, chunk)?;
    let mut maps = Vec::with_capacity(cuts.len());
    for cut in cuts {
        let [matrix, offset] = cut.map.for_prediction::<R>();
        maps.push((cut.layer, backend.upload(&matrix)?, backend.upload(&offset)?));
    }
    let mut logits = backend.zeros::<R>(chunk * classes)?;
    // Predictions of every cut and of the network itself, so that the host waits once per chunk.
    let mut predicted = backend.zeros::<u8>((cuts.len() + 1) * chunk)?;
    let mut right = vec![0_usize; cuts.len() + 1];
    for first in (0..rows).step_by(chunk) {
        let count = chunk.min(rows - first);
        let desc = Predict { rows: count, classes };
        evaluator.pass(&net.params, Start::Samples(samples, Rows::From(first)), count, |below, input| {
            let here = maps.iter().enumerate().filter(|(_, (layer, ..))| *layer == below + 1);
            for (at, (_, matrix, offset)) in here {
                let inputs = net.spec.widths[below - 1];
                let linear = Linear { rows: count, inputs, outputs: classes };
                let weight = Part::new(matrix, 0, inputs * classes);
                let bias = Some(Part::new(offset, 0, classes));
                let z = PartMut::new(&mut logits, 0, count * classes);
                backend.linear(linear, input, weight, bias, z, None, None)?;
                let out = PartMut::new(&mut predicted, at * count, count);
                backend.predict(desc, Part::new(&logits, 0, count * classes), out)?;
            }
            Ok(())
        })?;
        let own = PartMut::new(&mut predicted, cuts.len() * count, count);
        backend.predict(desc, evaluator.logits(count), own)?;
        let all = backend.download(Part::new(&predicted, 0, (cuts.len() + 1) * count))?;
        let labels = &samples.host_labels[first..first + count];
        for (right, predicted) in right.iter_mut().zip(all.chunks_exact(count)) {
            *right += predicted.iter().zip(labels).filter(|(p, y)| p == y).count();
        }
    }
    let share = |&right: &usize| right as f64 / rows as f64;
    Ok((share(&right[cuts.len()]), right[..cuts.len()].iter().map(share).collect()))
}
