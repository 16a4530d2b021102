//! The configuration of a training run: TOML, strict, with `--set` overrides.

use crate::backend::{Activation, LossKind, Optimizer, Update};
use crate::data::InputScale;
use crate::error::nearest;
use crate::model::{BnSpec, Init, InitKind, Momentum, RngKind, Spec};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

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
    /// "f32", or "f64" on the CPU.
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

/// When probes measure; the last step is always measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Schedule {
    /// Every so many steps, and step 0.
    Every(u64),
    /// At these steps.
    Steps(Vec<u64>),
    /// "log" (20 a decade, each step at first) or "log:N" (N a decade).
    Log(String),
}

/// A measurement on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Probe {
    /// Accuracy and loss on training and test set, both batch-norm modes.
    Accuracy,
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
        CheckpointConfig { every: 0, keep: 2 }
    }
}

impl Config {
    /// A configuration from TOML text (of `origin`, for messages) and `key=value` overrides.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown key, naming the nearest known one, and for a value of the wrong type.
    pub fn parse(text: &str, origin: &str, sets: &[String]) -> Result<Config> {
        let mut table: Table = text
            .parse()
            .map_err(|e: toml::de::Error| Error::Usage(format!("{origin}: {}", one_line(&e.to_string()))))?;
        for set in sets {
            apply_set(&mut table, set)?;
        }
        check_keys(&table, &known_keys(), "", origin)?;
        serde_path_to_error::deserialize(Value::Table(table)).map_err(|e| {
            let (key, what) = (e.path().to_string(), one_line(&e.into_inner().to_string()));
            Error::Usage(format!("{origin}: {key}: {what}"))
        })
    }

    /// The same as TOML text.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    /// Fills what was left open and checks every value against the data: `samples` of `pixels` pixels in
    /// `classes` classes.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the key.
    pub fn resolve(mut self, samples: usize, pixels: usize, classes: usize) -> Result<Config> {
        let torch = self.init.rng == RngKind::Torch || self.data.order == Order::Torch;
        self.model.bias.get_or_insert(!self.model.bn || torch);
        let (sgd, adamw) = (OptimizerKind::Sgd, OptimizerKind::AdamW);
        self.train.lr.get_or_insert(if self.train.optimizer == sgd { 1e-2 } else { 1e-3 });
        self.train.weight_decay.get_or_insert(if self.train.optimizer == adamw { 0.01 } else { 0.0 });
        let used = if self.data.limit == 0 { samples } else { self.data.limit };
        if used > samples {
            return usage("data.limit", format!("{used} samples are wanted, the training set has {samples}"));
        }
        self.check_model(pixels, classes)?;
        if self.train.batch > used {
            let batch = self.train.batch;
            return usage(
                "train.batch",
                format!("a batch of {batch} is larger than the {used} training samples"),
            );
        }
        let batch = if self.train.batch == 0 { used } else { self.train.batch };
        if self.model.bn && used % batch == 1 {
            return usage(
                "train.batch",
                format!(
                    "{used} samples in batches of {batch} leave a batch of one, which batch norm cannot take"
                ),
            );
        }
        let per_epoch = used.div_ceil(batch) as u64;
        let steps = match (self.train.steps, self.train.epochs) {
            (Some(_), Some(_)) => return usage("train.steps", "give steps or epochs, not both"),
            (Some(steps), None) => steps,
            (None, Some(epochs)) if epochs.is_finite() && epochs >= 0.0 => {
                (epochs * per_epoch as f64).round() as u64
            }
            (None, Some(epochs)) => return usage("train.epochs", format!("{epochs} is no number of epochs")),
            (None, None) => 10 * per_epoch,
        };
        self.train.steps = Some(steps);
        self.train.epochs = None;
        self.check_numbers()?;
        Ok(self)
    }

    fn check_model(&self, pixels: usize, classes: usize) -> Result<()> {
        let widths = &self.model.widths;
        if widths.len() < 2 || widths.contains(&0) {
            return usage(
                "model.widths",
                format!("{widths:?} needs two positive widths or more, input first"),
            );
        }
        if widths[0] != pixels {
            return usage(
                "model.widths",
                format!("begins with {}, but a sample has {pixels} pixels", widths[0]),
            );
        }
        let last = widths[widths.len() - 1];
        if last != classes {
            return usage("model.widths", format!("ends with {last}, but the data has {classes} classes"));
        }
        Ok(())
    }

