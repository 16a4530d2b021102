//! How the test samples of a run lie among its training samples in the plane of the output layer, at a snapshot.

use crate::Result;
use crate::analysis::{Projection, region_overlap};
use crate::data::Which;
use crate::experiment::{Analysis, Measurement, Runs};
use crate::model::BnMode;
use crate::train::Snapshot;

/// From this share on of test points whose nearest training point has their class, the regions overlap.
pub(super) const OVERLAP: f64 = 0.75;

/// Which samples are looked at: those of these digits among the first so many of each set.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub digits: &'static [usize],
    pub limit: usize,
}

impl View {
    /// The projection of one set in one mode.
    pub fn of(self, at: Snapshot, set: Which, mode: BnMode) -> Measurement {
        let projection = Measurement::new(Analysis::Projection, at).on(set).in_mode(mode).limited(self.limit);
        projection.with(|options| options.classes = Some(self.digits.to_vec()))
    }

    /// Training and test set in both modes.
    pub fn measurements(self, at: Snapshot) -> Vec<Measurement> {
        let sets = [Which::Train, Which::Test].into_iter();
        sets.flat_map(|set| [BnMode::Eval, BnMode::Batch].map(|mode| self.of(at, set, mode))).collect()
    }

    /// Region overlap of the test set with the training set, mean over the digits, one value for each repetition that
    /// has the snapshot.
    pub fn overlap(self, runs: &Runs, run: &str, at: Snapshot, mode: BnMode) -> Result<Vec<f64>> {
        self.overlap_of(runs, run, at, [(Which::Train, mode), (Which::Test, mode)])
    }

    /// Region overlap of the second set and mode with the first, as [`View::overlap`].
    pub fn overlap_of(
        self,
        runs: &Runs,
        run: &str,
        at: Snapshot,
        sets: [(Which, BnMode); 2],
    ) -> Result<Vec<f64>> {
        let [train, test] = sets.map(|(set, mode)| runs.found::<Projection>(run, &self.of(at, set, mode)));
        let mean = |(train, test): (Projection, Projection)| {
            let regions = region_overlap(&train, &test);
            let shares: Vec<f64> = regions.iter().filter_map(|region| region.overlap).collect();
            (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
        };
        Ok(train?.into_iter().zip(test?).filter_map(mean).collect())
    }
}
