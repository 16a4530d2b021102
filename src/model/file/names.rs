//! From tensor names to linear layers and batch norms.

use super::container::Container;
use crate::error::{Error, Result};
use safetensors::Dtype;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Tensors under this prefix belong to checkpoints, not to the network.
pub(super) const RESERVED: &str = "netdyn.";

/// What wrappers put before every name.
const WRAPPERS: [&str; 4] = ["module.", "_orig_mod.", "model.", "net."];

const SUFFIXES: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// A 2-D weight with its bias.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// Without wrappers and without `.weight`.
    pub name: String,
    /// Name of the tensor, [outputs, inputs].
    pub weight: String,
    /// Name of the tensor, [outputs].
    pub bias: Option<String>,
    pub inputs: usize,
    pub outputs: usize,
}

impl Linear {
    /// Whether the user may mean this layer by `text`.
    pub fn is_called(&self, text: &str) -> bool {
        fn stem(text: &str) -> Option<&str> {
            text.strip_suffix("weight").map(trimmed)
        }
        text == self.name
            || text == self.weight
            || stem(text).is_some_and(|text| text == self.name)
            || stem(&self.weight).is_some_and(|own| own == text)
    }
}

/// A batch norm; each tensor [features].
#[derive(Clone, Debug)]
pub(super) struct Norm {
    /// Without wrappers and without `.running_mean`.
    pub name: String,
    pub gamma: Option<String>,
    pub beta: Option<String>,
    pub mean: String,
    pub var: String,
    pub features: usize,
}

/// All layers and norms of a file, each list in the natural order of its names.
pub(super) fn groups(file: &Container) -> Result<(Vec<Linear>, Vec<Norm>)> {
    let refuse = |what: String| Error::file(&file.path, what);
    let parts: Vec<&String> = file
        .tensors
        .keys()
        .filter(|name| !name.starts_with(RESERVED) && !name.ends_with("num_batches_tracked"))
        .collect();
    let wrapped = common_wrappers(&parts);

    let mut stems: BTreeMap<&str, BTreeMap<&str, &String>> = BTreeMap::new();
    for &full in &parts {
        let name = &full[wrapped..];
        let info = &file.tensors[full];
        let Some(suffix) = SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix)) else {
            return Err(refuse(format!(
                "tensor '{full}' fits nowhere: a fully connected network has weight, bias, running_mean and \
                 running_var only; remove it from the file"
            )));
        };
        if !matches!(info.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let what = format!("tensor '{full}' has type {}; save it as f32, f16, bf16 or f64", info.dtype);
            return Err(refuse(what));
        }
        if info.shape.contains(&0) {
            return Err(refuse(format!("tensor '{full}' of shape {:?} is empty", info.shape)));
        }
        stems.entry(&name[..name.len() - suffix.len()]).or_default().insert(suffix, full);
    }

    let (mut linears, mut norms) = (Vec::new(), Vec::new());
    for (stem, tensors) in stems {
        let tensor = |suffix: &str| tensors.get(suffix).map(|&name| name.clone());
        let vector = |name: &Option<String>, len: usize| match name {
            Some(name) if file.tensors[name].shape != [len] => {
                let shape = &file.tensors[name].shape;
                Err(refuse(format!("tensor '{name}' has shape {shape:?}, its layer needs [{len}]")))
            }
            _ => Ok(()),
        };
        let (weight, bias) = (tensor("weight"), tensor("bias"));
        let (mean, var) = (tensor("running_mean"), tensor("running_var"));
        let name = trimmed(stem).to_owned();
        match (weight, mean, var) {
            (gamma, Some(mean), Some(var)) => {
                let &[features] = &file.tensors[&mean].shape[..] else {
                    let shape = &file.tensors[&mean].shape;
                    return Err(refuse(format!("tensor '{mean}' has shape {shape:?}, not one side")));
                };
                for part in [&gamma, &bias, &Some(var.clone())] {
                    vector(part, features)?;
                }
                norms.push(Norm { name, gamma, beta: bias, mean, var, features });
            }
            (_, Some(lone), None) | (_, None, Some(lone)) => {
                return Err(refuse(format!(
                    "tensor '{lone}' has no partner: running_mean and running_var go together"
                )));
            }
            (Some(weight), None, None) => {
                let &[outputs, inputs] = &file.tensors[&weight].shape[..] else {
                    let shape = &file.tensors[&weight].shape;
                    return Err(refuse(format!(
                        "tensor '{weight}' of shape {shape:?} is neither a linear layer [out, in] nor, without \
                         running_mean and running_var beside it, a batch norm"
                    )));
                };
                vector(&bias, outputs)?;
                linears.push(Linear { name, weight, bias, inputs, outputs });
            }
            (None, None, None) => {
                let bias = bias.unwrap_or_default();
                return Err(refuse(format!("tensor '{bias}' fits nowhere: there is no weight beside it")));
            }
        }
    }
    linears.sort_by(|a, b| natural(&a.name, &b.name));
    norms.sort_by(|a, b| natural(&a.name, &b.name));
    Ok((linears, norms))
}

/// Order of names as people count: numbers by value, the rest byte by byte.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    while let (Some(l), Some(r)) = (left.chars().next(), right.chars().next()) {
        let order = if l.is_ascii_digit() && r.is_ascii_digit() {
            let (l, r) = (leading_number(&mut left), leading_number(&mut right));
            l.len().cmp(&r.len()).then(l.cmp(r))
        } else {
            (left, right) = (&left[l.len_utf8()..], &right[r.len_utf8()..]);
            l.cmp(&r)
        };
        if order.is_ne() {
            return order;
        }
    }
    left.len().cmp(&right.len()).then(a.cmp(b))
}

/// The numbers in a name, without leading zeros.
pub(super) fn numbers(name: &str) -> Vec<&str> {
    let runs = name.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
    runs.map(|mut run| leading_number(&mut run)).collect()
}

/// Takes the digits off the front of `text`; they come back without leading zeros.
fn leading_number<'a>(text: &mut &'a str) -> &'a str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    *text = rest;
    number.trim_start_matches('0')
}

/// Length of the wrappers that stand before all names. A wrapper before some only is a part of the network's
/// own structure and takes part in the order of names.
fn common_wrappers(names: &[&String]) -> usize {
    let mut len = 0;
    while let Some(first) = names.first() {
        let Some(wrapper) = WRAPPERS.into_iter().find(|wrapper| first[len..].starts_with(wrapper)) else {
            break;
        };
        if !names.iter().all(|name| name[len..].starts_with(wrapper)) {
            break;
        }
        len += wrapper.len();
    }
    len
}

fn trimmed(stem: &str) -> &str {
    stem.trim_end_matches(['.', '_'])
}