    fn check_numbers(&self) -> Result<()> {
        let positive = |key, value: f64| match value.is_finite() && value > 0.0 {
            true => Ok(()),
            false => usage(key, format!("{value} is not a positive number")),
        };
        let share = |key, value: f64| match (0.0..1.0).contains(&value) {
            true => Ok(()),
            false => usage(key, format!("{value} is not in [0, 1)")),
        };
        positive("train.lr", self.train.lr.unwrap_or(0.0))?;
        positive("train.eps", self.train.eps)?;
        positive("bn.eps", self.bn.eps)?;
        positive("init.gain", self.init.gain)?;
        positive("init.range", self.init.range)?;
        share("model.dropout", self.model.dropout)?;
        share("train.momentum", self.train.momentum)?;
        share("train.betas", self.train.betas[0])?;
        share("train.betas", self.train.betas[1])?;
        if let MomentumConfig::Fixed(momentum) = self.bn.momentum
            && !(0.0..=1.0).contains(&momentum)
        {
            return usage("bn.momentum", format!("{momentum} is neither in [0, 1] nor \"cumulative\""));
        }
        let decay = self.train.weight_decay.unwrap_or(0.0);
        if !decay.is_finite() || decay < 0.0 {
            return usage("train.weight_decay", format!("{decay} is negative or not a number"));
        }
        if self.probe.bins == 0 {
            return usage("probe.bins", "0 bins");
        }
        if self.probe.trials == 0 {
            return usage("probe.trials", "0 trials");
        }
        if !["f32", "f64"].contains(&self.train.precision.as_str()) {
            let wanted = &self.train.precision;
            return usage("train.precision", format!("'{wanted}' is not offered by the CPU; use f32 or f64"));
        }
        self.input()?;
        self.probe.schedule.per_decade()?;
        Ok(())
    }

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
        self.data.input.parse().or_else(|what| usage("data.input", what))
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

    /// Updates of the whole run; after [`Config::resolve`].
    pub fn steps(&self) -> u64 {
        self.train.steps.unwrap_or(0)
    }
}

impl Schedule {
    /// The steps to measure at, ascending, up to and including `last`.
    pub fn steps(&self, last: u64) -> Vec<u64> {
        let mut steps: Vec<u64> = match self {
            Schedule::Every(every) => (0..=last).step_by((*every).max(1) as usize).collect(),
            Schedule::Steps(steps) => steps.iter().copied().filter(|step| *step <= last).collect(),
            Schedule::Log(_) => {
                let per_decade = self.per_decade().unwrap_or(20.0);
                let decades = (last.max(1) as f64).log10();
                let points = (decades * per_decade).floor() as u64;
                let at = |k: u64| 10f64.powf(k as f64 / per_decade).round() as u64;
                std::iter::once(0).chain((0..=points).map(at)).filter(|step| *step <= last).collect()
            }
        };
        steps.push(last);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    fn per_decade(&self) -> Result<f64> {
        let Schedule::Log(text) = self else { return Ok(20.0) };
        let number = match text.strip_prefix("log") {
            Some("") => Some(20.0),
            Some(rest) => rest.strip_prefix(':').and_then(|n| n.parse().ok()).filter(|n| *n >= 1.0),
            None => None,
        };
        let what =
            || format!("'{text}' is neither \"log\", \"log:N\", a number of steps nor a list of steps");
        number.map_or_else(|| usage("probe.schedule", what()), Ok)
    }
}

fn usage<T>(key: &str, what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Usage(format!("{key}: {what}")))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Every key there is, as a tree: the default with everything optional given.
fn known_keys() -> Table {
    let mut config = Config::default();
    config.model.bias = Some(true);
    config.train.lr = Some(1e-3);
    config.train.weight_decay = Some(0.0);
    config.train.steps = Some(1);
    config.train.epochs = Some(1.0);
    Table::try_from(&config).unwrap_or_default()
}

fn check_keys(given: &Table, known: &Table, path: &str, origin: &str) -> Result<()> {
    for (key, value) in given {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (known.get(key), value) {
            (None, _) => {
                let all = all_keys(&known_keys(), "");
                let hint = nearest(&full, all.iter().map(String::as_str))
                    .map(|near| format!("; did you mean {near}?"))
                    .unwrap_or_default();
                return Err(Error::Usage(format!("{origin}: unknown key {full}{hint}")));
            }
            (Some(Value::Table(inner)), Value::Table(value)) => check_keys(value, inner, &full, origin)?,
            (Some(Value::Table(_)), _) => {
                return Err(Error::Usage(format!("{origin}: {full} is a section, not a value")));
            }
            _ => {}
        }
    }
    Ok(())
}

fn all_keys(table: &Table, path: &str) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, value) in table {
        let full = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(inner) => keys.extend(all_keys(inner, &full)),
            _ => keys.push(full),
        }
    }
    keys
}

/// Applies one `a.b=value`; the value is TOML, or a bare string.
fn apply_set(table: &mut Table, set: &str) -> Result<()> {
    let Some((path, text)) = set.split_once('=') else {
        return Err(Error::Usage(format!("--set {set}: write key=value, for example --set train.lr=0.01")));
    };
    let value = format!("v = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("v"))
        .unwrap_or_else(|| Value::String(text.trim().into()));
    let mut keys: Vec<&str> = path.trim().split('.').collect();
    let last = keys.pop().unwrap_or_default();
    let mut at = table;
    for key in keys {
        let entry = at.entry(key).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(inner) = entry else {
            return Err(Error::Usage(format!("--set {set}: {key} is a value, not a section")));
        };
        at = inner;
    }
    at.insert(last.into(), value);
    Ok(())
}
