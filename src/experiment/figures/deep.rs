//! Deep networks with batch norm, and the runs of them that several families draw.
//!
//! The papers are silent on loss, bias, input range and length; here: cross-entropy, no biases (batch norm has its
//! shift), pixels in [0, 1], PyTorch's default initial weights. At quick scale the first 6,000 training samples and
//! narrower layers; batches keep their share of the data.

use super::Setting;
use crate::Result;
use crate::backend::{Activation, LossKind};
use crate::experiment::{Plan, Scale};
use crate::train::{
    CheckpointConfig, Config, DataConfig, ModelConfig, MomentumConfig, OptimizerKind, Probe, ProbeConfig,
    Schedule, Snapshot, TrainConfig,
};

/// Training samples at quick scale.
pub const QUICK_SAMPLES: usize = 6_000;

/// `depth` layers, input and output counted, of `width` neurons with batch norm and ReLU; Adam 1e-3 on full batches;
/// accuracy and rank distributions at 12 probes a decade; snapshots at the best test accuracy, before grokking and at
/// the end. Families change what they vary.
pub fn deep(setting: &Setting, depth: usize, width: usize, steps: u64) -> Config {
    let hidden = std::iter::repeat_n(width, depth - 2);
    let widths = std::iter::once(setting.pixels).chain(hidden).chain([setting.classes]).collect();
    Config {
        model: ModelConfig {
            widths,
            activation: Activation::Relu,
            bn: true,
            bias: Some(false),
            dropout: 0.0,
        },
        data: DataConfig {
            limit: setting.pick(QUICK_SAMPLES.min(setting.samples), 0),
            ..DataConfig::default()
        },
        train: TrainConfig {
            optimizer: OptimizerKind::Adam,
            lr: Some(1e-3),
            loss: LossKind::CrossEntropy,
            batch: 0,
            steps: Some(steps),
            ..TrainConfig::default()
        },
        probe: ProbeConfig {
            schedule: Schedule::Log("log:12".into()),
            what: vec![Probe::Accuracy, Probe::Rpd],
            ..ProbeConfig::default()
        },
        checkpoint: CheckpointConfig {
            every: 500,
            keep: 1,
            snapshots: vec![Snapshot::Best, Snapshot::Memorised, Snapshot::Last],
        },
        ..Config::default()
    }
}

/// The step of the early snapshots of [`fig3`].
pub const EARLY: u64 = 10;

/// Steps of all snapshots of [`fig3`] but the last.
pub const STAGES: [u64; 5] = [1, 3, EARLY, 30, 100];

/// Probes a decade where grokking shows at few steps.
const DENSE: &str = "log:16";

/// A run of Fig. 3 of paper A: (a) to (g).
///
/// Rates: where paper A is silent, 1e-3 for Adam; for (g) 3e-3, since at 1e-3 its layers learn so slowly that the
/// running statistics have caught up before 90 % of the training set is learnt. At quick scale the layers of (a) to (f)
/// are a quarter as wide; SGD at the lower rate then runs at four times the paper's, since an update moves the logits in
/// proportion to rate times width. The higher rate is kept: four times as much makes the narrow network unstable.
pub fn fig3(setting: &Setting, panel: char) -> Result<Plan> {
    let width = setting.pick(128, 512);
    let [batch, third] = [0, setting.share_of_batch(1.0 / 3.0)];
    let (adam, sgd) = (OptimizerKind::Adam, OptimizerKind::Sgd);
    let (relu, linear) = (Activation::Relu, Activation::Identity);
    let [slow, fast] = [setting.pick(0.12, 0.03), 0.37];
    let (depth, width, activation, optimizer, lr, batch, steps) = match panel {
        'a' => (10, width, relu, sgd, slow, batch, setting.pick(200, 20_000)),
        'b' => (10, width, relu, sgd, fast, batch, setting.pick(150, 10_000)),
        'c' => (10, width, linear, sgd, slow, batch, setting.pick(150, 10_000)),
        'd' => (10, width, relu, adam, 1e-3, batch, setting.pick(150, 5_000)),
        'e' => (10, width, relu, adam, 1e-3, third, setting.pick(200, 10_000)),
        'f' => (10, width, linear, adam, 1e-3, batch, setting.pick(150, 5_000)),
        _ => (23, 128, relu, adam, 3e-3, setting.share_of_batch(0.5), setting.pick(300, 10_000)),
    };
    let mut config = deep(setting, depth, width, steps);
    config.model.activation = activation;
    config.train = TrainConfig { optimizer, lr: Some(lr), batch, ..config.train };
    config.probe.schedule = Schedule::Log(DENSE.into());
    config.checkpoint.snapshots.extend(STAGES.map(Snapshot::Step));
    setting.run(format!("a3{panel}"), &config)
}

