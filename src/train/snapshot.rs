//! Networks kept from moments of a run, for analyses afterwards.

use super::Row;
use crate::model::Network;
use crate::model::file::{self, Extra, Names, Numbers};
use crate::store::{Metrics, RunDir};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A moment of a run whose network is kept in `snapshots/<name>.safetensors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Snapshot {
    /// The first probe with the highest test accuracy in evaluation mode.
    Best,
    /// Before grokking: the last probe with train accuracy (batch mode) ≥ 0.9 and test accuracy (evaluation mode)
    /// ≤ 0.2, the papers' sign of a network that has memorised and not generalised. A run without one keeps none.
    Memorised,
    /// The end.
    Last,
    /// After so many updates; adds a probe there.
    Step(u64),
}

impl Snapshot {
    /// Whether a probe with this row is such a moment, if the highest test accuracy before it was `best`.
    fn is(self, step: u64, last: u64, row: &[Option<f64>; 4], best: Option<f64>) -> bool {
        let [_, train, _, test] = *row;
        match self {
            Snapshot::Best => test.is_some_and(|test| best.is_none_or(|best| test > best)),
            Snapshot::Memorised => train.is_some_and(|a| a >= 0.9) && test.is_some_and(|a| a <= 0.2),
            Snapshot::Last => step == last,
            Snapshot::Step(at) => step == at,
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Snapshot::Best => out.write_str("best"),
            Snapshot::Memorised => out.write_str("memorised"),
            Snapshot::Last => out.write_str("last"),
            Snapshot::Step(step) => write!(out, "step-{step}"),
        }
    }
}

impl FromStr for Snapshot {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "best" => Ok(Snapshot::Best),
            "memorised" => Ok(Snapshot::Memorised),
            "last" => Ok(Snapshot::Last),
            _ => {
                text.strip_prefix("step-").and_then(|step| step.parse().ok()).map(Snapshot::Step).ok_or_else(
                    || format!("'{text}' is none of \"best\", \"memorised\", \"last\", \"step-N\""),
                )
            }
        }
    }
}

impl TryFrom<String> for Snapshot {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Snapshot> for String {
    fn from(snapshot: Snapshot) -> String {
        snapshot.to_string()
    }
}

/// Keeps the snapshots of one run.
pub(super) struct Keeper<'a> {
    wanted: &'a [Snapshot],
    dir: &'a RunDir,
    numbers: Numbers,
    last: u64,
    best: Option<f64>,
}

impl<'a> Keeper<'a> {
    /// For a run of `last` updates whose earlier rows, if it goes on, stand in `dir`.
    pub fn new(wanted: &'a [Snapshot], dir: &'a RunDir, numbers: Numbers, last: u64) -> Result<Self> {
        let Metrics { columns, rows } = dir.metrics()?;
        let at = columns.iter().position(|column| column == "test_accuracy");
        let earlier = rows.iter().filter_map(|row| *row.get(at?)?);
        Ok(Keeper { wanted, dir, numbers, last, best: earlier.reduce(f64::max) })
    }

    /// Keeps `network` after `step` updates if a wanted moment is reached.
    pub fn take(&mut self, step: u64, row: &Row, network: impl Fn() -> Result<Network>) -> Result<()> {
        for snapshot in self.wanted.iter().filter(|s| s.is(step, self.last, &row.fixed, self.best)) {
            let network = Network { step: Some(step), ..network()? };
            let path = self.dir.snapshot(*snapshot);
            file::write_with(&path, &network, Names::Modulelist, self.numbers, Extra::default())?;
        }
        self.best = self.best.into_iter().chain(row.fixed[3]).reduce(f64::max);
        Ok(())
    }
}

/// Reads a snapshot of a run; none where the run had no such moment.
///
/// # Errors
/// [`Error::File`] for a damaged file.
pub fn snapshot(dir: &RunDir, which: Snapshot) -> Result<Option<Network>> {
    let path = dir.snapshot(which);
    match path.try_exists().map_err(Error::io("read", &path))? {
        true => Ok(Some(file::read(&path, &file::ReadOptions::default())?.0)),
        false => Ok(None),
    }
}
