//! The configuration of a training run: TOML, strict, with `--set` overrides.

mod parse;
mod resolve;
mod schedule;

pub use schedule::Schedule;

use super::Snapshot;
use crate::Result;
use crate::backend::{Activation, LossKind, Optimizer, Update};
use crate::data::InputScale;
use crate::model::{BnSpec, Init, InitKind, Momentum, RngKind, Spec};
use serde::{Deserialize, Serialize};

/// Everything a run depends on. [`Config::resolve`] fills what was left open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Key of every random number of the run.
    pub seed: u64,
    /// Shape of the network.
    pub model: ModelConfig,
    /// Initial weights.
    pub init: InitConfig,
    /// Batch normalisation.
    pub bn: BnConfig,
    /// Training data.
    pub data: DataConfig,
    /// Optimiser and length.
    pub train: TrainConfig,
    /// Measurements on the way.
    pub probe: ProbeConfig,
    /// Stored states.
    pub checkpoint: CheckpointConfig,
}

/// `[model]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ModelConfig {
    /// Neurons of every layer, input first.
    pub widths: Vec<usize>,
    /// f after hidden layers.
    pub activation: Activation,
    /// Batch normalisation of every hidden layer.
    pub bn: bool,
    /// Biases; left out: on without batch norm, off with it, on with `init.rng` or `data.order` = "torch".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bias: Option<bool>,
    /// Dropout rate after every activation.
    pub dropout: f64,
}

/// `[init]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InitConfig {
    /// "kaiming" or "fixed".
    pub kind: InitKind,
    /// Scales weights and biases.
    pub gain: f64,
    /// Half width of "fixed".
    pub range: f64,
    /// "counter" or "torch".
    pub rng: RngKind,
}

/// `[bn]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BnConfig {
    /// Weight of the new value in the running statistics, or "cumulative".
    pub momentum: MomentumConfig,
    /// ε
    pub eps: f64,
}

/// A number or the word "cumulative".
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MomentumConfig {
    /// α
    Fixed(f64),
    /// Plain average.
    Named(Cumulative),
}

/// The word "cumulative".
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cumulative {
    /// Plain average over all batches so far.
    Cumulative,
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// Known name or folder.
    pub name: String,
    /// "unit", "standardized" or "MEAN,STD".
    pub input: String,
    /// Train on the first so many samples; 0 = all.
    pub limit: usize,
    /// Order of the samples in an epoch.
    pub order: Order,
}

/// Order of the samples in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Shuffled anew each epoch, a function of seed and epoch.
    Counter,
    /// As PyTorch 2.15's `DataLoader(shuffle=True)`, bit for bit.
    Torch,
    /// As in the file.
    File,
}

/// `[train]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// "sgd", "adam" or "adamw".
    pub optimizer: OptimizerKind,
    /// Learning rate; left out: 1e-3, for SGD 1e-2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// Momentum of SGD.
    pub momentum: f64,
    /// β₁, β₂ of Adam.
    pub betas: [f64; 2],
    /// ε of Adam.
    pub eps: f64,
    /// Left out: 0, for AdamW 0.01.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_decay: Option<f64>,
    /// "cross_entropy" or "mse".
    pub loss: LossKind,
    /// Samples of a batch; 0 = all.
    pub batch: usize,
    /// Updates; excludes `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Passes over the data; excludes `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<f64>,
    /// "f32"; "f64" on the CPU; "tf32", "bf16" or "simt" on CUDA.
    pub precision: String,
}

/// Formula of the update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent.
    Sgd,
    /// Adam, decay as L2.
    Adam,
    /// AdamW, decoupled decay.
    AdamW,
}

/// `[probe]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeConfig {
    /// When to measure.
    pub schedule: Schedule,
    /// What to measure.
    pub what: Vec<Probe>,
    /// Bins of rank distributions.
    pub bins: usize,
    /// Noise draws of a basin.
    pub trials: usize,
    /// Amplitudes of the sample-space basin.
    pub sample_amplitudes: Vec<f64>,
    /// Amplitudes of the weight-space basin.
    pub weight_amplitudes: Vec<f64>,
    /// Measure rank distributions and basins on the first so many training samples; 0 = all.
    pub limit: usize,
}

/// A measurement on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Accuracy and loss on training and test set, both batch-norm modes.
    Accuracy,
    /// The same on the test set alone.
    TestAccuracy,
    /// Rank probability distributions of all hidden layers.
    Rpd,
    /// Basin in sample space.
    BasinSample,
    /// Basin in weight space.
    BasinWeight,
    /// L-map pruning curve on the test set.
    Lmap,
    /// Linear perceptron on the test set.
    Lp,
    /// Class geometry.
    Geometry,
    /// Weight norms.
    Norms,
}

