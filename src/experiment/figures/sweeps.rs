//! Training choices and both attraction basins: Fig. 4e, f of paper A, Fig. 5 of paper B, and the initial gain.
//!
//! Networks of ten layers (twelve at full scale, as in paper B), each measured where its test accuracy is best.

mod claims;
mod gain;
mod range;
mod sweep;

use super::basins::{self, Paper, both_modes};
use super::deep::{deep, fig3, scaled_down, wide};
use super::{Definition, Drawing, Setting, speed};
use crate::Result;
use crate::experiment::{Plan, Runs};
use crate::train::{Config, OptimizerKind, Probe, Schedule, Snapshot};
use sweep::{Kind, draw};

/// Panels of the families.
pub const FIGURES: &[Definition] = &[
    swept(
        "A4e",
        "Learning rate: both basins and test accuracy",
        "Paper A, Fig. 4(e)",
        compared_words,
        compared_runs,
        compared,
    ),
    swept(
        "A4f",
        "Batch size: both basins and test accuracy",
        "Paper A, Fig. 4(f)",
        batch_words,
        batch_runs,
        |s, r| draw(s, r, &BATCH, Paper::A),
    ),
    swept(
        "B5a",
        "Width with and without rescaled initial weights",
        "Paper B, Fig. 5(a)",
        range::setting,
        range::runs,
        range::draw,
    ),
    swept("B5b", "Relative basins and batch size", "Paper B, Fig. 5(b)", batch_words, batch_runs, |s, r| {
        draw(s, r, &BATCH, Paper::B)
    }),
    swept("B5c", "Relative basins and dropout", "Paper B, Fig. 5(c)", dropout_words, dropout_runs, |s, r| {
        draw(s, r, &DROPOUT, Paper::B)
    }),
    swept("B5d", "Relative basins and learning rate", "Paper B, Fig. 5(d)", rate_words, rate_runs, |s, r| {
        draw(s, r, &RATE, Paper::B)
    }),
    swept(
        "S2",
        "Gain of the initial weights: both basins and test accuracy",
        "Paper A, supplement",
        gain::setting,
        gain::runs,
        gain::draw,
    ),
];

const fn swept(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    setting: fn(&Setting) -> String,
    runs: fn(&Setting) -> Result<Vec<Plan>>,
    draw: fn(&Setting, &Runs) -> Result<Drawing>,
) -> Definition {
    Definition { id, title, source, setting, runs, draw }
}

const RATE: Kind = Kind { name: "rate", axis: "learning rate (SGD)", log: true, values: rates };
const BATCH: Kind = Kind { name: "batch", axis: "batch size (Adam)", log: true, values: batches };
const DROPOUT: Kind = Kind { name: "dropout", axis: "dropout rate", log: false, values: dropouts };

/// Points of a sweep.
const POINTS: usize = 8;

/// Equally spaced on a logarithmic axis.
fn log_spaced(from: f64, to: f64) -> Vec<f64> {
    (0..POINTS).map(|i| from * (to / from).powf(i as f64 / (POINTS - 1) as f64)).collect()
}

fn rates(_: &Setting) -> Vec<f64> {
    let rounded = |rate: f64| (rate * 1e4).round() / 1e4;
    log_spaced(0.01, 1.0).into_iter().map(rounded).collect()
}

fn batches(setting: &Setting) -> Vec<f64> {
    let all = setting.deep_samples() as f64;
    let mut sizes: Vec<f64> = log_spaced(100.0f64.min(all), all).into_iter().map(f64::round).collect();
    sizes.dedup();
    sizes
}

fn dropouts(_: &Setting) -> Vec<f64> {
    (0..POINTS).map(|i| i as f64 / 10.0).collect()
}

/// Layers of the networks.
fn depth(setting: &Setting) -> usize {
    setting.pick(10, 12)
}

fn rate_steps(setting: &Setting) -> u64 {
    setting.pick(300, 10_000)
}

fn epochs(setting: &Setting) -> u64 {
    setting.pick(40, 100)
}

fn dropout_steps(setting: &Setting) -> u64 {
    setting.pick(150, 5_000)
}

