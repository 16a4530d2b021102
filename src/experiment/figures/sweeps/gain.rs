//! S2: how large the initial weights should be. Basins at initialisation and after a short training, by gain.
//!
//! An untrained network is right by chance alone, so its basins are those of its own predictions: the amplitude at
//! which half of the noise draws change the predicted class of a sample, median over samples (paper A, Sec. II.D). They
//! are measured under batch statistics: the running ones know nothing of the data yet, and with them a deep untrained
//! network gives all samples the same class, whatever the noise.

use super::super::basins::{self, Edge, MODES, SPACES, basin, both_modes};
use super::super::curves::{Estimate, log_axis, series};
use super::super::deep::{deep, wide};
use super::super::{Drawing, Setting};
use super::sweep::line;
use super::{depth, list, log_spaced, smaller};
use crate::Result;
use crate::analysis::{Basin, Detail, Space};
use crate::experiment::figures::grid::best;
use crate::experiment::{Measurement, Plan, Runs};
use crate::model::BnMode;
use crate::store::{Axis, Mark, Series, Style};
use crate::train::{Probe, Schedule, Snapshot};

/// The untrained network.
const START: Snapshot = Snapshot::Step(0);
/// Samples whose predictions are followed one by one.
const FOLLOWED: usize = 200;

fn gains() -> Vec<f64> {
    let rounded = |gain: f64| (gain * 1e3).round() / 1e3;
    log_spaced(0.1, 10.0).into_iter().map(rounded).collect()
}

fn steps(setting: &Setting) -> u64 {
    setting.pick(60, 500)
}

pub(super) fn setting(setting: &Setting) -> String {
    format!(
        "784-{}x{}-10 ({} layers), ReLU, batch norm, no biases; initial weights U(±g/√fan_in), gains g = {}; Adam, rate \
         1e-3, cross-entropy, the first {} training samples as one batch, {} updates; pixels in [0, 1]; at the start \
         basins of the predictions of the first {FOLLOWED} training samples, sample by sample, median, under batch \
         statistics; at the end {}",
        wide(setting),
        depth(setting) - 2,
        depth(setting),
        list(&gains()),
        setting.deep_samples(),
        steps(setting),
        basins::words(setting),
    )
}

fn name(gain: f64) -> String {
    format!("gain-{gain}")
}

pub(super) fn runs(setting: &Setting) -> Result<Vec<Plan>> {
    let start = SPACES.map(|space| at_start(setting, space));
    let end = both_modes(setting, Snapshot::Last, &SPACES);
    let plan = |gain| {
        let mut config = deep(setting, depth(setting), wide(setting), steps(setting));
        config.init.gain = gain;
        config.probe.schedule = Schedule::Every(steps(setting) / 6);
        config.probe.what = vec![Probe::TestAccuracy];
        config.checkpoint.snapshots = vec![START, Snapshot::Last];
        Ok(setting.run(name(gain), &config)?.measuring(start.clone()).measuring(end.clone()))
    };
    gains().into_iter().map(plan).collect()
}

/// The basins of an untrained network's predictions.
fn at_start(setting: &Setting, space: Space) -> Measurement {
    let measurement = basin(setting, START, space, BnMode::Batch).limited(FOLLOWED);
    measurement.with(|options| options.detail = Detail { per_sample: true, ..Detail::default() })
}

/// The median size over samples; a sample that no noise changes counts as the largest.
fn median(basin: &Basin) -> Option<f64> {
    let mut sizes: Vec<f64> = basin.per_sample.iter().flatten().filter_map(|sample| sample.size).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(basin.per_sample.iter().flatten().count() / 2).copied()
}

pub(super) fn draw(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let trained = |space, mode| -> Result<Vec<(f64, Vec<f64>)>> {
        let what = basin(setting, Snapshot::Last, space, mode);
        let sizes = |gain| Ok((gain, basins::sizes(setting, runs, &name(gain), &what, Edge::Half)?.values));
        gains().into_iter().map(sizes).collect()
    };
    let accuracy = |mode| -> Result<Vec<(f64, Vec<f64>)>> {
        gains().into_iter().map(|gain| Ok((gain, best(runs.of(&name(gain))?, mode)?))).collect()
    };
    let mut drawn = Vec::new();
    for mode in MODES {
        for (color, space) in SPACES.into_iter().enumerate() {
            drawn.push(line(
                &format!("{}, trained", basins::name(space)),
                color,
                mode,
                &trained(space, mode)?,
            ));
        }
        drawn.push(Series { right: true, ..line("test accuracy", 2, mode, &accuracy(mode)?) });
    }
    for (color, space) in SPACES.into_iter().enumerate() {
        let start = |gain| {
            let found: Vec<Basin> = runs.found(&name(gain), &at_start(setting, space))?;
            Ok((gain, found.iter().filter_map(median).collect()))
        };
        let points: Vec<(f64, Vec<f64>)> = gains().into_iter().map(start).collect::<Result<_>>()?;
        let label = format!("{}, at the start, batch mode", basins::name(space));
        drawn.push(series(&label, color, Style::Dashed, &points));
    }
    let [sample, weight] = [trained(Space::Sample, BnMode::Eval)?, trained(Space::Weight, BnMode::Eval)?];
    Ok(Drawing {
        caption: "Batch norm undoes the gain at the start, so the dashed lines (the basins of a network's own first \
                  guesses) are level; training feels it, since an update of the same size turns small weights further. \
                  Marked: where both basins are largest (by geometric mean), and where the test accuracy is."
            .into(),
        scaled_down: smaller(setting),
        y_right: Some(Axis::linear("best test accuracy")),
        series: drawn,
        marks: marks(&product(&sample, &weight), &accuracy(BnMode::Eval)?),
        ..Drawing::new(log_axis("gain of the initial weights"), log_axis("basin size (noise amplitude)"))
    })
}

/// The gain with the largest mean over seeds.
fn largest(points: &[(f64, Vec<f64>)]) -> Option<f64> {
    let means = points.iter().filter(|(_, values)| !values.is_empty());
    let means = means.map(|(gain, values)| (*gain, Estimate::of(values).mean));
    means.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(gain, _)| gain)
}

/// The product of both basins, where every seed has both.
fn product(sample: &[(f64, Vec<f64>)], weight: &[(f64, Vec<f64>)]) -> Vec<(f64, Vec<f64>)> {
    let both = sample.iter().zip(weight).filter(|((_, s), (_, w))| s.len() == w.len());
    both.map(|((gain, s), (_, w))| (*gain, s.iter().zip(w).map(|(s, w)| s * w).collect())).collect()
}

/// One mark where both maxima coincide, else two.
fn marks(basins: &[(f64, Vec<f64>)], accuracy: &[(f64, Vec<f64>)]) -> Vec<Mark> {
    let mark = |x, label: &str| Mark { x, label: label.into() };
    match (largest(basins), largest(accuracy)) {
        (Some(basins), Some(accuracy)) if basins == accuracy => {
            vec![mark(basins, "basins and accuracy best")]
        }
        (basins, accuracy) => {
            let basins = basins.map(|x| mark(x, "basins largest"));
            let accuracy = accuracy.map(|x| mark(x, "accuracy best"));
            basins.into_iter().chain(accuracy).collect()
        }
    }
}
