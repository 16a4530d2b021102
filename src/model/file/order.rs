//! The order of the linear layers: the one in which their shapes chain from input to classes.
//!
//! With sizes as nodes and layers as arrows from inputs to outputs, an order that chains is a walk along all
//! arrows (an Euler walk), so neither finding one nor telling whether it is the only one takes a search.

use super::names::Linear;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Far beyond any network, and far below what would take noticeable time.
const MOST_LAYERS: usize = 4096;

/// `linears`, which come in the natural order of their names, in the order of the network; `wanted` is
/// `--layer-order`.
pub(super) fn chain(path: &Path, linears: Vec<Linear>, wanted: Option<&[String]>) -> Result<Vec<Linear>> {
    if linears.is_empty() {
        let what = "holds no 2-D tensor whose name ends in 'weight', so there is no network in it";
        return Err(Error::file(path, what));
    }
    if linears.len() > MOST_LAYERS {
        let what = format!("has {} linear layers; {MOST_LAYERS} is the limit", linears.len());
        return Err(Error::file(path, what));
    }
    if let Some(wanted) = wanted {
        return as_wanted(path, linears, wanted);
    }
    if first_break(&linears).is_none() {
        return Ok(linears);
    }
    match euler_walk(&linears) {
        Walk::Only(order) => Ok(order.into_iter().map(|i| linears[i].clone()).collect()),
        Walk::Several => Err(Error::Usage(format!(
            "{}: the shapes of the layers chain in several orders; give the right one, input first: \
             --layer-order {}",
            path.display(),
            list(&linears)
        ))),
        Walk::Missing => Err(broken(path, &linears)),
    }
}

fn as_wanted(path: &Path, linears: Vec<Linear>, wanted: &[String]) -> Result<Vec<Linear>> {
    let refuse = |what: String| Error::Usage(format!("{}: --layer-order {what}", path.display()));
    let mut order: Vec<Linear> = Vec::new();
    for text in wanted {
        let Some(linear) = linears.iter().find(|linear| linear.is_called(text)) else {
            return Err(refuse(format!("names '{text}', the file has {}", list(&linears))));
        };
        if order.iter().any(|earlier| earlier.weight == linear.weight) {
            return Err(refuse(format!("names '{text}' twice")));
        }
        order.push(linear.clone());
    }
    if order.len() != linears.len() {
        return Err(refuse(format!("must name every layer once: {}", list(&linears))));
    }
    match first_break(&order) {
        None => Ok(order),
        Some(i) => Err(refuse(format!("does not chain: {}", explain(&order[i], &order[i + 1])))),
    }
}

/// First i for which layer i does not fit layer i + 1.
fn first_break(linears: &[Linear]) -> Option<usize> {
    linears.windows(2).position(|pair| pair[0].outputs != pair[1].inputs)
}

fn broken(path: &Path, linears: &[Linear]) -> Error {
    const SHOWN: usize = 16;
    let size = |linear: &Linear| format!("{} {}→{}", linear.name, linear.inputs, linear.outputs);
    let mut sizes: Vec<String> = linears.iter().take(SHOWN).map(size).collect();
    if linears.len() > SHOWN {
        sizes.push("…".into());
    }
    let at = first_break(linears).map(|i| explain(&linears[i], &linears[i + 1])).unwrap_or_default();
    Error::file(path, format!("the shapes of the layers chain in no order ({}): {at}", sizes.join(", ")))
}

fn explain(a: &Linear, b: &Linear) -> String {
    format!(
        "tensor '{}' gives {} outputs, tensor '{}' takes {} inputs",
        a.weight, a.outputs, b.weight, b.inputs
    )
}

fn list(linears: &[Linear]) -> String {
    let names: Vec<&str> = linears.iter().map(|linear| &linear.name[..]).collect();
    names.join(",")
}

enum Walk {
    Missing,
    Only(Vec<usize>),
    Several,
}

fn euler_walk(linears: &[Linear]) -> Walk {
    let mut leaving: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut surplus: BTreeMap<usize, isize> = BTreeMap::new();
    for (i, linear) in linears.iter().enumerate() {
        leaving.entry(linear.inputs).or_default().push(i);
        leaving.entry(linear.outputs).or_default();
        *surplus.entry(linear.inputs).or_default() += 1;
        *surplus.entry(linear.outputs).or_default() -= 1;
    }
    let starts: Vec<usize> = surplus.iter().filter(|(_, more)| **more == 1).map(|(&size, _)| size).collect();
    let circuit = surplus.values().all(|&more| more == 0);
    let open = starts.len() == 1 && surplus.values().all(|&more| more.abs() <= 1);
    if !(circuit || open) {
        return Walk::Missing;
    }
    let start = if circuit { linears[0].inputs } else { starts[0] };
    if reached(linears, &leaving, start) != linears.len() {
        return Walk::Missing;
    }
    if circuit {
        return Walk::Several; // a circuit may begin anywhere
    }

    // An arrow may be taken next if the rest can still all be reached from its head.
    let (mut at, mut order) = (start, Vec::new());
    while order.len() < linears.len() {
        let candidates = leaving[&at].clone();
        let mut next = None;
        for &i in &candidates {
            leaving.entry(at).or_default().retain(|&other| other != i);
            let rest = linears.len() - order.len() - 1;
            let viable = candidates.len() == 1 || reached(linears, &leaving, linears[i].outputs) == rest;
            leaving.insert(at, candidates.clone());
            if viable && next.replace(i).is_some() {
                return Walk::Several;
            }
        }
        let Some(i) = next else { return Walk::Missing };
        leaving.entry(at).or_default().retain(|&other| other != i);
        order.push(i);
        at = linears[i].outputs;
    }
    Walk::Only(order)
}

/// How many of the arrows in `leaving` can be reached from `start`.
fn reached(linears: &[Linear], leaving: &BTreeMap<usize, Vec<usize>>, start: usize) -> usize {
    let (mut seen, mut open, mut count) = (std::collections::BTreeSet::from([start]), vec![start], 0);
    while let Some(size) = open.pop() {
        for &i in &leaving[&size] {
            count += 1;
            if seen.insert(linears[i].outputs) {
                open.push(linears[i].outputs);
            }
        }
    }
    count
}
