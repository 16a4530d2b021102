//! Networks: shape, parameters, forward and backward passes, files.

pub mod file;
mod network;
mod spec;

pub use network::Network;
pub use spec::{BnSpec, LayerSpans, Layout, Momentum, Spec};
