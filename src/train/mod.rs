//! The training loop: batches, probes on a schedule, checkpoints, resume.

mod checkpoint;
mod config;
mod order;
mod run;

pub use config::*;
pub use order::Shuffler;
pub use run::*;
