//! The frame around every stored result.

use crate::backend::{Backend, Real};
use serde::{Deserialize, Serialize};

/// A result with where it comes from: `{"schema": "netdyn/<what>/1", "model": …, …the result's own fields}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document<T> {
    /// `netdyn/<what>/1`
    pub schema: String,
    /// File or run the network comes from.
    pub model: String,
    /// Number of samples behind the result.
    pub samples: usize,
    /// Processor.
    pub device: String,
    /// Arithmetic, as in `--precision`.
    #[serde(default)]
    pub precision: String,
    /// Key of all noise.
    pub seed: u64,
    /// Version of the program.
    pub version: String,
    /// `eval` or `batch`.
    pub bn: String,
    /// The result.
    #[serde(flatten)]
    pub result: T,
}

impl<T> Document<T> {
    /// Frames `result` of the analysis `what`, found by `backend` in R.
    pub fn new<B: Backend, R: Real>(
        backend: &B,
        what: &str,
        model: impl Into<String>,
        samples: usize,
        options: &super::Options,
        result: T,
    ) -> Self {
        Document {
            schema: format!("netdyn/{what}/1"),
            model: model.into(),
            samples,
            device: backend.name(),
            precision: backend.precision::<R>().into(),
            seed: options.seed,
            version: env!("CARGO_PKG_VERSION").into(),
            bn: options.bn.name().into(),
            result,
        }
    }
}
