//! Pruning: a network whose last layers are one linear layer.

use super::lmap::{Cut, accuracies, statistics};
use super::{LinearMap, Options, linear_maps, perceptrons};
use crate::backend::{Backend, Part, Real, Rows};
use crate::error::{Error, Result};
use crate::model::{BnMode, Evaluator, Layout, Net, Network, Samples, Spec, Start, outcome};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Where the linear layer comes from.
pub enum Method<'a, B: Backend> {
    /// From the weights that it replaces: the L-map.
    Lmap,
    /// From a least-squares fit on these samples: the LP.
    Lp {
        /// All of them, or the first `options.limit`.
        fit: &'a Samples<B>,
    },
}

impl<B: Backend> Clone for Method<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for Method<'_, B> {}

/// From which layer on a network is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PruneFrom {
    /// The earliest that loses at most this much accuracy.
    Loss(f64),
    /// This one, 2…L−1, whatever it loses.
    Layer(usize),
}

/// A pruned network, and what pruning cost and brought.
#[derive(Clone, Debug, PartialEq)]
pub struct Pruned {
    /// Layers 2…`from`−1 as they were, then the linear layer to the classes, its numbers rounded to f32 as they
    /// stand in a file. Without any hidden layer if `from` is 2.
    pub network: Network,
    /// What can be said about it.
    pub summary: PruneSummary,
}

/// What pruning cost and brought.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PruneSummary {
    /// The first layer replaced.
    pub from: usize,
    /// The whole network.
    pub before: Cost,
    /// The pruned network.
    pub after: Cost,
}

/// A network's accuracy and price.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// On the measured samples.
    pub accuracy: f64,
    /// Weights, biases, γ and β.
    pub parameters: usize,
    /// Wall time of a forward pass over the measured samples, per sample; the best of three.
    pub seconds_per_sample: f64,
}

/// Replaces layers l…L of a network by one linear layer, from the earliest l at which `samples` lose little
/// enough accuracy, or from a given one.
///
/// The L-map is measured on the first `options.limit` samples, the LP fitted on so many and measured on all. In
/// batch mode the L-map holds the statistics of the measured set. Source: paper A, Sec. II.C, Fig. 3(h).
///
/// # Errors
/// [`Error::Usage`] without samples or for a layer that is not hidden; [`Error::Failed`] if every layer loses more
/// than allowed, or the map leaves the range of f32.
pub fn prune<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    method: Method<'_, B>,
    from: PruneFrom,
    samples: &Samples<B>,
    options: &Options,
) -> Result<Pruned> {
    let hidden = 2..net.spec.output_layer();
    let layers: Vec<usize> = match from {
        PruneFrom::Loss(_) => hidden.collect(),
        PruneFrom::Layer(layer) if hidden.contains(&layer) => vec![layer],
        PruneFrom::Layer(layer) => {
            let last = net.spec.output_layer() - 1;
            let what = format!("--from {layer}: not a hidden layer; they are numbered from 2 to {last}");
            return Err(Error::Usage(what));
        }
    };
    let (rows, maps) = match method {
        Method::Lmap => {
            let rows = options.rows(samples.len)?;
            let maps = linear_maps(network, &statistics(net, network, samples, rows, options.bn)?);
            (rows, layers.iter().map(|layer| maps[layer - 2].clone()).collect())
        }
        Method::Lp { fit } => {
            let rows = Options { limit: None, ..options.clone() }.rows(samples.len)?;
            (rows, perceptrons(net, fit, &layers, options)?)
        }
    };
    let cuts: Vec<Cut> = layers.iter().zip(maps).map(|(&layer, map)| Cut { layer, map }).collect();
    let (unpruned, accuracies) = accuracies(net, samples, rows, options.bn, &cuts)?;
    let allowed = match from {
        // Accuracies are shares of the samples: less than half a sample is rounding.
        PruneFrom::Loss(loss) => loss + 0.5 / rows as f64,
        PruneFrom::Layer(_) => f64::INFINITY,
    };
    for (cut, _) in cuts.iter().zip(&accuracies).filter(|(_, accuracy)| unpruned - *accuracy <= allowed) {
        let pruned = pruned(network, cut.layer, &cut.map)?;
        let small = Net::<B, R>::new(net.backend, &pruned)?;
        let after = cost(&small, samples, rows, options.bn)?;
        // Rounding the map to f32 may turn ties, so the network itself has the last word.
        if unpruned - after.accuracy <= allowed {
            let before = cost(net, samples, rows, options.bn)?;
            return Ok(Pruned { network: pruned, summary: PruneSummary { from: cut.layer, before, after } });
        }
    }
    Err(nothing_to_prune(&layers, unpruned, &accuracies))
}

fn nothing_to_prune(layers: &[usize], unpruned: f64, accuracies: &[f64]) -> Error {
    let best = layers.iter().zip(accuracies).max_by(|a, b| a.1.total_cmp(b.1));
    Error::Failed(match best {
        None => "the network has no hidden layer, so there is nothing to prune".into(),
        Some((layer, accuracy)) => format!(
            "no layer can be pruned within the allowed loss: from layer {layer}, the best, accuracy falls from \
             {unpruned:.4} to {accuracy:.4}; allow a loss of {:.4} with --max-loss, or name a layer with --from",
            unpruned - accuracy
        ),
    })
}

/// `network` with layers `from`…L replaced by `map`, which acts on x(from − 1).
fn pruned(network: &Network, from: usize, map: &LinearMap) -> Result<Network> {
    let (old, kept) = (&network.spec, from - 2);
    let spec = Spec {
        widths: [&old.widths[..=kept], &[old.classes()]].concat(),
        bias: [&old.bias[..kept], &[true]].concat(),
        norm: [&old.norm[..kept], &[false]].concat(),
        ..old.clone()
    };
    let mut params = network.params[..network.layout().layers[kept].weight.start].to_vec();
    params.extend(map.matrix.iter().chain(&map.offset).map(|&value| f64::from(value as f32)));
    if params.iter().any(|value| !value.is_finite()) {
        let what =
            format!("the linear map from layer {from} on leaves the range of f32; prune from a later one");
        return Err(Error::Failed(what));
    }
    let running = network.running[..Layout::of(&spec).stats].to_vec();
    Ok(Network { spec, params, running, input: network.input, step: network.step, config: None })
}

fn cost<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    rows: usize,
    bn: BnMode,
) -> Result<Cost> {
    let chunk = Evaluator::chunk(net, bn, rows);
    let mut evaluator = Evaluator::new(net, bn, chunk)?;
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let start = Instant::now();
        for first in (0..rows).step_by(chunk) {
            let at = Start::Samples(samples, Rows::From(first));
            evaluator.forward(&net.params, at, chunk.min(rows - first))?;
        }
        let logits = evaluator.logits(1);
        net.backend.download(Part::new(logits.buf, logits.span.start, 1))?; // waits for the device
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(Cost {
        accuracy: outcome(net, samples, rows, bn)?.accuracy(&samples.host_labels[..rows]),
        parameters: net.layout.params,
        seconds_per_sample: best / rows as f64,
    })
}
