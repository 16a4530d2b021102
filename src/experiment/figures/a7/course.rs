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

    /// One per seed.
    pub fn all(dirs: &[RunDir]) -> Result<Vec<Course>> {
        dirs.iter().map(Course::of).collect()
    }

    /// One per seed with the step at which it groks; none if any does not.
    pub fn grokked(dirs: &[RunDir]) -> Result<Option<Vec<(Course, f64)>>> {
        let courses = Course::all(dirs)?;
        Ok(courses.into_iter().map(|course| course.grokking().map(|at| (course, at))).collect())
    }

    /// First step at which a curve reaches half of its final value.
    pub fn half(&self, curve: &[f64]) -> f64 {
        let half = curve.last().copied().unwrap_or(0.0) / 2.0;
        let at = curve.iter().position(|value| *value >= half).unwrap_or(0);
        self.step[at]
    }

    /// The middle of grokking: the first step after the training set is memorised at which the test accuracy
    /// has come half the way to its highest value. None if it rises by less than 0.3.
    pub fn grokking(&self) -> Option<f64> {
        let memorised = self.train.iter().position(|train| *train >= 0.9)?;
        let (low, high) = (self.test[memorised], self.test.iter().copied().fold(0.0, f64::max));
        let middle = (memorised..self.step.len()).find(|&i| self.test[i] >= (low + high) / 2.0)?;
        (high - low >= 0.3).then(|| self.step[middle])
    }

    /// Indices of the probes before grokking at `at`: memorised, and at least half a decade before it.
    pub fn before(&self, at: f64) -> Vec<usize> {
        let memorised = self.train.iter().position(|train| *train >= 0.9).unwrap_or(0);
        (memorised..self.step.len()).filter(|&i| self.step[i] <= at / 10f64.sqrt()).collect()
    }
}
