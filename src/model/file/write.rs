//! From a network to a file that PyTorch loads.

use super::names::RESERVED;
use super::tensor::Tensor;
use super::understood::activation_name;
use super::{Extra, container, key};
use crate::backend::Real;
use crate::error::{Error, Result};
use crate::model::Network;
use std::collections::BTreeMap;
use std::path::Path;

/// What the tensors are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Names {
    /// `layers.{i}.…` and `bns.{i}.…`, two `ModuleList`s; norm i follows linear layer i.
    Modulelist,
    /// `{i}.…`, an `nn.Sequential` of Linear, BatchNorm1d, activation, …, Linear.
    Sequential,
}

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Rounded to f32: for exchange, and exact for what was trained in f32.
    F32,
    /// Exact: for resuming what was trained in f64.
    F64,
}

impl Numbers {
    /// What holds R without loss.
    pub fn of<R: Real>() -> Numbers {
        if R::NAME == "f64" { Numbers::F64 } else { Numbers::F32 }
    }
}

/// Writes `network` in f32, atomically. `docs/network-files.md` has the Python that loads it.
///
/// # Errors
/// [`Error::Io`]: see [`crate::store::write_atomic`]. [`Error::Failed`]: a parameter that is not finite, which
/// no reader would accept.
pub fn write(path: &Path, network: &Network, names: Names) -> Result<()> {
    write_with(path, network, names, Numbers::F32, Extra::default())
}

/// Writes a checkpoint: `network` and, under names that [`super::read`] passes over, `extra`.
///
/// # Errors
/// As [`write()`].
pub fn write_with(
    path: &Path,
    network: &Network,
    names: Names,
    numbers: Numbers,
    extra: Extra,
) -> Result<()> {
    let reserved = |name: String| format!("{RESERVED}{name}");
    let mut tensors = parameters(path, network, names, numbers)?;
    tensors.extend(extra.tensors.into_iter().map(|(name, tensor)| (reserved(name), tensor)));

    let own = [
        (key::ACTIVATION, Some(activation_name(network.spec.activation))),
        (key::INPUT, Some(network.input.to_string())),
        (key::BN_EPS, Some(network.spec.bn.eps.to_string())),
        (key::STEP, network.step.map(|step| step.to_string())),
        (key::CONFIG, network.config.clone()),
        (key::VERSION, Some(env!("CARGO_PKG_VERSION").to_owned())),
    ];
    let own = own.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?)));
    let metadata = extra.metadata.into_iter().chain(own).map(|(key, text)| (reserved(key), text)).collect();
    container::write(path, &tensors, &metadata)
}

/// Weights, biases, γ, β and running statistics by name.
fn parameters(
    path: &Path,
    network: &Network,
    names: Names,
    numbers: Numbers,
) -> Result<BTreeMap<String, Tensor>> {
    let mut tensors = BTreeMap::new();
    let mut add = |name: String, shape: &[usize], values: &[f64]| {
        let narrow: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        let (finite, tensor) = match numbers {
            Numbers::F32 => (narrow.iter().all(|value| value.is_finite()), Tensor::of(shape, &narrow)),
            Numbers::F64 => (values.iter().all(|value| value.is_finite()), Tensor::of(shape, values)),
        };
        tensors.insert(name.clone(), tensor);
        if finite {
            return Ok(());
        }
        Err(Error::Failed(format!(
            "{}: not written, because '{name}' is not finite in {numbers:?}",
            path.display()
        )))
    };

    let spec = &network.spec;
    let mut index = 0; // in the sequence
    for (i, spans) in network.layout().layers.iter().enumerate() {
        let (linear, norm) = match names {
            Names::Modulelist => (format!("layers.{i}"), format!("bns.{i}")),
            Names::Sequential => (index.to_string(), (index + 1).to_string()),
        };
        index += if spec.norm[i] { 3 } else { 2 };

        let [inputs, outputs] = [spec.widths[i], spec.widths[i + 1]];
        add(format!("{linear}.weight"), &[outputs, inputs], &network.params[spans.weight.range()])?;
        if let Some(bias) = spans.bias {
            add(format!("{linear}.bias"), &[outputs], &network.params[bias.range()])?;
        }
        if let (Some(at), Some([mean, var])) = (spans.norm, spans.stats) {
            add(format!("{norm}.weight"), &[outputs], &network.params[at.gamma.range()])?;
            add(format!("{norm}.bias"), &[outputs], &network.params[at.beta.range()])?;
            add(format!("{norm}.running_mean"), &[outputs], &network.running[mean.range()])?;
            add(format!("{norm}.running_var"), &[outputs], &network.running[var.range()])?;
        }
    }
    Ok(tensors)
}
