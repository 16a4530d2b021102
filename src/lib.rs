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
//!
//! The command line is the usual way in. As a library: the RPD gradients of a network nobody has trained.
//!
//! ```
//! use netdyn::analysis::{Options, rpd};
//! use netdyn::backend::cpu::Cpu;
//! use netdyn::data::{self, Source, Which};
//! use netdyn::model::{Net, Samples, network};
//! use netdyn::train::Config;
//!
//! # fn main() -> netdyn::Result<()> {
//! let digits = data::load(&Source::Named("sample".into()), Which::Train, &())?.first(500);
//! let config = Config::parse("[model]\nwidths = [784, 30, 20, 10]\n[train]\nbatch = 100", "example", &[])?;
//! let config = config.resolve(digits.len(), digits.pixels, digits.classes)?;
//! let start = network::<f32>(&config.spec(), config.init(), config.input()?, config.seed);
//!
//! Cpu::new(2)?.install(|cpu| {
//!     let net = Net::<_, f32>::new(cpu, &start)?;
//!     let found = rpd(&net, &start, &Samples::new(cpu, &digits)?, &Options::default())?;
//!     assert_eq!(found.layers.len(), 2); // layers 2 and 3
//!     assert!(found.layers.iter().all(|layer| layer.gradient.abs() < 0.5)); // random weights prefer no class
//!     Ok(())
//! })
//! # }
//! ```
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
