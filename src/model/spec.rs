//! The shape of a network and where its parameters stand.

use crate::backend::{Activation, NormSpans, Span};

/// α of the running statistics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Momentum {
    /// Weight of the new value (PyTorch's `momentum`; paper A, Eq. 3).
    Fixed(f64),
    /// Plain average over all batches so far (PyTorch's `momentum=None`).
    Cumulative,
}

/// Batch normalisation of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BnSpec {
    /// ε under the square root.
    pub eps: f64,
    /// α
    pub momentum: Momentum,
}

/// Shape of a fully connected network. Layers are numbered as in paper A: the input is layer 1, the first
/// hidden layer 2, the output L. Index i of a vector below belongs to the matrix W(i+2).
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Neurons of layers 1…L.
    pub widths: Vec<usize>,
    /// f after every hidden layer.
    pub activation: Activation,
    /// Whether linear layer i has a bias, [L−1].
    pub bias: Vec<bool>,
    /// Whether hidden layer i+2 is batch-normalised, [L−1]; the last (the output) never is.
    pub norm: Vec<bool>,
    /// Constants of the batch norms.
    pub bn: BnSpec,
    /// Dropout rate after every activation, in training only.
    pub dropout: f64,
}

impl Spec {
    /// Number of weight matrices, L − 1.
    pub fn linears(&self) -> usize {
        self.widths.len() - 1
    }

    /// L, the number of the output layer.
    pub fn output_layer(&self) -> usize {
        self.widths.len()
    }

    /// Neurons of the input.
    pub fn inputs(&self) -> usize {
        self.widths[0]
    }

    /// K, neurons of the output.
    pub fn classes(&self) -> usize {
        self.widths[self.widths.len() - 1]
    }

    /// Whether any layer is batch-normalised.
    pub fn has_norm(&self) -> bool {
        self.norm.contains(&true)
    }

    /// `784-512-512-10`, with runs of equal hidden widths as `784-512x2-10`.
    pub fn shape(&self) -> String {
        let mut parts: Vec<(usize, usize)> = Vec::new();
        for (i, &width) in self.widths.iter().enumerate() {
            match parts.last_mut() {
                Some((last, count)) if *last == width && i + 1 < self.widths.len() && i > 1 => *count += 1,
                _ => parts.push((width, 1)),
            }
        }
        let part = |&(width, count): &(usize, usize)| {
            if count == 1 { width.to_string() } else { format!("{width}x{count}") }
        };
        parts.iter().map(part).collect::<Vec<_>>().join("-")
    }
}

/// Where one linear layer and its batch norm stand in the flat buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpans {
    /// W, [outputs, inputs], in the parameters.
    pub weight: Span,
    /// b, in the parameters.
    pub bias: Option<Span>,
    /// γ and β, in the parameters.
    pub norm: Option<NormSpans>,
    /// Mean and variance, in the statistics.
    pub stats: Option<[Span; 2]>,
}

/// All parameters of a network in one flat buffer, all its batch-norm statistics in another.
///
/// Order: layer by layer, weight, bias, γ, β; statistics: mean, variance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// One per linear layer.
    pub layers: Vec<LayerSpans>,
    /// Length of the parameter buffer.
    pub params: usize,
    /// Length of the statistics buffer.
    pub stats: usize,
}

impl Layout {
    /// The layout of a shape.
    pub fn of(spec: &Spec) -> Layout {
        let (mut params, mut stats) = (0, 0);
        let take = |at: &mut usize, len: usize| {
            *at += len;
            Span { start: *at - len, len }
        };
        let layers = (0..spec.linears())
            .map(|i| {
                let (inputs, outputs) = (spec.widths[i], spec.widths[i + 1]);
                LayerSpans {
                    weight: take(&mut params, inputs * outputs),
                    bias: spec.bias[i].then(|| take(&mut params, outputs)),
                    norm: spec.norm[i].then(|| NormSpans {
                        gamma: take(&mut params, outputs),
                        beta: take(&mut params, outputs),
                    }),
                    stats: spec.norm[i].then(|| [take(&mut stats, outputs), take(&mut stats, outputs)]),
                }
            })
            .collect();
        Layout { layers, params, stats }
    }

    /// Layer number and name of the tensor that holds element `index` of the parameters.
    pub fn name_of(&self, index: usize) -> (usize, &'static str) {
        for (i, layer) in self.layers.iter().enumerate() {
            let gamma = layer.norm.map(|norm| norm.gamma);
            let beta = layer.norm.map(|norm| norm.beta);
            let named =
                [(Some(layer.weight), "weight"), (layer.bias, "bias"), (gamma, "gamma"), (beta, "beta")];
            for (span, name) in named {
                if span.is_some_and(|span| span.range().contains(&index)) {
                    return (i + 2, name);
                }
            }
        }
        (self.layers.len() + 1, "parameters")
    }
}
