//! The course of a deep network's training in one batch-norm mode, and what it says about phases, grokking and speed.

use crate::analysis::{Phase, phase};
use crate::model::BnMode;
use crate::store::{Metrics, RunDir};
use crate::{Error, Result};

/// Both modes, the papers' first.
pub const MODES: [BnMode; 2] = [BnMode::Eval, BnMode::Batch];

/// One run's probes.
pub struct Course {
    /// Updates before each probe.
    pub step: Vec<f64>,
    /// Training accuracy in batch mode, by which a network counts as trained; NaN where it was not probed.
    pub learnt: Vec<f64>,
    /// Training accuracy in this mode; NaN where it was not probed.
    pub train: Vec<f64>,
    /// Test accuracy in this mode.
    pub test: Vec<f64>,
    /// Test loss in this mode; NaN where it was not probed.
    pub loss: Vec<f64>,
    /// RPD gradients of layers 2…L−1 in this mode, \[probe\]\[layer − 2\].
    pub gradients: Vec<Vec<f64>>,
}

/// A probe at which the training set is learnt and the test accuracy lowest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// Its test accuracy.
    pub test: f64,
    /// The training accuracy in the same mode.
    pub train: f64,
}

impl Course {
    /// From the metrics of a finished run.
    pub fn of(dir: &RunDir, mode: BnMode) -> Result<Course> {
        let Metrics { columns, rows } = dir.metrics()?;
        let mode = mode.name();
        let found = |name: &str| {
            let at = columns.iter().position(|column| column == name);
            let value = |row: &Vec<Option<f64>>| at.and_then(|at| *row.get(at)?).unwrap_or(f64::NAN);
            (at.is_some(), rows.iter().map(value).collect::<Vec<f64>>())
        };
        let column = |name: &str| match found(name) {
            (true, values) => Ok(values),
            (false, _) => Err(Error::file(&dir.path().join("metrics.csv"), format!("has no column {name}"))),
        };
        let prefix = format!("rpd_gradient.{mode}.");
        let layers: Vec<Vec<f64>> = columns
            .iter()
            .filter(|name| name.starts_with(&prefix))
            .map(|name| column(name))
            .collect::<Result<_>>()?;
        Ok(Course {
            step: column("step")?,
            learnt: found("train_accuracy.batch.all").1,
            train: found(&format!("train_accuracy.{mode}.all")).1,
            test: column(&format!("test_accuracy.{mode}.all"))?,
            loss: found(&format!("test_loss.{mode}.all")).1,
            gradients: (0..rows.len()).map(|i| layers.iter().map(|layer| layer[i]).collect()).collect(),
        })
    }

    /// One per repetition.
    pub fn all(dirs: &[RunDir], mode: BnMode) -> Result<Vec<Course>> {
        dirs.iter().map(|dir| Course::of(dir, mode)).collect()
    }

    /// The learning phase at every probe.
    pub fn phases(&self) -> Vec<Option<Phase>> {
        self.gradients.iter().map(|gradients| phase(gradients)).collect()
    }

    /// Clear phases that last for three probes or more, in the order of their appearance, with their first step.
    pub fn stages(&self) -> Vec<(Phase, f64)> {
        let clear = |phase: &Phase| !matches!(phase, Phase::Unsorted | Phase::Mixed);
        let mut stages: Vec<(Phase, f64)> = vec![];
        let mut first = 0;
        for stretch in self.phases().chunk_by(|a, b| a == b) {
            if let Some(phase) = stretch[0].filter(clear)
                && stretch.len() >= 3
                && stages.last().is_none_or(|last| last.0 != phase)
            {
                stages.push((phase, self.step[first]));
            }
            first += stretch.len();
        }
        stages
    }

    /// Whether the run is in phase II at every probe after the first 5 % of its steps; none if no probe lies there.
    pub fn settled(&self) -> Option<bool> {
        self.settled_after(0.05 * self.step.last()?)
    }

    /// Whether the run is in phase II at every probe after this step; none if no probe lies there.
    pub fn settled_after(&self, start: f64) -> Option<bool> {
        let later = self.step.iter().zip(self.phases()).filter(|(step, _)| **step > start);
        let later: Vec<bool> = later.map(|(_, phase)| phase == Some(Phase::II)).collect();
        (!later.is_empty()).then(|| later.into_iter().all(|second| second))
    }

    /// The lowest test accuracy at any probe with a training accuracy (batch mode) of at least 0.9; none without one.
    pub fn lag(&self) -> Option<Lag> {
        let learnt = (0..self.step.len()).filter(|&i| self.learnt[i] >= 0.9 && self.test[i].is_finite());
        let lowest = learnt.min_by(|a, b| self.test[*a].total_cmp(&self.test[*b]))?;
        Some(Lag { test: self.test[lowest], train: self.train[lowest] })
    }

    /// Steps between training (batch mode) and test accuracy reaching half of their final values.
    pub fn delay(&self) -> f64 {
        let half = |curve: &[f64]| {
            let half = curve.last().copied().unwrap_or(0.0) / 2.0;
            curve.iter().position(|value| *value >= half).map_or(0.0, |at| self.step[at])
        };
        half(&self.test) - half(&self.learnt)
    }

    /// Index of the first probe with the highest test accuracy.
    pub fn best(&self) -> usize {
        let higher = |best: usize, i: usize| if self.test[i] > self.test[best] { i } else { best };
        (0..self.test.len()).fold(0, higher)
    }

    /// First step at which the test accuracy reaches this share of its highest value.
    pub fn reaches(&self, share: f64) -> Option<f64> {
        let goal = share * self.test.get(self.best())?;
        self.test.iter().position(|test| *test >= goal).map(|at| self.step[at])
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, Lag};
    use crate::analysis::Phase;

    /// A run of these training (batch mode) and test accuracies, probed at steps 0, 10, 20, …
    fn course(learnt: &[f64], test: &[f64]) -> Course {
        Course {
            step: (0..learnt.len()).map(|i| 10.0 * i as f64).collect(),
            learnt: learnt.to_vec(),
            train: test.to_vec(),
            test: test.to_vec(),
            loss: vec![1.0; test.len()],
            gradients: vec![vec![0.2, 0.3, 0.4]; test.len()],
        }
    }

    #[test]
    fn a_run_that_lags() {
        let run = course(&[0.1, 0.6, 0.95, 1.0, 1.0], &[0.1, 0.1, 0.12, 0.3, 0.9]);
        assert_eq!(run.lag(), Some(Lag { test: 0.12, train: 0.12 }));
        assert_eq!(run.delay(), 30.0);
        assert_eq!((run.best(), run.reaches(0.99), run.reaches(0.3)), (4, Some(40.0), Some(30.0)));
        assert_eq!(course(&[0.1, 0.5], &[0.1, 0.5]).lag(), None);
    }

    #[test]
    fn only_clear_and_lasting_phases_are_stages() {
        let mut run = course(&[0.1; 10], &[0.1; 10]);
        run.gradients[0] = vec![0.0; 3];
        for at in [1, 2, 3, 5] {
            run.gradients[at] = vec![0.9, 0.5, 0.3];
        }
        assert_eq!(run.stages(), [(Phase::I, 10.0), (Phase::II, 60.0)]);
        assert_eq!(run.settled(), Some(false));
    }
}
