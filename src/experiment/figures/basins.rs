//! Attraction basins of snapshots: what is measured of them, and their sizes with errors.

use super::Setting;
use super::curves::Estimate;
use crate::Result;
use crate::analysis::{Basin, Point, Space};
use crate::experiment::{Measurement, Runs, Scale};
use crate::model::BnMode;
use crate::store::Verdict;
use crate::train::Snapshot;

/// Running statistics first, as the papers measure; then those of the samples themselves.
pub const MODES: [BnMode; 2] = [BnMode::Eval, BnMode::Batch];
pub const SPACES: [Space; 2] = [Space::Sample, Space::Weight];

/// Where a basin ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// At 50 % of the samples (paper A).
    Half,
    /// At 50 % of the noise-free accuracy (paper B).
    HalfOfOwn,
}

/// Whose panel it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// Paper A.
    A,
    /// Paper B.
    B,
}

impl Paper {
    /// Where a basin ends by its rule.
    pub fn edge(self) -> Edge {
        match self {
            Paper::A => Edge::Half,
            Paper::B => Edge::HalfOfOwn,
        }
    }
}

/// Amplitudes of the curves; the search for a size adds its own.
pub fn amplitudes(space: Space) -> &'static [f64] {
    match space {
        Space::Sample => &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5],
        Space::Weight => &[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0],
    }
}

/// Training samples a basin is measured on.
pub fn samples(setting: &Setting) -> usize {
    setting.pick(1_000.min(setting.samples), setting.samples)
}

/// Noise draws at each amplitude.
pub fn trials(setting: &Setting) -> usize {
    setting.pick(3, 10)
}

/// The basin of a snapshot.
pub fn basin(setting: &Setting, at: Snapshot, space: Space, mode: BnMode) -> Measurement {
    let measurement = Measurement::basin(at, space, amplitudes(space), trials(setting));
    measurement.in_mode(mode).limited(samples(setting))
}

/// Its basins of these spaces in both modes.
pub fn both_modes(setting: &Setting, at: Snapshot, spaces: &[Space]) -> Vec<Measurement> {
    let modes = |&space: &Space| MODES.map(|mode| basin(setting, at, space, mode));
    spaces.iter().flat_map(modes).collect()
}

/// The setting of the measurement in words.
pub fn words(setting: &Setting) -> String {
    format!(
        "basins on the first {} training samples with {} noise draws per amplitude",
        samples(setting),
        trials(setting)
    )
}

/// The name of a space in a sentence.
pub fn name(space: Space) -> &'static str {
    match space {
        Space::Sample => "sample space",
        Space::Weight => "weight space",
    }
}

/// Sizes of one basin over seeds.
#[derive(Clone, Debug, Default)]
pub struct Sizes {
    /// One per seed that has one.
    pub values: Vec<f64>,
    /// Standard error of one of them, from the noise draws and the finite number of samples.
    error: f64,
}

impl Sizes {
    /// Takes the size of one repetition, if it has one, and its curve, measured on so many samples.
    pub fn add(&mut self, size: Option<f64>, curve: &[Point], samples: usize) {
        if let Some(size) = size {
            self.values.push(size);
            self.error = self.error.max(error(curve, size, samples));
        }
    }

    /// Mean and standard error: over seeds, at least that of the measurement; none without a size.
    pub fn estimate(&self) -> Option<Estimate> {
        let measured = self.error / (self.values.len() as f64).sqrt();
        let mean = Estimate::of(&self.values);
        let error = Some(measured.max(mean.error.unwrap_or(0.0)));
        (!self.values.is_empty()).then_some(Estimate { error, ..mean })
    }
}

/// Sizes of a basin of a run. A network that recognises less than half of the samples has none by either rule: what
/// noise does to mere guessing says nothing about learning.
pub fn sizes(setting: &Setting, runs: &Runs, run: &str, what: &Measurement, edge: Edge) -> Result<Sizes> {
    let mut found = Sizes::default();
    for basin in runs.found::<Basin>(run, what)? {
        let size = match edge {
            Edge::Half => basin.size,
            Edge::HalfOfOwn => basin.size_relative,
        };
        let learned = basin.curve.first().is_some_and(|point| point.accuracy >= 0.5);
        found.add(size.filter(|_| learned), &basin.curve, samples(setting));
    }
    Ok(found)
}

/// Standard error of a size: that of the accuracy around it, over the slope of the curve there.
fn error(curve: &[Point], size: f64, samples: usize) -> f64 {
    let Some(pair) = curve.windows(2).find(|pair| pair[1].amplitude >= size) else { return 0.0 };
    let fall = (pair[0].accuracy - pair[1].accuracy) / (pair[1].amplitude - pair[0].amplitude);
    let binomial = |accuracy: f64| (accuracy * (1.0 - accuracy) / samples as f64).sqrt();
    let of = |point: &Point| point.stderr.unwrap_or(0.0).max(binomial(point.accuracy));
    if fall > 0.0 { of(&pair[0]).max(of(&pair[1])) / fall } else { 0.0 }
}

/// A finding in both modes of batch norm: the verdict is that of the papers' mode, both are told.
pub fn in_both_modes(
    mut finding: impl FnMut(BnMode) -> Result<Option<(Verdict, String)>>,
) -> Result<(Verdict, String)> {
    let mut verdict = Verdict::Undecided;
    let mut told = Vec::new();
    for mode in MODES {
        let (found, text) = finding(mode)?
            .unwrap_or((Verdict::Undecided, "too few networks have learned enough to compare".into()));
        if mode == BnMode::Eval {
            verdict = found;
        }
        told.push(format!("{}: {text} ({})", mode.name(), word(found)));
    }
    Ok((verdict, told.join("; ")))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::NotHeld => "not held",
        Verdict::Undecided => "undecided",
    }
}

/// What quick scale makes smaller in the measurement.
pub fn scaled_down(setting: &Setting) -> Option<String> {
    let words = || format!("basins on {} of them, 3 instead of 10 noise draws", samples(setting));
    (setting.scale == Scale::Quick).then(words)
}
