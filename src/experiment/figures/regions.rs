//! How the test samples of a run lie among its training samples in the plane of the output layer, at a snapshot.

mod outline;

use crate::Result;
use crate::analysis::{Projection, region_overlap};
use crate::data::Which;
use crate::experiment::{Analysis, Measurement, Runs};
use crate::model::BnMode;
use crate::store::{Plane, RunDir, Series, Style};
use crate::train::Snapshot;
use outline::outline;

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

    /// The test samples before the regions of the training samples in the same mode, in the colours given for the
    /// digits; none for a run without the snapshot.
    pub fn plane(
        self,
        dir: &RunDir,
        at: Snapshot,
        mode: BnMode,
        (caption, colors): (String, &[usize]),
    ) -> Result<Option<Plane>> {
        let of = |set| self.of(at, set, mode).result::<Projection>(dir);
        let Some((train, test)) = of(Which::Train)?.zip(of(Which::Test)?) else { return Ok(None) };
        let digits = || self.digits.iter().zip(colors);
        let regions = digits().map(|(&digit, &color)| region_of(&train, digit, color));
        let points = digits().map(|(&digit, &color)| points_of(&test, digit, color, DRAWN));
        Ok(Some(Plane { caption, series: regions.chain(points).collect() }))
    }
}

/// Points of a digit in a small plot; more would hide each other.
const DRAWN: usize = 100;

/// Where most samples of a digit lie.
pub(super) fn region_of(projection: &Projection, digit: usize, color: usize) -> Series {
    let corners: Vec<(f64, f64)> =
        outline(&of_digit(projection, digit)).into_iter().map(|[x, y]| (x, y)).collect();
    Series::new(format!("region of training samples of digit {digit}"), Style::Region, color, &corners)
}

/// The first samples of a digit, at most `limit`.
pub(super) fn points_of(projection: &Projection, digit: usize, color: usize, limit: usize) -> Series {
    let points = of_digit(projection, digit).into_iter().take(limit);
    let points: Vec<(f64, f64)> = points.map(|[x, y]| (x, y)).collect();
    Series::new(format!("digit {digit}"), Style::Points, color, &points)
}

fn of_digit(projection: &Projection, digit: usize) -> Vec<[f64; 2]> {
    let own = projection.coordinates.iter().zip(&projection.labels);
    own.filter(|(_, label)| usize::from(**label) == digit).map(|(at, _)| *at).collect()
}
