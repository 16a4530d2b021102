//! The course of one grokking run: its curves, and where on them it groks.

use super::super::curves::column;
use super::{GRADIENTS, NORM, SAMPLE, TEST, TRAIN, WEIGHT};
use crate::store::RunDir;
use crate::{Error, Result};

/// One run's columns, with the step at which it groks.
pub(super) struct Course {
    pub step: Vec<f64>,
    pub train: Vec<f64>,
    pub test: Vec<f64>,
    pub norm: Vec<f64>,
    pub gradients: [Vec<f64>; 2],
    pub sample: Vec<(f64, f64)>,
    pub weight: Vec<(f64, f64)>,
}

impl Course {
    pub fn of(dir: &RunDir) -> Result<Course> {
        let values = |name| Ok::<_, Error>(column(dir, name)?.into_iter().map(|(_, value)| value).collect());
        Ok(Course {
            step: column(dir, TEST)?.into_iter().map(|(step, _)| step).collect(),
            train: values(TRAIN)?,
            test: values(TEST)?,
            norm: values(NORM)?,
            gradients: [values(GRADIENTS[0])?, values(GRADIENTS[1])?],
            sample: column(dir, SAMPLE)?,
            weight: column(dir, WEIGHT)?,
        })
    }

    pub fn all(dirs: &[RunDir]) -> Result<Vec<Course>> {
        dirs.iter().map(Course::of).collect()
    }

    /// First step at which a curve has come half the way from its lowest value before to its final value.
    pub fn half(&self, curve: &[f64]) -> f64 {
        let half = curve.last().copied().unwrap_or(0.0) / 2.0;
        let at = curve.iter().position(|value| *value >= half).unwrap_or(0);
        self.step[at]
    }

    /// The step at which the test accuracy rises fastest per decade after the training set is memorised: the
    /// middle of grokking.
    pub fn grokking(&self) -> f64 {
        let memorised = self.train.iter().position(|train| *train >= 0.9).unwrap_or(0);
        let (low, high) = (self.test[memorised], self.test.iter().copied().fold(0.0, f64::max));
        let middle = (low + high) / 2.0;
        let after = (memorised..self.step.len()).find(|&i| self.test[i] >= middle);
        self.step[after.unwrap_or(self.step.len() - 1)]
    }

    /// Indices of the probes before grokking begins: memorised, and at least half a decade before its middle.
    pub fn before(&self) -> Vec<usize> {
        let memorised = self.train.iter().position(|train| *train >= 0.9).unwrap_or(0);
        let end = self.grokking() / 10f64.sqrt();
        (memorised..self.step.len()).filter(|&i| self.step[i] <= end).collect()
    }
}
