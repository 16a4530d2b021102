//! The training loop: batches, probes on a schedule, checkpoints, resume.

mod checkpoint;
mod config;
mod cost;
mod order;
mod run;
mod snapshot;

pub use config::*;
pub use cost::*;
pub use order::Shuffler;
pub use run::*;
pub use snapshot::{Snapshot, snapshot};
