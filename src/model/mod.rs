//! Networks: shape, parameters, forward and backward passes, files.

pub mod file;

mod evaluate;
mod init;
mod net;
mod network;
mod samples;
mod spec;
mod trainer;

pub use evaluate::{BnMode, Evaluator, Outcome, Start, outcome};
pub(crate) use init::torch_words;
pub use init::{Init, InitKind, RngKind, network};
pub use net::Net;
pub use network::Network;
pub use samples::Samples;
pub use spec::{BnSpec, LayerSpans, Layout, Momentum, Spec};
pub use trainer::{OptimizerState, Trainer};