/// `[checkpoint]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Steps between stored states; 0 = only at the end and when stopped.
    pub every: u64,
    /// How many of the newest to keep.
    pub keep: usize,
    /// Moments whose network is kept beside them: "best", "memorised", "last", "step-N".
    pub snapshots: Vec<Snapshot>,
}

impl Default for Config {
    /// A small deep network on MNIST; what `netdyn train` does without a file.
    fn default() -> Self {
        Config {
            seed: 0,
            model: ModelConfig::default(),
            init: InitConfig::default(),
            bn: BnConfig::default(),
            data: DataConfig::default(),
            train: TrainConfig::default(),
            probe: ProbeConfig::default(),
            checkpoint: CheckpointConfig::default(),
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        let widths = vec![784, 200, 200, 10];
        ModelConfig { widths, activation: Activation::Relu, bn: true, bias: None, dropout: 0.0 }
    }
}

impl Default for InitConfig {
    fn default() -> Self {
        InitConfig { kind: InitKind::Kaiming, gain: 1.0, range: 0.05, rng: RngKind::Counter }
    }
}

impl Default for BnConfig {
    fn default() -> Self {
        BnConfig { momentum: MomentumConfig::Fixed(0.1), eps: 1e-5 }
    }
}

impl Default for DataConfig {
    fn default() -> Self {
        DataConfig { name: "mnist".into(), input: "unit".into(), limit: 0, order: Order::Counter }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            optimizer: OptimizerKind::Adam,
            lr: None,
            momentum: 0.0,
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: None,
            loss: LossKind::CrossEntropy,
            batch: 1000,
            steps: None,
            epochs: None,
            precision: "f32".into(),
        }
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        ProbeConfig {
            schedule: Schedule::Log("log".into()),
            what: vec![Probe::Accuracy],
            bins: 100,
            trials: 3,
            sample_amplitudes: vec![0.05, 0.1, 0.2, 0.4, 0.8],
            weight_amplitudes: vec![0.1, 0.2, 0.4, 0.8, 1.6],
            limit: 0,
        }
    }
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        CheckpointConfig { every: 0, keep: 2, snapshots: vec![] }
    }
}

impl Config {
    /// Shape of the network; after [`Config::resolve`].
    pub fn spec(&self) -> Spec {
        let linears = self.model.widths.len() - 1;
        let momentum = match self.bn.momentum {
            MomentumConfig::Fixed(momentum) => Momentum::Fixed(momentum),
            MomentumConfig::Named(Cumulative::Cumulative) => Momentum::Cumulative,
        };
        Spec {
            widths: self.model.widths.clone(),
            activation: self.model.activation,
            bias: vec![self.model.bias.unwrap_or(true); linears],
            norm: (0..linears).map(|i| self.model.bn && i + 1 < linears).collect(),
            bn: BnSpec { eps: self.bn.eps, momentum },
            dropout: self.model.dropout,
        }
    }

    /// Initial weights.
    pub fn init(&self) -> Init {
        let InitConfig { kind, gain, range, rng } = self.init;
        Init { kind, gain, range, rng }
    }

    /// Input range of the network.
    pub fn input(&self) -> Result<InputScale> {
        self.data.input.parse().or_else(|what| resolve::usage("data.input", what))
    }

    /// The update of step 1; after [`Config::resolve`].
    pub fn update(&self) -> Update {
        let TrainConfig { momentum, betas, eps, .. } = self.train;
        Update {
            optimizer: match self.train.optimizer {
                OptimizerKind::Sgd => Optimizer::Sgd { momentum },
                OptimizerKind::Adam => Optimizer::Adam { betas, eps },
                OptimizerKind::AdamW => Optimizer::AdamW { betas, eps },
            },
            lr: self.train.lr.unwrap_or(1e-3),
            weight_decay: self.train.weight_decay.unwrap_or(0.0),
            step: 1,
        }
    }

    /// The steps at which the run is measured, ascending; after [`Config::resolve`].
    pub fn probed(&self) -> Vec<u64> {
        let snapshots = self.checkpoint.snapshots.iter().filter_map(|snapshot| match snapshot {
            Snapshot::Step(step) => Some(*step),
            _ => None,
        });
        let mut steps = self.probe.schedule.steps(self.steps());
        steps.extend(snapshots.filter(|step| *step <= self.steps()));
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// Updates of the whole run; after [`Config::resolve`].
    pub fn steps(&self) -> u64 {
        self.train.steps.unwrap_or(0)
    }
}
