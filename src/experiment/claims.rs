//! Verdicts by numbers, never by eye.

use super::figures::Estimate;
use crate::store::{Claim, Verdict};

/// A statement with what the paper says in numbers.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    /// Number in the list of claims.
    pub id: &'static str,
    /// One sentence.
    pub text: &'static str,
    /// The paper's number.
    pub paper: Option<&'static str>,
}

impl Statement {
    /// The statement with its verdict.
    pub fn decided(self, verdict: Verdict, ours: String, reason: impl Into<String>) -> Claim {
        Claim {
            id: self.id.into(),
            text: self.text.into(),
            paper: self.paper.map(str::to_owned),
            ours,
            verdict,
            reason: reason.into(),
        }
    }
}

/// Whether `value` lies below `limit`: undecided within two standard errors of it.
pub fn below(value: Estimate, limit: f64) -> Verdict {
    let margin = 2.0 * value.error.unwrap_or(0.0);
    match value.mean - limit {
        difference if difference < -margin => Verdict::Held,
        difference if difference > margin => Verdict::NotHeld,
        _ => Verdict::Undecided,
    }
}

/// Whether `value` lies above `limit`: undecided within two standard errors of it.
pub fn above(value: Estimate, limit: f64) -> Verdict {
    below(Estimate { mean: -value.mean, ..value }, -limit)
}

/// Whether accuracies rise strictly in this order, each measured on `samples` test samples. The error of a
/// difference is that over seeds or that of the finite test set, whichever is larger.
pub fn rising(accuracies: &[Estimate], samples: usize) -> Verdict {
    let mut verdict = Verdict::Held;
    for pair in accuracies.windows(2) {
        let error =
            (square(accuracy_error(pair[0], samples)) + square(accuracy_error(pair[1], samples))).sqrt();
        let difference = Estimate { mean: pair[1].mean - pair[0].mean, error: Some(error) };
        match above(difference, 0.0) {
            Verdict::NotHeld => return Verdict::NotHeld,
            Verdict::Undecided => verdict = Verdict::Undecided,
            Verdict::Held => {}
        }
    }
    verdict
}

/// Standard error of an accuracy: over seeds, at least that of `samples` draws.
pub fn accuracy_error(accuracy: Estimate, samples: usize) -> f64 {
    let binomial = (accuracy.mean * (1.0 - accuracy.mean) / samples as f64).max(0.0).sqrt();
    binomial.max(accuracy.error.unwrap_or(0.0))
}

/// A verdict on values of which one run gives no error: undecided for a single seed.
pub fn over_seeds(value: Estimate, verdict: impl Fn(Estimate) -> Verdict) -> Verdict {
    if value.error.is_some() { verdict(value) } else { Verdict::Undecided }
}

/// All of several parts: held if all are, not held if any is not.
pub fn all(parts: &[Verdict]) -> Verdict {
    if parts.contains(&Verdict::NotHeld) {
        Verdict::NotHeld
    } else if parts.contains(&Verdict::Undecided) {
        Verdict::Undecided
    } else {
        Verdict::Held
    }
}

/// The same share of the seeds for a yes/no finding: held if all say yes, not held if none does.
pub fn of_seeds(findings: &[bool]) -> Verdict {
    match findings.iter().filter(|found| **found).count() {
        n if n == findings.len() => Verdict::Held,
        0 => Verdict::NotHeld,
        _ => Verdict::Undecided,
    }
}

fn square(value: f64) -> f64 {
    value * value
}