/// What all sweeps share: test accuracy and rank gradients (these on the first 2,000 samples) on the way, the network
/// with the best test accuracy.
fn base(setting: &Setting, steps: u64) -> Config {
    let mut config = deep(setting, depth(setting), wide(setting), steps);
    config.probe.schedule = Schedule::Log("log:6".into());
    config.probe.what = vec![Probe::TestAccuracy, Probe::Rpd];
    config.probe.limit = setting.pick(2_000, 0);
    config.checkpoint.snapshots = vec![Snapshot::Best];
    config
}

/// One run for each value of a sweep, with both basins in both modes.
fn runs(setting: &Setting, kind: &Kind, config: impl Fn(f64) -> Config) -> Result<Vec<Plan>> {
    let after = both_modes(setting, Snapshot::Best, &basins::SPACES);
    let plan = |value| Ok(setting.run(kind.run(value), &config(value))?.measuring(after.clone()));
    (kind.values)(setting).into_iter().map(plan).collect()
}

fn rate_runs(setting: &Setting) -> Result<Vec<Plan>> {
    runs(setting, &RATE, |rate| {
        let mut config = base(setting, rate_steps(setting));
        config.train.optimizer = OptimizerKind::Sgd;
        config.train.lr = Some(rate);
        config
    })
}

fn batch_runs(setting: &Setting) -> Result<Vec<Plan>> {
    runs(setting, &BATCH, |batch| {
        let per_epoch = setting.deep_samples().div_ceil(batch as usize) as u64;
        let mut config = base(setting, epochs(setting) * per_epoch);
        config.train.batch = batch as usize;
        config
    })
}

/// The runs of Fig. 3(a–g), whose speed is compared with that of the sweeps.
const PANELS: [char; 7] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/// Fig. 4(e), and the runs beside it that are compared in speed.
fn compared_runs(setting: &Setting) -> Result<Vec<Plan>> {
    let mut plans = rate_runs(setting)?;
    plans.extend(batch_runs(setting)?.into_iter().map(|plan| Plan { after: vec![], ..plan }));
    for panel in PANELS {
        plans.push(fig3(setting, panel)?);
    }
    Ok(plans)
}

fn compared(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let mut drawing = draw(setting, runs, &RATE, Paper::A)?;
    let mut all = vec![];
    for plan in compared_runs(setting)? {
        let dirs = runs.of(&plan.name)?;
        all.push((plan.name, dirs));
    }
    drawing.claims.push(speed::claim(&all)?);
    Ok(drawing)
}

fn dropout_runs(setting: &Setting) -> Result<Vec<Plan>> {
    runs(setting, &DROPOUT, |rate| {
        let mut config = base(setting, dropout_steps(setting));
        config.model.dropout = rate;
        config
    })
}

/// The network in words, then what is varied.
fn words(setting: &Setting, varied: &str) -> String {
    format!(
        "784-{}x{}-10 ({} layers), ReLU, batch norm, no biases; initial weights U(±1/√fan_in); cross-entropy; the first {} \
         training samples, pixels in [0, 1]; {varied}; measured at the best test accuracy (eval) among 6 probes a decade of \
         steps; {}",
        wide(setting),
        depth(setting) - 2,
        depth(setting),
        setting.deep_samples(),
        basins::words(setting),
    )
}

fn list(values: &[f64]) -> String {
    values.iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}

fn rate_words(setting: &Setting) -> String {
    let varied = format!(
        "SGD without momentum, all samples as one batch, {} updates; rates {}",
        rate_steps(setting),
        list(&rates(setting))
    );
    words(setting, &varied)
}

fn compared_words(setting: &Setting) -> String {
    format!("{}; speed is compared over these runs and those of A3a to A3g and A4f", rate_words(setting))
}

fn batch_words(setting: &Setting) -> String {
    let varied = format!(
        "Adam, rate 1e-3, {} epochs; batches of {} samples, reshuffled each epoch",
        epochs(setting),
        list(&batches(setting))
    );
    words(setting, &varied)
}

fn dropout_words(setting: &Setting) -> String {
    let varied = format!(
        "Adam, rate 1e-3, all samples as one batch, {} updates; dropout after every activation, rates {}",
        dropout_steps(setting),
        list(&dropouts(setting))
    );
    words(setting, &varied)
}

/// What quick scale makes smaller in these figures.
fn smaller(setting: &Setting) -> String {
    let shape = format!("10 layers of width {} instead of 12 of 1,024", wide(setting));
    let parts = [Some(scaled_down(setting)), setting.pick(Some(shape), None), basins::scaled_down(setting)];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
