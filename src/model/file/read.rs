//! From a file to a network.

use super::container::Container;
use super::names::{Linear, Norm, RESERVED, groups};
use super::understood::{InputOrigin, Understood, UnderstoodLayer, activation_name};
use super::{Extra, key, norms, order};
use crate::backend::Activation;
use crate::data::InputScale;
use crate::error::{Error, Result, nearest};
use crate::model::{BnSpec, Layout, Momentum, Network, Spec};
use clap::ValueEnum;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

/// PyTorch's default of `BatchNorm1d`.
const DEFAULT_EPS: f64 = 1e-5;

/// What the user says about a file that does not say it itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// `--activation`
    pub activation: Option<Activation>,
    /// `--input`
    pub input: Option<InputScale>,
    /// `--layer-order`: names of the linear layers, from the input on.
    pub layer_order: Option<Vec<String>>,
    /// `--bn-layers`: the layer of every batch norm, in the natural order of their names; the first hidden
    /// layer is 2.
    pub bn_layers: Option<Vec<usize>>,
}

/// Reads a network, whatever its tensors are called.
///
/// Running statistics, parameters and ε are the file's; the momentum of the batch norms and the dropout rate
/// are not in a file and come back as 0.1 and 0.
///
/// # Errors
/// [`Error::File`] (exit code 3): missing, corrupt, a value that is not finite, a tensor that fits nowhere,
/// shapes that do not chain. [`Error::Usage`] (exit code 2): an activation that is unknown or not given, an
/// order or a batch norm's place that the names leave open, an option that contradicts the file.
pub fn read(path: &Path, options: &ReadOptions) -> Result<(Network, Understood)> {
    let mut file = Container::open(path)?;
    let (linears, bns) = groups(&file)?;
    let linears = order::chain(path, linears, options.layer_order.as_deref())?;
    let norm_of = norms::place(path, &linears, &bns, options.bn_layers.as_deref())?;

    let activation = activation(&file, options.activation, linears.len() > 1)?;
    let said = metadata(&file, key::INPUT)?;
    let (input, input_origin) = match (agreed(path, "--input", said, options.input)?, said) {
        (Some(input), Some(_)) => (input, InputOrigin::File),
        (Some(input), None) => (input, InputOrigin::Option),
        (None, _) => (InputScale::Unit, InputOrigin::Assumed),
    };
    let eps = metadata(&file, key::BN_EPS)?.unwrap_or(DEFAULT_EPS);
    if !(eps > 0.0 && eps.is_finite()) {
        return Err(Error::file(
            path,
            format!("metadata '{RESERVED}{}' is {eps}, not positive", key::BN_EPS),
        ));
    }
    let step = metadata(&file, key::STEP)?;

    let spec = Spec {
        widths: linears.iter().take(1).map(|l| l.inputs).chain(linears.iter().map(|l| l.outputs)).collect(),
        activation: activation.unwrap_or(Activation::Identity),
        bias: linears.iter().map(|linear| linear.bias.is_some()).collect(),
        norm: norm_of.iter().map(Option::is_some).collect(),
        bn: BnSpec { eps, momentum: Momentum::Fixed(0.1) },
        dropout: 0.0,
    };
    let norm_of: Vec<Option<&Norm>> = norm_of.into_iter().map(|norm| norm.map(|i| &bns[i])).collect();
    let understood = Understood {
        file: path.to_owned(),
        shape: spec.shape(),
        layers: linears.iter().zip(&norm_of).enumerate().map(|(i, (l, norm))| row(i + 2, l, *norm)).collect(),
        activation: activation.filter(|_| linears.len() > 1),
        input,
        input_origin,
        bn_eps: spec.has_norm().then_some(eps),
        step,
    };
    let (params, running) = numbers(&mut file, &spec, &linears, &norm_of)?;
    let config = file.metadata.remove(&format!("{RESERVED}{}", key::CONFIG));
    Ok((Network { spec, params, running, input, step, config }, understood))
}

/// What a checkpoint keeps beside the network; empty for other files.
///
/// # Errors
/// [`Error::File`]: missing or corrupt.
pub fn read_extra(path: &Path) -> Result<Extra> {
    let mut file = Container::open(path)?;
    let names: Vec<String> = file.tensors.keys().filter(|name| name.starts_with(RESERVED)).cloned().collect();
    let mut extra = Extra::default();
    for name in names {
        extra.tensors.insert(name[RESERVED.len()..].to_owned(), file.tensor(&name)?);
    }
    for (name, text) in file.metadata {
        match name.strip_prefix(RESERVED) {
            Some(own) if !key::ALL.contains(&own) => extra.metadata.insert(own.to_owned(), text),
            _ => None,
        };
    }
    Ok(extra)
}

