//! netdyn trains fully connected networks and shows how they learn.
//!
//! | layer | what it is |
//! |---|---|
//! | [`report`] | plots, tables and the page; reads stored results only |
//! | [`experiment`] | the papers' figures: which runs, which measurements, which claims |
//! | [`analysis`] | a network and a data set in, numbers out |
//! | [`train`] | the training loop: batches, probes, checkpoints, resume |
//! | [`model`] | networks: shape, parameters, forward, backward, files |
//! | [`data`] | data sets: IDX files, download, cache |
//! | [`backend`] | the operations a processor offers, and the processors |
//! | [`store`] | run directories and atomic writes |
//! | [`rng`] | counter-based random numbers |
//! | [`error`] | what can go wrong, and the exit codes |
//!
//! A layer uses only layers below it; `docs/architecture.md` has the rules.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod analysis;
pub mod backend;
pub mod cli;
pub mod data;
pub mod error;
pub mod experiment;
pub mod model;
pub mod report;
pub mod rng;
pub mod store;
pub mod train;

pub use error::{Error, Result};

/// Git commit the program was built from, if it was built in a checkout.
pub fn commit() -> Option<&'static str> {
    option_env!("NETDYN_COMMIT")
}