/// Width of the hidden layers of [`deepest`] and of the sweeps over nets of ten layers.
pub fn wide(setting: &Setting) -> usize {
    setting.pick(128, 1_024)
}

/// The nets of paper B's Fig. 3: `depth` layers, Adam on full batches. At quick scale the layers are an eighth as wide
/// and the rate is three times the full one: initial weights are of order 1/√width, so that an update then changes
/// them by about the same part of their size.
pub fn deepest(setting: &Setting, depth: usize) -> Result<Plan> {
    let mut config = deep(setting, depth, wide(setting), setting.pick(150, 5_000));
    config.train.lr = Some(setting.pick(3e-3, 1e-3));
    config.probe.schedule = Schedule::Log(DENSE.into());
    config.checkpoint.snapshots.push(Snapshot::Step(EARLY));
    setting.run(format!("b3-{depth}"), &config)
}

/// What quick scale makes smaller in these runs.
pub fn scaled_down(setting: &Setting) -> String {
    let mut parts = Vec::new();
    if setting.scale == Scale::Quick {
        parts.push(format!("{} training samples", setting.deep_samples()));
    }
    if !setting.sets.is_empty() {
        parts.push(format!("changed by {}", setting.sets.join(", ")));
    }
    parts.join("; ")
}

/// The same behind what else quick scale changes.
pub fn scaled_down_by(setting: &Setting, also: &str) -> String {
    match setting.scale {
        Scale::Quick => format!("{also}; {}", scaled_down(setting)),
        Scale::Full => scaled_down(setting),
    }
}

/// What [`fig3`] changes at quick scale in this panel.
pub fn narrower(panel: char) -> &'static str {
    match panel {
        'a' | 'c' => "width 128 instead of 512, rate 0.12 instead of 0.03, fewer updates",
        'b' => "width 128 instead of 512, fewer updates; (a), compared with, at rate 0.12 instead of 0.03",
        'g' => "fewer updates",
        _ => "width 128 instead of 512, fewer updates",
    }
}

/// What [`deepest`] changes at quick scale.
pub const NARROWEST: &str =
    "width 128 at rate 3e-3 instead of 1,024 at 1e-3, and 150 instead of 5,000 updates";

/// The setting of a run in words, read off its configuration so that no number can differ from it.
pub fn describe(config: &Config) -> String {
    let activation = match config.model.activation {
        Activation::Relu => "ReLU",
        Activation::Identity => "linear activation f(h) = h",
        _ => "another activation",
    };
    let batch = match config.train.batch {
        0 => "full batches".into(),
        batch => format!("batches of {batch}"),
    };
    let samples = match config.data.limit {
        0 => "all training samples".into(),
        limit => format!("the first {limit} training samples"),
    };
    let average = match config.bn.momentum {
        MomentumConfig::Fixed(weight) => {
            format!("the newest batch has weight {weight} in the running statistics")
        }
        MomentumConfig::Named(_) => "running statistics are plain averages over all batches so far".into(),
    };
    format!(
        "{}, {activation}, batch norm ({average}), no biases; initial weights U(±1/√fan_in); {:?}, rate {}, {batch}, \
         cross-entropy, {} updates; pixels in [0, 1]; {samples}; rank distributions with 100 bins over them",
        config.spec().shape(),
        config.train.optimizer,
        config.train.lr.unwrap_or_default(),
        config.steps(),
    )
}
