//! The learning phase of a snapshot: how the RPD gradients change from layer to layer.

use super::{Options, Rpd, rpd};
use crate::Result;
use crate::backend::{Backend, Real};
use crate::model::{Net, Network, Samples};
use serde::{Deserialize, Serialize};

/// Which layers do the sorting (paper A, Sec. IV.A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// No layer ranks its classes yet.
    #[serde(rename = "none")]
    Unsorted,
    /// Gradients fall with depth.
    I,
    /// Gradients rise with depth.
    II,
    /// Gradients are level but for the last layers.
    III,
    /// None of these.
    #[serde(rename = "mixed")]
    Mixed,
}

/// The phase of a snapshot with the gradients it was judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearningPhase {
    /// None below three hidden layers.
    pub phase: Option<Phase>,
    /// RPD gradients of layers 2…L−1.
    pub gradients: Vec<f64>,
}

impl LearningPhase {
    /// From the RPDs of all hidden layers.
    pub fn of(rpd: &Rpd) -> Self {
        let gradients: Vec<f64> = rpd.layers.iter().map(|layer| layer.gradient).collect();
        LearningPhase { phase: phase(&gradients), gradients }
    }
}

/// The learning phase of a network, from the RPDs of all its hidden layers, whichever the options name.
///
/// # Errors
/// As [`rpd`].
pub fn learning_phase<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    network: &Network,
    samples: &Samples<B>,
    options: &Options,
) -> Result<LearningPhase> {
    let options = Options { layers: None, ..options.clone() };
    Ok(LearningPhase::of(&rpd(net, network, samples, &options)?))
}

/// The phase that the gradients of layers 2…L−1 show; none if there are fewer than three.
///
/// Tested in this order: mean below 0.1, no phase yet; from six layers on, range of all but the last three
/// under 15 % of their mean, III; rank correlation with the layer number above ½, II; below −½, I. Source:
/// paper A, Sec. IV.A, where the phases are described; the thresholds are ours.
pub fn phase(gradients: &[f64]) -> Option<Phase> {
    if gradients.len() < 3 {
        return None;
    }
    if mean(gradients) < 0.1 {
        return Some(Phase::Unsorted);
    }
    if gradients.len() >= 6 {
        let early = &gradients[..gradients.len() - 3];
        let largest = early.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let smallest = early.iter().copied().fold(f64::INFINITY, f64::min);
        if largest - smallest < 0.15 * mean(early) {
            return Some(Phase::III);
        }
    }
    Some(match trend(gradients) {
        rising if rising > 0.5 => Phase::II,
        falling if falling < -0.5 => Phase::I,
        _ => Phase::Mixed,
    })
}

/// Spearman's rank correlation of the values with their index; 0 where all are equal.
pub fn trend(values: &[f64]) -> f64 {
    // Ties get the mean of their ranks: as many below, plus half of the others that are equal.
    let rank = |value: f64| {
        let below = values.iter().filter(|&&other| other < value).count();
        let equal = values.iter().filter(|&&other| other == value).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let (mut product, mut ranks, mut indices) = (0.0, 0.0, 0.0);
    for (index, &value) in values.iter().enumerate() {
        let (x, y) = (index as f64 - middle, rank(value) - middle);
        product += x * y;
        indices += x * x;
        ranks += y * y;
    }
    if ranks == 0.0 { 0.0 } else { product / (indices * ranks).sqrt() }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
