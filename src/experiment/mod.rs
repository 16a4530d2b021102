//! The papers' figures: which runs they need, what is measured when, what is claimed.

use crate::Result;
use crate::backend::Choice;
use crate::train::Control;
use std::path::PathBuf;

/// What `netdyn reproduce` was asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Figure ids or families (`A2` = all its panels); none = the default set.
    pub ids: Vec<String>,
    /// Size of the runs.
    pub scale: Scale,
    /// Repetitions of every run, with seeds `seed`, `seed` + 1, …
    pub seeds: u64,
    /// First seed.
    pub seed: u64,
    /// `key=value` overrides of every run's configuration.
    pub sets: Vec<String>,
    /// Data set, as the user names it; none = the figure's own (MNIST).
    pub data: Option<String>,
    /// `f32` or `f64`.
    pub precision: String,
    /// Where runs, figures and the report go.
    pub out: PathBuf,
    /// The command line, for the provenance.
    pub command: String,
}

/// Size of the runs behind a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Scale {
    /// What two CPU cores do in minutes.
    Quick,
    /// The papers'.
    Full,
}

/// Trains and measures what the request needs and is not there yet, then writes figures and report.
/// Answers the path of the report.
pub fn reproduce(choice: Choice, request: &Request, control: &dyn Control) -> Result<PathBuf> {
    let _ = (choice, request, control);
    todo!()
}

/// What is left to do for a request, with memory, disk and time, as text for `--dry-run`.
pub fn plan(choice: Choice, request: &Request) -> Result<String> {
    let _ = (choice, request);
    todo!()
}

/// Every figure with its setting at both scales, as text for `--list`.
pub fn list() -> String {
    todo!()
}
