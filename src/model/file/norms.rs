//! Which linear layer each batch norm follows.
//!
//! A wrong guess would go unnoticed in the numbers, so several readings of the names are tried and a
//! disagreement is an error that asks for `--bn-layers`.

use super::names::{Linear, Norm, numbers};
use crate::error::{Error, Result};
use std::path::Path;

/// Index of the linear layer of each norm.
type Places = Vec<usize>;

/// For every linear layer, which of `norms` follows it. `linears` is in network order, `norms` in the natural
/// order of names; `wanted` is `--bn-layers`: for each norm its layer, the first hidden layer being 2.
pub(super) fn place(
    path: &Path,
    linears: &[Linear],
    norms: &[Norm],
    wanted: Option<&[usize]>,
) -> Result<Vec<Option<usize>>> {
    let places = match wanted {
        Some(layers) => as_wanted(path, linears, norms, layers)?,
        None if norms.is_empty() => Vec::new(),
        None => guess(path, linears, norms)?,
    };
    let mut of = vec![None; linears.len()];
    for (norm, (place, about)) in places.into_iter().zip(norms).enumerate() {
        if place + 1 == linears.len() {
            let what = format!(
                "batch norm '{}' follows the last linear layer, '{}'",
                about.name, linears[place].name
            );
            return Err(Error::file(
                path,
                format!("{what}; batch norms of hidden layers only are supported"),
            ));
        }
        of[place] = Some(norm);
    }
    Ok(of)
}

fn as_wanted(path: &Path, linears: &[Linear], norms: &[Norm], layers: &[usize]) -> Result<Places> {
    let refuse = |what: String| Error::Usage(format!("{}: --bn-layers {what}", path.display()));
    if layers.len() != norms.len() {
        return Err(refuse(format!("needs one hidden layer for each of: {}", list(norms))));
    }
    let mut places = Places::new();
    for (&layer, norm) in layers.iter().zip(norms) {
        if layer < 2 || layer > linears.len() {
            let what = format!("{layer} for '{}': hidden layers are 2 to {}", norm.name, linears.len());
            return Err(refuse(what));
        }
        let outputs = linears[layer - 2].outputs;
        if outputs != norm.features {
            let (name, features) = (&norm.name, norm.features);
            return Err(refuse(format!(
                "{layer}: '{name}' has {features} features, the layer {outputs} neurons"
            )));
        }
        if places.contains(&(layer - 2)) {
            return Err(refuse(format!("names layer {layer} twice")));
        }
        places.push(layer - 2);
    }
    Ok(places)
}

fn guess(path: &Path, linears: &[Linear], norms: &[Norm]) -> Result<Places> {
    if let Some(norm) = norms.iter().find(|norm| linears.iter().all(|l| l.outputs != norm.features)) {
        let what =
            format!("tensor '{}' has {} features, no layer has as many neurons", norm.mean, norm.features);
        return Err(Error::file(path, what));
    }
    let unclear = |why: &str| {
        Err(Error::Usage(format!(
            "{}: {why}; say which hidden layer each batch norm follows with --bn-layers, one layer number (first \
             hidden = 2) for each of: {}",
            path.display(),
            list(norms)
        )))
    };
    let readings = match by_position(linears, norms) {
        // Inside one container the positions are the order of execution: nothing else may overrule them.
        Position::Known(places) => vec![places],
        Position::Unclear => {
            return unclear(
                "a batch norm does not stand right behind a linear layer; if the activation is between, this \
                 network is not supported",
            );
        }
        Position::Separate => {
            let readings = [by_size(linears, norms), by_number(linears, norms), by_count(linears, norms)];
            readings.into_iter().flatten().collect()
        }
    };
    let fits = |places: &Places| {
        let sizes = places.iter().zip(norms).all(|(&i, norm)| linears[i].outputs == norm.features);
        sizes && (1..places.len()).all(|i| !places[..i].contains(&places[i]))
    };
    let mut fitting = readings.into_iter().filter(fits);
    match fitting.next() {
        Some(places) if fitting.all(|other| other == places) => Ok(places),
        _ => unclear("the names of the batch norms leave their places open"),
    }
}

enum Position {
    /// All norms stand right behind a linear layer of the same container.
    Known(Places),
    /// Norms and layers share containers, but something stands between, or nothing before.
    Unclear,
    /// Norms and layers are in different containers.
    Separate,
}

/// `nn.Sequential` and the like: siblings numbered in the order of execution.
fn by_position(linears: &[Linear], norms: &[Norm]) -> Position {
    let mut places = Places::new();
    for norm in norms {
        let Some((container, at)) = sibling(&norm.name) else { return Position::Separate };
        let siblings: Vec<(usize, usize)> = (0..linears.len())
            .filter_map(|i| Some((i, sibling(&linears[i].name)?)))
            .filter(|(_, (other, _))| *other == container)
            .map(|(i, (_, number))| (number, i))
            .collect();
        if siblings.is_empty() {
            return Position::Separate;
        }
        // With a gap between them, the activation may stand before the norm.
        match siblings.into_iter().find(|(number, _)| Some(*number) == at.checked_sub(1)) {
            Some((_, i)) => places.push(i),
            None => return Position::Unclear,
        }
    }
    Position::Known(places)
}

/// `a.b.3` is number 3 in the container `a.b`.
fn sibling(name: &str) -> Option<(&str, usize)> {
    let (container, number) = name.rsplit_once('.').unwrap_or(("", name));
    Some((container, number.parse().ok()?))
}

/// The only place of this size for the only norm of this size.
fn by_size(linears: &[Linear], norms: &[Norm]) -> Option<Places> {
    let place = |norm: &Norm| {
        let rivals = norms.iter().filter(|other| other.features == norm.features).count();
        let fitting: Vec<usize> =
            (0..linears.len()).filter(|&i| linears[i].outputs == norm.features).collect();
        (rivals == 1 && fitting.len() == 1).then(|| fitting[0])
    };
    norms.iter().map(place).collect()
}

/// The layer with the same numbers in its name: `layers.3` and `bns.3`, `block2.fc` and `block2.bn`.
fn by_number(linears: &[Linear], norms: &[Norm]) -> Option<Places> {
    let place = |norm: &Norm| {
        let own = numbers(&norm.name);
        let mut same = (0..linears.len()).filter(|&i| !own.is_empty() && numbers(&linears[i].name) == own);
        same.next().filter(|_| same.next().is_none())
    };
    norms.iter().map(place).collect()
}

/// As many norms as hidden layers, told apart by numbers alone: the i-th follows the i-th linear layer.
fn by_count(linears: &[Linear], norms: &[Norm]) -> Option<Places> {
    let words = |norm: &Norm| norm.name.replace(|c: char| c.is_ascii_digit(), "");
    let alike = norms.iter().all(|norm| words(norm) == words(&norms[0]));
    (alike && norms.len() + 1 == linears.len()).then(|| (0..norms.len()).collect())
}

fn list(norms: &[Norm]) -> String {
    let names: Vec<&str> = norms.iter().map(|norm| &norm.name[..]).collect();
    names.join(", ")
}
