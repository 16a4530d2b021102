//! A network on the host: shape, parameters in f64, and what its file says about it.

use super::{Layout, Spec};
use crate::data::InputScale;

/// A network as it is stored in a file and as host-side linear algebra uses it.
///
/// f32 values are exact in f64, so nothing is lost by keeping every precision this way.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Shape.
    pub spec: Spec,
    /// All parameters, by [`Layout`].
    pub params: Vec<f64>,
    /// Running statistics of the batch norms, by [`Layout`].
    pub running: Vec<f64>,
    /// Input range the network was trained on.
    pub input: InputScale,
    /// Optimiser steps behind it, if known.
    pub step: Option<u64>,
    /// Configuration of the run that made it (TOML text), if known.
    pub config: Option<String>,
}

impl Network {
    /// Where everything stands.
    pub fn layout(&self) -> Layout {
        Layout::of(&self.spec)
    }

    /// W(layer), row-major [N_layer, N_layer−1], for layer 2…L.
    pub fn weight(&self, layer: usize) -> &[f64] {
        &self.params[self.layout().layers[layer - 2].weight.range()]
    }
}
