//! The frame around every stored result.

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
    /// Frames `result` of the analysis `what`.
    pub fn new(
        what: &str,
        model: impl Into<String>,
        samples: usize,
        device: impl Into<String>,
        options: &super::Options,
        result: T,
    ) -> Self {
        Document {
            schema: format!("netdyn/{what}/1"),
            model: model.into(),
            samples,
            device: device.into(),
            seed: options.seed,
            version: env!("CARGO_PKG_VERSION").into(),
            bn: options.bn.name().into(),
            result,
        }
    }
}
