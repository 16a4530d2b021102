//! Descriptions of the operations: what to compute, shared by every backend.

use serde::{Deserialize, Serialize};

/// A run of elements: first and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First element.
    pub start: usize,
    /// Number of elements.
    pub len: usize,
}

impl Span {
    /// The same as a range.
    pub fn range(self) -> std::ops::Range<usize> {
        self.start..self.start + self.len
    }
}

/// Where γ and β (or their gradients) of one batch norm stand in a flat buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NormSpans {
    /// γ
    pub gamma: Span,
    /// β
    pub beta: Span,
}

/// The nonlinearity f after a hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, h)
    Relu,
    /// tanh h
    Tanh,
    /// h: a linear network.
    Identity,
    /// exp(−h²), non-monotonic (paper A, Sec. II.B).
    Gaussian,
    /// h if positive, else 0.01 h.
    LeakyRelu,
    /// 1/(1 + exp(−h))
    Sigmoid,
    /// h Φ(h), exact.
    Gelu,
}

/// Inverted dropout after the activation: the mask is Philox4x32-10 of (row, column/4, step, stream).
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    /// Share of activations set to zero; the others are divided by 1 − rate.
    pub rate: f64,
    /// Key.
    pub seed: u64,
    /// Third counter word.
    pub step: u32,
    /// Fourth counter word: one per layer.
    pub stream: u32,
}

/// `z = x Wᵀ + b`.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Samples.
    pub rows: usize,
    /// Columns of x and of W.
    pub inputs: usize,
    /// Columns of z, rows of W.
    pub outputs: usize,
}

/// A run of layers in evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Samples.
    pub rows: usize,
    /// Columns of the first layer's x.
    pub inputs: usize,
    /// f of every layer but the last.
    pub activation: Activation,
}

/// Statistics of a batch norm.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    /// Samples behind mean and variance.
    pub rows: usize,
    /// Neurons.
    pub features: usize,
    /// ε
    pub eps: f64,
    /// α, the weight of the new value in the running statistics.
    pub momentum: f64,
}

/// Kind of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossKind {
    /// Softmax cross-entropy, mean over the batch.
    CrossEntropy,
    /// Squared difference to one-hot targets, mean over batch and classes.
    Mse,
}

/// Loss over a batch.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// What to compute.
    pub kind: LossKind,
    /// Samples.
    pub rows: usize,
    /// Logits of a sample.
    pub classes: usize,
}

/// Gradients of one layer; spans point into the flat parameter buffer and its gradient.
#[derive(Clone, Copy, Debug)]
pub struct LinearBackward {
    /// Samples.
    pub rows: usize,
    /// Columns of x.
    pub inputs: usize,
    /// Columns of z.
    pub outputs: usize,
    /// W
    pub weight: Span,
    /// b
    pub bias: Option<Span>,
    /// γ and β of the layer below, if it is normalised.
    pub below_norm: Option<NormSpans>,
}

/// Optimiser with its hyper-parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// `g += decay·p; buf = momentum·buf + g` (first step: `buf = g`)`; p −= lr·buf`.
    Sgd {
        /// 0: plain gradient descent.
        momentum: f64,
    },
    /// Adam; decay is added to the gradient.
    Adam {
        /// β₁, β₂
        betas: [f64; 2],
        /// Added outside the square root, after bias correction.
        eps: f64,
    },
    /// AdamW; parameters shrink by `1 − lr·decay` first.
    AdamW {
        /// β₁, β₂
        betas: [f64; 2],
        /// Added outside the square root, after bias correction.
        eps: f64,
    },
}

/// One optimiser step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Update {
    /// Formula.
    pub optimizer: Optimizer,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay, on every parameter as in PyTorch.
    pub weight_decay: f64,
    /// Number of this step, from 1.
    pub step: u64,
}

/// Largest logit per row.
#[derive(Clone, Copy, Debug)]
pub struct Predict {
    /// Samples.
    pub rows: usize,
    /// Logits of a sample, at most 256.
    pub classes: usize,
}

/// Write out an input.
#[derive(Clone, Copy, Debug)]
pub struct Activate {
    /// Samples.
    pub rows: usize,
    /// Columns.
    pub features: usize,
}

/// Counter-based normals.
#[derive(Clone, Copy, Debug)]
pub struct Normals {
    /// Rows of the output.
    pub rows: usize,
    /// Columns of the output.
    pub cols: usize,
    /// Key.
    pub seed: u64,
    /// Third counter word.
    pub trial: u32,
    /// Fourth counter word: 0 = sample space, l = weight matrix W(l).
    pub stream: u32,
}

/// Class mass by rank.
#[derive(Clone, Copy, Debug)]
pub struct RankMass {
    /// Samples.
    pub rows: usize,
    /// Columns of the field.
    pub neurons: usize,
    /// Classes.
    pub classes: usize,
    /// Bins of the normalised rank axis.
    pub bins: usize,
}

/// Sums or cosines by class.
#[derive(Clone, Copy, Debug)]
pub struct ClassSums {
    /// Samples.
    pub rows: usize,
    /// Columns of the input.
    pub features: usize,
    /// Classes.
    pub classes: usize,
}

/// Centred normal equations.
#[derive(Clone, Copy, Debug)]
pub struct Gram {
    /// Samples.
    pub rows: usize,
    /// Columns of the input.
    pub features: usize,
    /// Columns of the targets.
    pub targets: usize,
}
