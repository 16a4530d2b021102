//! Where a curve of accuracy against amplitude falls through a threshold.

use crate::analysis::Threshold;
use serde::{Deserialize, Serialize};

/// No basin is looked for beyond this amplitude.
const LARGEST: f64 = 64.0;
/// Where the list begins if the user's has nothing above zero.
const FIRST: f64 = 1.0;
/// A bracket narrower than this share of its upper end is fine enough.
const WIDTH: f64 = 0.02;
/// A bracket that ends below this is called zero-sized: a jump at amplitude 0 would be halved for ever.
const SMALLEST: f64 = 1e-6;

/// Accuracy under noise of one amplitude.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// σ
    pub amplitude: f64,
    /// Mean over the trials.
    pub accuracy: f64,
    /// Sample standard deviation over the trials / √T; none for a single trial.
    pub stderr: Option<f64>,
}

/// Size of an attraction basin.
#[derive(Clone, Debug, PartialEq)]
pub enum Size {
    /// The amplitude at which the accuracy falls through the threshold.
    At(f64),
    /// There is none, for this reason.
    Missing(String),
}

impl Size {
    /// The amplitude, if there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Size::At(amplitude) => Some(*amplitude),
            Size::Missing(_) => None,
        }
    }

    /// Why there is none.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Size::At(_) => None,
            Size::Missing(reason) => Some(reason),
        }
    }
}

/// The size of the basin whose accuracy `measure` tells: the first crossing walking up the amplitudes (given,
/// then doubled, up to 64), bisected until the bracket is narrower than 2 % of its upper end or the accuracies
/// at its ends differ by less than the larger of their standard errors, then interpolated linearly.
///
/// The amplitudes asked for depend on the answers alone, so a `measure` that knows only some of them may answer
/// with an error that names the next one needed. Source: paper A, Sec. II.D; paper B for the relative threshold.
///
/// # Errors
/// Those of `measure`.
pub fn basin_size<E>(
    amplitudes: &[f64],
    threshold: Threshold,
    mut measure: impl FnMut(f64) -> Result<Point, E>,
) -> Result<Size, E> {
    let mut low = measure(0.0)?;
    let level = match threshold {
        Threshold::Accuracy(level) => level,
        Threshold::Relative => low.accuracy / 2.0,
    };
    if low.accuracy == 0.0 {
        return Ok(Size::Missing("the noise-free accuracy is 0".into()));
    }
    if low.accuracy < level {
        let reason = format!("the noise-free accuracy {} is below the threshold {level}", low.accuracy);
        return Ok(Size::Missing(reason));
    }
    let mut high = None;
    for amplitude in ladder(amplitudes) {
        let point = measure(amplitude)?;
        if point.accuracy < level {
            high = Some(point);
            break;
        }
        low = point;
    }
    let Some(mut high) = high else {
        let reason = format!("no amplitude up to {LARGEST} brings the accuracy below the threshold {level}");
        return Ok(Size::Missing(reason));
    };
    while !fine(low, high) {
        let middle = measure((low.amplitude + high.amplitude) / 2.0)?;
        if middle.accuracy < level {
            high = middle;
        } else {
            low = middle;
        }
    }
    let share = (low.accuracy - level) / (low.accuracy - high.accuracy);
    Ok(Size::At(low.amplitude + share * (high.amplitude - low.amplitude)))
}

/// The positive amplitudes in ascending order, continued by doubling.
fn ladder(amplitudes: &[f64]) -> Vec<f64> {
    let mut ladder: Vec<f64> = amplitudes.iter().copied().filter(|&a| a > 0.0 && a <= LARGEST).collect();
    ladder.sort_by(f64::total_cmp);
    ladder.dedup();
    let mut last = match ladder.last() {
        Some(&last) => last,
        None => {
            ladder.push(FIRST);
            FIRST
        }
    };
    while last < LARGEST {
        last = (2.0 * last).min(LARGEST);
        ladder.push(last);
    }
    ladder
}

fn fine(low: Point, high: Point) -> bool {
    let error = low.stderr.unwrap_or(0.0).max(high.stderr.unwrap_or(0.0));
    high.amplitude - low.amplitude < WIDTH * high.amplitude
        || low.accuracy - high.accuracy < error
        || high.amplitude < SMALLEST
}
