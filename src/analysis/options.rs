//! What a user may choose about an analysis, and the frame around every result.

use crate::error::{Error, Result};
use crate::model::BnMode;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Choices common to the analyses; each reads those that concern it.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Statistics of the batch norms.
    pub bn: BnMode,
    /// Use the first so many samples of the split.
    pub limit: Option<usize>,
    /// Key of all noise.
    pub seed: u64,
    /// B, bins of the rank axis.
    pub bins: usize,
    /// Layers to report, by number; all if none are named.
    pub layers: Option<Vec<usize>>,
    /// Classes to report; all if none are named.
    pub classes: Option<Vec<usize>>,
    /// Where the noise of a basin acts.
    pub space: Space,
    /// Noise amplitudes of a basin curve.
    pub amplitudes: Vec<f64>,
    /// T, independent noise draws per amplitude.
    pub trials: usize,
    /// Accuracy at which a basin ends.
    pub threshold: Threshold,
    /// How weight noise is scaled.
    pub scaling: Scaling,
    /// What is reported beside the whole.
    pub detail: Detail,
}

impl Options {
    /// How many samples of a set of `available` take part.
    ///
    /// # Errors
    /// [`Error::Usage`] if that is none: every measure is a share of the samples.
    pub fn rows(&self, available: usize) -> Result<usize> {
        match self.limit.unwrap_or(available).min(available) {
            0 => Err(Error::Usage(
                "there is no sample to analyse: choose a split that is not empty, --limit 1 or more".into(),
            )),
            rows => Ok(rows),
        }
    }

    /// Those of the layers `all` that the user named, or all of them, in ascending order.
    ///
    /// # Errors
    /// [`Error::Usage`] for a layer that is not among `all`.
    pub fn layers_of(&self, all: Range<usize>) -> Result<Vec<usize>> {
        let Some(named) = &self.layers else { return Ok(all.collect()) };
        if let Some(layer) = named.iter().find(|layer| !all.contains(layer)) {
            let known = all.map(|layer| layer.to_string()).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none" } else { &known };
            return Err(Error::Usage(format!("--layers {layer}: this analysis knows the layers {known}")));
        }
        Ok(all.filter(|layer| named.contains(layer)).collect())
    }

    /// Those of `count` classes that the user named, or all of them, in ascending order.
    ///
    /// # Errors
    /// [`Error::Usage`] for a class that does not exist.
    pub fn classes_of(&self, count: usize) -> Result<Vec<usize>> {
        let Some(named) = &self.classes else { return Ok((0..count).collect()) };
        if let Some(class) = named.iter().find(|&&class| class >= count) {
            let known = format!("this network's classes are 0 to {}", count - 1);
            return Err(Error::Usage(format!("--classes {class}: {known}")));
        }
        Ok((0..count).filter(|class| named.contains(class)).collect())
    }
}

/// Where the noise of an attraction basin acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// On the pixels, in units of the [0, 1] range.
    Sample,
    /// On every weight matrix.
    Weight,
}

/// The accuracy through which a basin's edge is defined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// This accuracy (paper A: 0.5).
    Accuracy(f64),
    /// Half of the noise-free accuracy (paper B).
    Relative,
}

/// Scale of weight noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scaling {
    /// W' = W + σ·std(W)·ξ, matrix by matrix.
    Standardized,
    /// W' = W + σ·ξ (paper B mentions it).
    Absolute,
}

/// Optional parts of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Detail {
    /// RPD gradients of every neuron.
    pub per_neuron: bool,
    /// Basin curves and sizes of every class.
    pub per_class: bool,
    /// Basin size of every sample.
    pub per_sample: bool,
}

/// Hears how far a long analysis has come: steps done, and steps known so far (more may turn out to be needed).
pub type Progress<'a> = dyn FnMut(usize, usize) + Send + 'a;

/// A [`Progress`] nobody listens to.
pub fn no_progress(_done: usize, _total: usize) {}

/// The amplitudes of a basin curve where the user names none.
pub const AMPLITUDES: [f64; 12] = [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5];

impl Default for Options {
    fn default() -> Self {
        Options {
            bn: BnMode::Eval,
            limit: None,
            seed: 0,
            bins: 100,
            layers: None,
            classes: None,
            space: Space::Sample,
            amplitudes: AMPLITUDES.to_vec(),
            trials: 10,
            threshold: Threshold::Accuracy(0.5),
            scaling: Scaling::Standardized,
            detail: Detail::default(),
        }
    }
}
