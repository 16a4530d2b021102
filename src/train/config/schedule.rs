//! When probes measure.

use super::resolve::usage;
use crate::Result;
use serde::{Deserialize, Serialize};

/// When probes measure; the last step is always measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Schedule {
    /// Every so many steps, and step 0.
    Every(u64),
    /// At these steps.
    Steps(Vec<u64>),
    /// "log" (20 a decade, each step at first) or "log:N" (N a decade).
    Log(String),
}

impl Schedule {
    /// The steps to measure at, ascending, up to and including `last`.
    pub fn steps(&self, last: u64) -> Vec<u64> {
        let mut steps: Vec<u64> = match self {
            Schedule::Every(every) => (0..=last).step_by((*every).max(1) as usize).collect(),
            Schedule::Steps(steps) => steps.iter().copied().filter(|step| *step <= last).collect(),
            Schedule::Log(_) => {
                let per_decade = self.per_decade().unwrap_or(20.0);
                let decades = (last.max(1) as f64).log10();
                let points = (decades * per_decade).floor() as u64;
                let at = |k: u64| 10f64.powf(k as f64 / per_decade).round() as u64;
                std::iter::once(0).chain((0..=points).map(at)).filter(|step| *step <= last).collect()
            }
        };
        steps.push(last);
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    pub(super) fn per_decade(&self) -> Result<f64> {
        let Schedule::Log(text) = self else { return Ok(20.0) };
        let number = match text.strip_prefix("log") {
            Some("") => Some(20.0),
            Some(rest) => rest.strip_prefix(':').and_then(|n| n.parse().ok()).filter(|n| *n >= 1.0),
            None => None,
        };
        let what =
            || format!("'{text}' is neither \"log\", \"log:N\", a number of steps nor a list of steps");
        number.map_or_else(|| usage("probe.schedule", what()), Ok)
    }
}
