//! A reproduced figure as it is stored: data, setting, claims. `report` draws from this alone.

use serde::{Deserialize, Serialize};

/// One panel of a paper's figure, `DIR/<id>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// `netdyn/figure/1`
    pub schema: String,
    /// What the user types: `A2a`.
    pub id: String,
    /// A short headline.
    pub title: String,
    /// Where it stands in the papers: `Paper A, Fig. 2(a)`.
    pub source: String,
    /// What is drawn and what to look for, one to three sentences.
    pub caption: String,
    /// Every number of the setting: network, data, optimiser, steps, seeds.
    pub setting: String,
    /// `quick` or `full`.
    pub scale: String,
    /// What was made smaller than in the paper; empty if nothing.
    pub scaled_down: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Left vertical axis.
    pub y: Axis,
    /// Right vertical axis, if any series uses it.
    pub y_right: Option<Axis>,
    /// Curves and point sets, in legend order.
    pub series: Vec<Series>,
    /// Vertical marks with a label: grokking, a threshold.
    pub marks: Vec<Mark>,
    /// What the papers claim about it, with verdicts.
    pub claims: Vec<Claim>,
    /// How it was made.
    pub provenance: Provenance,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Logarithmic.
    pub log: bool,
    /// Fixed limits; else from the data.
    pub range: Option<[f64; 2]>,
}

/// A curve or point set. `x` and `y` have the same length; a missing value is `null` and a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Legend text.
    pub label: String,
    /// Abscissae.
    pub x: Vec<f64>,
    /// Ordinates, mean over seeds.
    pub y: Vec<Option<f64>>,
    /// Standard error over seeds, where more than one ran: drawn as a band.
    pub error: Option<Vec<Option<f64>>>,
    /// How it is drawn.
    pub style: Style,
    /// Drawn against the right axis.
    pub right: bool,
    /// Index into the palette; series that belong together share it.
    pub color: usize,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A full line.
    Line,
    /// A full line with a marker at every point.
    LinePoints,
    /// A dashed line.
    Dashed,
    /// A thin line: a variant shown for comparison.
    Thin,
    /// Markers only.
    Points,
}

/// A vertical line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Abscissa.
    pub x: f64,
    /// Text at its top.
    pub label: String,
}

/// A statement of a paper, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Number in the list of claims, with a letter for a part: `1a`.
    pub id: String,
    /// The statement, one sentence.
    pub text: String,
    /// The paper's number, if it gives one.
    pub paper: Option<String>,
    /// Our numbers, as the verdict uses them; with ± where more than one seed ran.
    pub ours: String,
    /// Decided by code.
    pub verdict: Verdict,
    /// Why it is so decided: threshold and comparison.
    pub reason: String,
}

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The numbers bear it out.
    Held,
    /// The numbers contradict it.
    NotHeld,
    /// The difference is within two standard errors, or the scale cannot decide.
    Undecided,
}

/// How a figure was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Git commit of the program, if known.
    pub commit: Option<String>,
    /// Processor or card.
    pub device: String,
    /// `f32` or `f64`.
    pub precision: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of its raw files.
    pub sha256: Vec<String>,
    /// Seeds that ran.
    pub seeds: Vec<u64>,
    /// Batch-norm mode of the measurements.
    pub bn: String,
    /// Wall time of the runs behind it, seconds.
    pub seconds: f64,
    /// When it was finished, RFC 3339.
    pub date: String,
    /// The command that makes it again.
    pub command: String,
}
