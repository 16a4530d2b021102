//! What the papers claim about the accuracies of the shallow networks.

use super::super::Setting;
use super::super::curves::{Estimate, last};
use super::{LINEAR, LMAP, LP, TANH, dirs};
use crate::Result;
use crate::experiment::Runs;
use crate::experiment::claims::{Statement, accuracy_error, rising};
use crate::store::{Claim, Series, Verdict};

/// Claim 2: LNN and L-map leave the tanh curve at the same place.
pub(super) fn parting(
    drawn: &[Series],
    at: &[f64],
    id: &'static str,
    unit: &str,
    setting: &Setting,
) -> Claim {
    let text = match id {
        "2a" => "Tanh, linear and L-map accuracies part at the same training-set size.",
        _ => "Tanh, linear and L-map accuracies part at the same epoch.",
    };
    let samples = if setting.samples < 60_000 { 1_000 } else { 10_000 };
    let tanh = &drawn[0];
    let parts = |other: &Series| -> Option<usize> {
        // From here on the curves stay more than two standard errors apart.
        let apart = |i: usize| {
            let (Some(a), Some(b)) = (tanh.y[i], other.y[i]) else { return false };
            let error = |s: &Series, mean| {
                accuracy_error(Estimate { mean, error: s.error.as_ref().and_then(|e| e[i]) }, samples)
            };
            (a - b).abs() > 2.0 * error(tanh, a).hypot(error(other, b))
        };
        (0..at.len()).rev().take_while(|i| apart(*i)).last()
    };
    let linear = parts(&drawn[1]);
    let lmap = drawn.iter().find(|s| s.label == LMAP.0).and_then(parts);
    let name = |i: Option<usize>| i.map_or("never".into(), |i| format!("{unit} {}", round3(at[i])));
    let verdict = match (linear, lmap) {
        (Some(a), Some(b)) if a.abs_diff(b) <= 1 => Verdict::Held,
        (Some(_), Some(_)) => Verdict::NotHeld,
        _ => Verdict::Undecided,
    };
    Statement { id, text, paper: Some("simultaneously") }.decided(
        verdict,
        format!("linear parts at {}, L-map at {}", name(linear), name(lmap)),
        "the first point from which on the curves stay two standard errors apart; the same or neighbouring points \
         count as simultaneous",
    )
}

fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Claim 15: the order of the final accuracies.
pub(super) fn ordering(setting: &Setting, runs: &Runs) -> Result<Claim> {
    let mut values = Vec::new();
    for &(_, kind, name, ..) in &[LMAP, LP, LINEAR, TANH] {
        values.push(Estimate::of(&last(dirs(runs, kind, setting.samples)?, name)?));
    }
    let samples = if setting.samples < 60_000 { 1_000 } else { 10_000 };
    let text: Vec<String> = ["tanh", "LNN", "LP", "L-map"]
        .iter()
        .zip(values.iter().rev())
        .map(|(n, v)| format!("{n} {}", v.text(4)))
        .collect();
    Ok(Statement {
        id: "15",
        text: "After the full training set: tanh > LNN > LP > L-map in test accuracy.",
        paper: Some("tanh > LNN > LP > L-map"),
    }
    .decided(
        rising(&values, samples),
        text.join(", "),
        "each difference against two standard errors (over seeds, at least that of the test set)",
    ))
}
