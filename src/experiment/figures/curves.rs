//! From run directories to curves: values by step, mean and standard error over seeds.

use crate::store::{Axis, Metrics, RunDir, Series, Style};
use crate::{Error, Result};

/// Mean and standard error of values over seeds; no error for a single one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean.
    pub mean: f64,
    /// Standard error of the mean; none for one seed.
    pub error: Option<f64>,
}

impl Estimate {
    /// Of these values.
    pub fn of(values: &[f64]) -> Estimate {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let error = (values.len() > 1).then(|| (spread / (n - 1.0) / n).sqrt());
        Estimate { mean, error }
    }

    /// `0.9123 ± 0.0007`, or without error for a single seed.
    pub fn text(&self, digits: usize) -> String {
        match self.error {
            Some(error) => format!("{:.digits$} ± {error:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

/// One column of `metrics.csv` of one run: (step, value) where there is a value.
pub fn column(dir: &RunDir, name: &str) -> Result<Vec<(f64, f64)>> {
    let Metrics { columns, rows } = dir.metrics()?;
    let Some(at) = columns.iter().position(|column| column == name) else {
        return Err(Error::file(&dir.path().join("metrics.csv"), format!("has no column {name}")));
    };
    Ok(rows.iter().filter_map(|row| Some((row.first().copied()??, row.get(at).copied()??))).collect())
}

/// The last value of a column, one per seed.
pub fn last(dirs: &[RunDir], name: &str) -> Result<Vec<f64>> {
    let last = |dir: &RunDir| {
        let values = column(dir, name)?;
        let missing = || Error::file(&dir.path().join("metrics.csv"), format!("column {name} is empty"));
        values.last().map(|(_, value)| *value).ok_or_else(missing)
    };
    dirs.iter().map(last).collect()
}

/// A curve from (x, values over seeds) pairs.
pub fn series(label: &str, color: usize, style: Style, points: &[(f64, Vec<f64>)]) -> Series {
    let estimates: Vec<Option<Estimate>> =
        points.iter().map(|(_, values)| (!values.is_empty()).then(|| Estimate::of(values))).collect();
    let error: Vec<Option<f64>> = estimates.iter().map(|e| e.and_then(|e| e.error)).collect();
    Series {
        label: label.into(),
        x: points.iter().map(|(x, _)| *x).collect(),
        y: estimates.iter().map(|e| e.map(|e| e.mean)).collect(),
        error: error.iter().any(Option::is_some).then_some(error),
        style,
        right: false,
        color,
        shade: None,
    }
}

/// A column over steps, mean over seeds, at the steps that every seed has; the abscissa is scaled by `x`.
pub fn over_steps(
    dirs: &[RunDir],
    name: &str,
    x: impl Fn(f64) -> f64,
    (label, color, style): (&str, usize, Style),
) -> Result<Series> {
    let seeds: Vec<Vec<(f64, f64)>> = dirs.iter().map(|dir| column(dir, name)).collect::<Result<_>>()?;
    let first = seeds.first().cloned().unwrap_or_default();
    let at = |step: f64| -> Vec<f64> {
        seeds.iter().flat_map(|seed| seed.iter().find(|(s, _)| *s == step).map(|(_, value)| *value)).collect()
    };
    let points: Vec<(f64, Vec<f64>)> = first.iter().map(|(step, _)| (x(*step), at(*step))).collect();
    Ok(series(label, color, style, &points))
}

/// The curve without step 0, which has no place on a logarithmic axis.
pub fn started(mut series: Series) -> Series {
    if series.x.first() == Some(&0.0) {
        series.x.remove(0);
        series.y.remove(0);
        if let Some(error) = &mut series.error {
            error.remove(0);
        }
    }
    series
}

/// A linear axis.
pub fn linear_axis(label: &str) -> Axis {
    Axis { label: label.into(), log: false, range: None }
}

/// A logarithmic axis.
pub fn log_axis(label: &str) -> Axis {
    Axis { label: label.into(), log: true, range: None }
}

/// A probability density over the rank axis, mean over the repetitions given.
pub fn density(densities: &[&[f64]], (label, color, style): (&str, usize, Style)) -> Series {
    let bins = densities.first().map_or(0, |density| density.len());
    let centre = |bin: usize| (bin as f64 + 0.5) / bins as f64;
    let points: Vec<(f64, Vec<f64>)> = (0..bins)
        .map(|bin| (centre(bin), densities.iter().filter_map(|density| density.get(bin).copied()).collect()))
        .collect();
    series(label, color, style, &points)
}

/// The axes of densities over ranks.
pub fn rank_axes() -> (Axis, Axis) {
    let x = linear_axis("normalised rank (0 = largest signed local field)").within(0.0, 1.0);
    (x, linear_axis("probability density"))
}