/// Parameters and running statistics, laid out as [`Layout`] says.
fn numbers(
    file: &mut Container,
    spec: &Spec,
    linears: &[Linear],
    norms: &[Option<&Norm>],
) -> Result<(Vec<f64>, Vec<f64>)> {
    let layout = Layout::of(spec);
    let (mut params, mut running) = (vec![0.0; layout.params], vec![0.0; layout.stats]);
    for ((linear, norm), spans) in linears.iter().zip(norms).zip(&layout.layers) {
        params[spans.weight.range()].copy_from_slice(&finite(file, &linear.weight)?);
        if let (Some(span), Some(bias)) = (spans.bias, &linear.bias) {
            params[span.range()].copy_from_slice(&finite(file, bias)?);
        }
        if let (Some(at), Some([mean, var]), Some(norm)) = (spans.norm, spans.stats, norm) {
            // A norm without its own scale and shift (PyTorch's affine=False) has 1 and 0.
            params[at.gamma.range()].fill(1.0);
            for (span, name) in [(at.gamma, &norm.gamma), (at.beta, &norm.beta)] {
                if let Some(name) = name {
                    params[span.range()].copy_from_slice(&finite(file, name)?);
                }
            }
            running[mean.range()].copy_from_slice(&finite(file, &norm.mean)?);
            let variances = finite(file, &norm.var)?;
            if let Some(i) = variances.iter().position(|&var| var < 0.0) {
                return Err(Error::file(
                    &file.path,
                    format!("tensor '{}' is negative at index {i}", norm.var),
                ));
            }
            running[var.range()].copy_from_slice(&variances);
        }
    }
    Ok((params, running))
}

/// The numbers of a tensor, none of them NaN or infinite.
fn finite(file: &mut Container, name: &str) -> Result<Vec<f64>> {
    let tensor = file.tensor(name)?;
    let refuse = |what: String| Error::file(&file.path, format!("tensor '{name}' {what}"));
    let values = tensor.wide().ok_or_else(|| refuse(format!("has type {}", tensor.dtype)))?;
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(i) => {
            let (value, shape) = (values[i], &tensor.shape);
            Err(refuse(format!(
                "of shape {shape:?} is {value} at index {i} (row-major); the network is unusable"
            )))
        }
    }
}

/// f, or `None` if nobody says and no hidden layer needs one.
fn activation(file: &Container, option: Option<Activation>, hidden: bool) -> Result<Option<Activation>> {
    let names: Vec<String> = Activation::value_variants().iter().map(|&f| activation_name(f)).collect();
    let said = match file.metadata.get(&format!("{RESERVED}{}", key::ACTIVATION)) {
        None => None,
        Some(text) => Some(Activation::from_str(text, false).map_err(|_| {
            let near = nearest(text, names.iter().map(|name| &name[..]));
            let hint = near.map(|name| format!("; did the writer mean {name}?")).unwrap_or_default();
            let known = names.join(", ");
            Error::Usage(format!(
                "{}: metadata '{RESERVED}{}' is '{text}', known are {known}{hint}",
                file.path.display(),
                key::ACTIVATION
            ))
        })?),
    };
    let activation = agreed(&file.path, "--activation", said, option)?;
    if hidden && activation.is_none() {
        let (path, known) = (file.path.display(), names.join("|"));
        return Err(Error::Usage(format!(
            "{path}: the file does not say the activation; add --activation {known}"
        )));
    }
    Ok(activation)
}

/// What the file says, or else the option; they may not contradict each other.
fn agreed<T: PartialEq + Copy>(
    path: &Path,
    name: &str,
    said: Option<T>,
    option: Option<T>,
) -> Result<Option<T>> {
    match (said, option) {
        (Some(said), Some(option)) if said != option => {
            let path = path.display();
            Err(Error::Usage(format!("{path}: {name} contradicts the metadata of the file; leave it out")))
        }
        _ => Ok(said.or(option)),
    }
}

fn metadata<T: FromStr<Err: Display>>(file: &Container, key: &str) -> Result<Option<T>> {
    let Some(text) = file.metadata.get(&format!("{RESERVED}{key}")) else { return Ok(None) };
    let refuse = |why| Error::file(&file.path, format!("metadata '{RESERVED}{key}' is '{text}': {why}"));
    text.parse().map(Some).map_err(refuse)
}

fn row(layer: usize, linear: &Linear, norm: Option<&Norm>) -> UnderstoodLayer {
    UnderstoodLayer {
        layer,
        weight: linear.weight.clone(),
        shape: [linear.outputs, linear.inputs],
        bias: linear.bias.clone(),
        norm: norm.map(|norm| norm.name.clone()),
    }
}
