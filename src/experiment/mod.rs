//! The papers' figures: which runs they need, what is measured when, what is claimed.

mod claims;
mod figures;
mod jobs;
mod measurement;
mod probes;
mod reproduce;
mod runs;

pub use figures::{Definition, registry, select};
pub use measurement::{Analysis, ClassDistances, Measurement, measure};
pub use probes::NetworkProbes;
pub use reproduce::{list, plan, reproduce};
pub use runs::{Plan, Runs, train};

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
    /// Data set, as the user names it; none = MNIST.
    pub data: Option<String>,
    /// As in `--precision`.
    pub precision: String,
    /// Where runs and figures go.
    pub out: PathBuf,
    /// Runs at a time, at least 1.
    pub jobs: usize,
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

impl Scale {
    /// As the user writes it.
    pub fn name(self) -> &'static str {
        match self {
            Scale::Quick => "quick",
            Scale::Full => "full",
        }
    }
}
