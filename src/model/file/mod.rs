//! Network files: safetensors with PyTorch's orientation, read under any naming, written under two.
//!
//! Reading never guesses in silence: what the file leaves open is asked for, and [`Understood`] says what was
//! taken for what. `docs/network-files.md` is the user's page.

mod container;
mod names;
mod norms;
mod order;
mod read;
mod tensor;
mod understood;
mod write;

pub use read::{ReadOptions, read, read_extra};
pub use tensor::{Stored, Tensor};
pub use understood::{InputOrigin, Understood, UnderstoodLayer};
pub use write::{Names, Numbers, write, write_with};

use std::collections::BTreeMap;

/// What a checkpoint keeps beside the network: optimiser and generator state, by names of the caller's choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra {
    /// Arrays, stored bit for bit.
    pub tensors: BTreeMap<String, Tensor>,
    /// Texts; the names of the network's own metadata (`activation`, `step`, …) are taken.
    pub metadata: BTreeMap<String, String>,
}

/// Keys of the metadata that describe the network, after `netdyn.`.
mod key {
    pub const ACTIVATION: &str = "activation";
    pub const INPUT: &str = "input";
    pub const BN_EPS: &str = "bn_eps";
    pub const STEP: &str = "step";
    pub const CONFIG: &str = "config";
    pub const VERSION: &str = "version";
    pub const ALL: [&str; 6] = [ACTIVATION, INPUT, BN_EPS, STEP, CONFIG, VERSION];
}
