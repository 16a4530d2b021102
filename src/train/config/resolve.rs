//! What a configuration leaves open, filled; and every value checked.

use super::{Config, MomentumConfig, OptimizerKind, Order, Probe};
use crate::backend::PRECISIONS;
use crate::model::RngKind;
use crate::train::Snapshot;
use crate::{Error, Result};

impl Config {
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
        let measured = |probes: &[Probe]| self.probe.what.iter().any(|probe| probes.contains(probe));
        let lacking = self.checkpoint.snapshots.iter().find(|snapshot| match snapshot {
            Snapshot::Best => !measured(&[Probe::Accuracy, Probe::TestAccuracy]),
            Snapshot::Memorised => !measured(&[Probe::Accuracy]),
            Snapshot::Last | Snapshot::Step(_) => false,
        });
        if let Some(snapshot) = lacking {
            let what = format!(
                "\"{snapshot}\" is judged by a probe that is not there: add \"accuracy\" to probe.what"
            );
            return usage("checkpoint.snapshots", what);
        }
        if !PRECISIONS.contains(&self.train.precision.as_str()) {
            let known = PRECISIONS.join(", ");
            return usage("train.precision", format!("'{}' is none of {known}", self.train.precision));
        }
        self.input()?;
        self.probe.schedule.per_decade()?;
        Ok(())
    }
}

pub(super) fn usage<T>(key: &str, what: impl std::fmt::Display) -> Result<T> {
    Err(Error::Usage(format!("{key}: {what}")))
}
