//! Weight norms.

use crate::model::Network;
use serde::{Deserialize, Serialize};

/// Frobenius norms of a network's weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Norms {
    /// Of all weight matrices together, without biases and batch norms.
    pub total: f64,
    /// Of W(2)…W(L), one by one.
    pub layers: Vec<f64>,
    /// Of all weight matrices and biases together, as Omnigrok has it.
    pub with_biases: f64,
}

/// Weight norms of a network. Source: paper A, Fig. 7(g).
pub fn norms(network: &Network) -> Norms {
    let squares = |range: std::ops::Range<usize>| network.params[range].iter().map(|w| w * w).sum::<f64>();
    let layout = network.layout();
    let weights: Vec<f64> = layout.layers.iter().map(|layer| squares(layer.weight.range())).collect();
    let biases: f64 = layout.layers.iter().filter_map(|layer| layer.bias).map(|b| squares(b.range())).sum();
    let total: f64 = weights.iter().sum();
    Norms {
        total: total.sqrt(),
        layers: weights.into_iter().map(f64::sqrt).collect(),
        with_biases: (total + biases).sqrt(),
    }
}
