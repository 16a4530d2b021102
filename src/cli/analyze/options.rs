//! The options of a measurement, and how a network file is to be read.

use super::What;
use crate::analysis::{AMPLITUDES, Detail, Options, Scaling, Space, Threshold};
use crate::backend::Activation;
use crate::data::{InputScale, Which};
use crate::model::BnMode;
use crate::model::file::ReadOptions;
use clap::Args;
use std::str::FromStr;

/// What a network file may leave open.
#[derive(Args, Debug)]
#[command(next_help_heading = "Reading network files")]
pub struct Reading {
    /// Activation of the hidden layers, where the file does not say.
    #[arg(long)]
    activation: Option<Activation>,
    /// Input range the network was trained on, where the file does not say: unit, standardized or MEAN,STD.
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true)]
    input: Option<InputScale>,
    /// Names of the linear layers from the input on, where several orders fit.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    layer_order: Option<Vec<String>>,
    /// Layer of every batch norm in the order of their names, where several fit; the first hidden layer is 2.
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    bn_layers: Option<Vec<usize>>,
}

impl Reading {
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            activation: self.activation,
            input: self.input,
            layer_order: self.layer_order.clone(),
            bn_layers: self.bn_layers.clone(),
        }
    }
}

/// What is measured, and on what.
#[derive(Args, Debug)]
#[command(next_help_heading = "Measurement")]
pub struct Measuring {
    /// Samples to measure on [default: train for rpd, basin, geometry, cones, phase, else test].
    #[arg(long)]
    pub split: Option<Which>,
    /// Use the first so many samples only.
    #[arg(long, value_name = "P")]
    limit: Option<usize>,
    /// Statistics of the batch norms: the stored ones, or those of the measured samples.
    #[arg(long, default_value = "eval")]
    pub bn: BnMode,
}

impl Measuring {
    /// Everything else as it is by default.
    pub fn options(&self, seed: Option<u64>) -> Options {
        Options { bn: self.bn, limit: self.limit, seed: seed.unwrap_or(0), ..Options::default() }
    }
}

/// Choices that concern single analyses.
#[derive(Args, Debug)]
#[command(next_help_heading = "Single analyses")]
pub struct Details {
    /// Bins of rank distributions, 2 to 10000 [default: 100].
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u16).range(2..=10_000))]
    bins: Option<u16>,
    /// Report these layers only (rpd, lmap, lp, geometry); the first hidden layer is 2.
    #[arg(long, value_name = "LAYER,…", value_delimiter = ',')]
    layers: Option<Vec<usize>>,
    /// Report these classes only (project, cones, and basin with --per-class).
    #[arg(long, value_name = "CLASS,…", value_delimiter = ',')]
    classes: Option<Vec<usize>>,
    /// Where the noise of a basin acts [default: sample].
    #[arg(long)]
    space: Option<Space>,
    /// Noise amplitudes of basins and cones [default: 0 to 1.5 in twelve steps].
    #[arg(long, value_name = "A,…", value_delimiter = ',', allow_hyphen_values = true)]
    amplitudes: Option<Vec<f64>>,
    /// Noise draws for each amplitude [default: 10].
    #[arg(long, value_name = "T")]
    trials: Option<usize>,
    /// Accuracy at which a basin ends, or relative: half of that without noise [default: 0.5].
    #[arg(long, value_name = "A|relative")]
    threshold: Option<Threshold>,
    /// Do not scale weight noise by the spread of each matrix.
    #[arg(long)]
    absolute: bool,
    /// Rank gradients of every neuron too.
    #[arg(long)]
    per_neuron: bool,
    /// Basins of every class too.
    #[arg(long)]
    per_class: bool,
    /// Basins of every sample too.
    #[arg(long)]
    per_sample: bool,
}

impl Details {
    /// `options` with these choices.
    pub fn options(&self, options: Options) -> Options {
        Options {
            bins: self.bins.map_or(options.bins, usize::from),
            layers: self.layers.clone(),
            classes: self.classes.clone(),
            space: self.space.unwrap_or(options.space),
            amplitudes: self.amplitudes.clone().unwrap_or_else(|| AMPLITUDES.to_vec()),
            trials: self.trials.unwrap_or(options.trials),
            threshold: self.threshold.unwrap_or(options.threshold),
            scaling: if self.absolute { Scaling::Absolute } else { Scaling::Standardized },
            detail: Detail {
                per_neuron: self.per_neuron,
                per_class: self.per_class,
                per_sample: self.per_sample,
            },
            ..options
        }
    }

    /// The options given that none of the analyses `what` reads.
    pub fn without_effect(&self, what: &[What]) -> Vec<&'static str> {
        let weight = self.space == Some(Space::Weight);
        let given: [(&str, bool, &[What]); 11] = [
            ("--bins", self.bins.is_some(), &[What::Rpd, What::Phase]),
            ("--layers", self.layers.is_some(), &[What::Rpd, What::Lmap, What::Lp, What::Geometry]),
            ("--classes", self.classes.is_some() && !self.per_class, &[What::Project, What::Cones]),
            ("--space", self.space.is_some(), &[What::Basin]),
            ("--amplitudes", self.amplitudes.is_some(), &[What::Basin, What::Cones]),
            ("--trials", self.trials.is_some(), &[What::Basin, What::Cones]),
            ("--threshold", self.threshold.is_some(), &[What::Basin]),
            ("--absolute", self.absolute, if weight { &[What::Basin] } else { &[] }),
            ("--per-neuron", self.per_neuron, &[What::Rpd]),
            ("--per-class", self.per_class, &[What::Basin]),
            ("--per-sample", self.per_sample, &[What::Basin]),
        ];
        let unread = given.iter().filter(|(_, given, by)| *given && !by.iter().any(|by| what.contains(by)));
        unread.map(|(option, ..)| *option).collect()
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("relative", _) => Ok(Threshold::Relative),
            (_, Ok(level)) if level > 0.0 && level <= 1.0 => Ok(Threshold::Accuracy(level)),
            _ => Err("use an accuracy above 0 and up to 1, or relative".into()),
        }
    }
}
