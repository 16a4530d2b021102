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
        let own = self.weight.strip_suffix("weight").unwrap_or(&self.weight);
        let text = trimmed(text.strip_suffix("weight").unwrap_or(text));
        text == self.name || text == trimmed(own)
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
    let (mut linears, mut norms) = (Vec::new(), Vec::new());
    for (name, group) in stems(file)? {
        match group {
            Group { mean: Some(mean), var: Some(var), weight, bias } => {
                let &[features] = shape(file, &mean) else {
                    let what = format!("tensor '{mean}' has shape {:?}, not one side", shape(file, &mean));
                    return Err(Error::file(&file.path, what));
                };
                for part in [weight.as_ref(), bias.as_ref(), Some(&var)] {
                    check_vector(file, part, features)?;
                }
                norms.push(Norm { name, gamma: weight, beta: bias, mean, var, features });
            }
            Group { mean: Some(lone), .. } | Group { var: Some(lone), .. } => {
                let what = format!("tensor '{lone}' fits nowhere: running_mean and running_var go together");
                return Err(Error::file(&file.path, what));
            }
            Group { weight: Some(weight), bias, .. } => {
                let &[outputs, inputs] = shape(file, &weight) else {
                    let what = format!(
                        "tensor '{weight}' of shape {:?} is neither a linear layer [out, in] nor, without \
                         running_mean and running_var beside it, a batch norm",
                        shape(file, &weight)
                    );
                    return Err(Error::file(&file.path, what));
                };
                check_vector(file, bias.as_ref(), outputs)?;
                linears.push(Linear { name, weight, bias, inputs, outputs });
            }
            Group { bias, .. } => {
                let bias = bias.unwrap_or_default();
                let what = format!("tensor '{bias}' fits nowhere: there is no weight beside it");
                return Err(Error::file(&file.path, what));
            }
        }
    }
    linears.sort_by(|a, b| natural(&a.name, &b.name));
    norms.sort_by(|a, b| natural(&a.name, &b.name));
    Ok((linears, norms))
}

/// Tensors whose names differ in the suffix only.
#[derive(Default)]
struct Group {
    weight: Option<String>,
    bias: Option<String>,
    mean: Option<String>,
    var: Option<String>,
}

/// The tensors of the network by the common part of their names, as (name, group).
fn stems(file: &Container) -> Result<Vec<(String, Group)>> {
    let parts: Vec<&String> = file
        .tensors
        .keys()
        .filter(|name| !name.starts_with(RESERVED) && !name.ends_with("num_batches_tracked"))
        .collect();
    let wrapped = common_wrappers(&parts);

    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for full in parts {
        let refuse = |what: String| Err(Error::file(&file.path, format!("tensor '{full}' {what}")));
        let (name, info) = (&full[wrapped..], &file.tensors[full]);
        let Some(suffix) = SUFFIXES.into_iter().find(|suffix| name.ends_with(suffix)) else {
            return refuse(
                "fits nowhere: a fully connected network has weight, bias, running_mean and running_var only; \
                 remove it from the file"
                    .into(),
            );
        };
        if !matches!(info.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            return refuse(format!("has type {}; save it as f32, f16, bf16 or f64", info.dtype));
        }
        if info.shape.contains(&0) {
            return refuse(format!("of shape {:?} is empty", info.shape));
        }
        let group = groups.entry(&name[..name.len() - suffix.len()]).or_default();
        let part = match suffix {
            "weight" => &mut group.weight,
            "bias" => &mut group.bias,
            "running_mean" => &mut group.mean,
            _ => &mut group.var,
        };
        *part = Some(full.clone());
    }
    Ok(groups.into_iter().map(|(stem, group)| (trimmed(stem).to_owned(), group)).collect())
}

fn check_vector(file: &Container, name: Option<&String>, len: usize) -> Result<()> {
    match name {
        Some(name) if shape(file, name) != [len] => {
            let what = format!("tensor '{name}' has shape {:?}, its layer needs [{len}]", shape(file, name));
            Err(Error::file(&file.path, what))
        }
        _ => Ok(()),
    }
}

fn shape<'a>(file: &'a Container, name: &str) -> &'a [usize] {
    &file.tensors[name].shape
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
