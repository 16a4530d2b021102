//! Depth and width: Fig. 3i, j and 4a–d of paper A, Fig. 4 of paper B.
//!
//! One grid of networks, each measured where its test accuracy is best. Both papers draw the same data; they differ
//! in where a basin ends.

mod claims;
mod panels;

use super::basins::{self, MODES, Paper, both_modes};
use super::curves::column;
use super::deep::{deep, scaled_down};
use super::{Definition, Drawing, Setting};
use crate::Result;
use crate::analysis::Space;
use crate::experiment::measurement::Analysis;
use crate::experiment::{Measurement, Plan, Runs, Scale};
use crate::model::BnMode;
use crate::store::RunDir;
use crate::train::{Probe, Schedule, Snapshot};
use panels::{accuracy, gradient, noisy, sizes};

/// Panels of the families.
pub const FIGURES: &[Definition] = &[
    panel("A3i", "Best test accuracy against depth", "Paper A, Fig. 3(i)", accuracy_runs, accuracy),
    panel(
        "A3j",
        "Rank gradient of the first hidden layer against depth",
        "Paper A, Fig. 3(j)",
        gradient_runs,
        gradient,
    ),
    panel("A4a", "Noise on the samples, by depth", "Paper A, Fig. 4(a)", sample_curves, |s, r| {
        noisy(s, r, Space::Sample, Paper::A)
    }),
    panel("A4b", "Noise on the weights, by depth", "Paper A, Fig. 4(b)", weight_curves, |s, r| {
        noisy(s, r, Space::Weight, Paper::A)
    }),
    panel("A4c", "Basin in sample space against width", "Paper A, Fig. 4(c)", sample_sizes, |s, r| {
        sizes(s, r, Space::Sample, Paper::A)
    }),
    panel("A4d", "Basin in weight space against width", "Paper A, Fig. 4(d)", weight_sizes, |s, r| {
        sizes(s, r, Space::Weight, Paper::A)
    }),
    panel(
        "B4a",
        "Best test accuracy against depth, wide to narrow",
        "Paper B, Fig. 4(a)",
        accuracy_runs,
        accuracy,
    ),
    panel(
        "B4b",
        "First-layer rank gradient by depth and width",
        "Paper B, Fig. 4(b)",
        gradient_runs,
        gradient,
    ),
    panel(
        "B4c",
        "Noise on the samples: where depth stops helping",
        "Paper B, Fig. 4(c)",
        sample_curves,
        |s, r| noisy(s, r, Space::Sample, Paper::B),
    ),
    panel("B4d", "Noise on the weights: what depth costs", "Paper B, Fig. 4(d)", weight_curves, |s, r| {
        noisy(s, r, Space::Weight, Paper::B)
    }),
    panel(
        "B4e",
        "Relative basin in sample space against width",
        "Paper B, Fig. 4(e)",
        sample_sizes,
        |s, r| sizes(s, r, Space::Sample, Paper::B),
    ),
    panel(
        "B4f",
        "Relative basin in weight space against width",
        "Paper B, Fig. 4(f)",
        weight_sizes,
        |s, r| sizes(s, r, Space::Weight, Paper::B),
    ),
];

const fn panel(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    runs: fn(&Setting) -> Result<Vec<Plan>>,
    draw: fn(&Setting, &Runs) -> Result<Drawing>,
) -> Definition {
    Definition { id, title, source, setting, runs, draw }
}

/// Depths of the noise curves.
const CURVES: [usize; 5] = [3, 5, 8, 12, 23];
/// Depths of the basin sizes over width.
const SIZES: [usize; 4] = [4, 6, 10, 16];

/// All depths, those of the other panels among them.
fn depths(setting: &Setting) -> &'static [usize] {
    setting.pick(&[3, 4, 5, 6, 8, 10, 12, 16, 23], &[3, 4, 5, 6, 7, 8, 10, 12, 16, 23])
}

pub(super) fn widths(setting: &Setting) -> &'static [usize] {
    setting.pick(&[32, 64, 128, 256], &[128, 256, 512, 768, 1_024, 1_280])
}

/// Width of the noise curves.
fn curve_width(setting: &Setting) -> usize {
    setting.pick(128, 512)
}

/// Updates until the test accuracy no longer rises: narrow networks learn more slowly, and each update is cheaper.
fn steps(setting: &Setting, width: usize) -> u64 {
    match width {
        0..=64 => setting.pick(240, 5_000),
        65..=128 => setting.pick(150, 5_000),
        _ => setting.pick(100, 5_000),
    }
}

/// Probes of a run.
fn probes(setting: &Setting) -> u64 {
    setting.pick(10, 100)
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}

fn setting(setting: &Setting) -> String {
    format!(
        "depths {} (input and output layer counted) × widths {}; ReLU, batch norm, no biases; initial weights \
         U(±1/√fan_in); Adam, rate 1e-3, cross-entropy, all {} training samples as one batch; {}, measured at {} \
         equally spaced steps and taken at the best test accuracy (eval); pixels in [0, 1]; noise curves: width {}, depths \
         {}; basin sizes: depths {}; {}; RPD of layer 2 with 100 bins over all these training samples",
        list(depths(setting)),
        list(widths(setting)),
        setting.deep_samples(),
        lengths(setting),
        probes(setting),
        curve_width(setting),
        list(&CURVES),
        list(&SIZES),
        basins::words(setting),
    )
}

/// The lengths of the runs in words.
pub(super) fn lengths(setting: &Setting) -> String {
    let of = |width| steps(setting, width);
    match setting.scale {
        Scale::Quick => {
            format!("{} updates at widths up to 64, {} at 128, {} at 256", of(64), of(128), of(256))
        }
        Scale::Full => format!("{} updates", of(1_280)),
    }
}

fn name(depth: usize, width: usize) -> String {
    format!("grid-{depth}x{width}")
}

/// One network of the grid.
pub(super) fn cell(setting: &Setting, depth: usize, width: usize) -> Result<Plan> {
    let steps = steps(setting, width);
    let mut config = deep(setting, depth, width, steps);
    config.probe.schedule = Schedule::Every(steps / probes(setting));
    config.probe.what = vec![Probe::TestAccuracy];
    config.checkpoint.snapshots = vec![Snapshot::Best];
    setting.run(name(depth, width), &config)
}

/// The networks of these depths and widths, with what is measured of each.
fn cells(setting: &Setting, depths: &[usize], widths: &[usize], after: &[Measurement]) -> Result<Vec<Plan>> {
    let of_depth =
        |depth| widths.iter().map(move |width| Ok(cell(setting, depth, *width)?.measuring(after.to_vec())));
    depths.iter().flat_map(|depth| of_depth(*depth)).collect()
}

/// The RPD of the first hidden layer.
fn first_layer(mode: BnMode) -> Measurement {
    let rpd = Measurement::new(Analysis::Rpd, Snapshot::Best).in_mode(mode);
    rpd.with(|options| options.layers = Some(vec![2]))
}

fn accuracy_runs(setting: &Setting) -> Result<Vec<Plan>> {
    cells(setting, depths(setting), widths(setting), &[])
}

fn gradient_runs(setting: &Setting) -> Result<Vec<Plan>> {
    cells(setting, depths(setting), widths(setting), &MODES.map(first_layer))
}

fn curves(setting: &Setting, space: Space) -> Result<Vec<Plan>> {
    cells(setting, &CURVES, &[curve_width(setting)], &both_modes(setting, Snapshot::Best, &[space]))
}

fn sample_curves(setting: &Setting) -> Result<Vec<Plan>> {
    curves(setting, Space::Sample)
}

fn weight_curves(setting: &Setting) -> Result<Vec<Plan>> {
    curves(setting, Space::Weight)
}

fn over_widths(setting: &Setting, space: Space) -> Result<Vec<Plan>> {
    cells(setting, &SIZES, widths(setting), &both_modes(setting, Snapshot::Best, &[space]))
}

fn sample_sizes(setting: &Setting) -> Result<Vec<Plan>> {
    over_widths(setting, Space::Sample)
}

fn weight_sizes(setting: &Setting) -> Result<Vec<Plan>> {
    over_widths(setting, Space::Weight)
}

/// The best test accuracy of each repetition in this mode.
pub(super) fn best(dirs: &[RunDir], mode: BnMode) -> Result<Vec<f64>> {
    let best = |dir: &RunDir| {
        let values = column(dir, &format!("test_accuracy.{}.all", mode.name()))?;
        Ok(values.iter().map(|(_, accuracy)| *accuracy).reduce(f64::max))
    };
    Ok(dirs.iter().map(best).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}

/// What quick scale makes smaller in the networks.
fn smaller_networks(setting: &Setting) -> String {
    let narrower = setting.pick(Some("widths 32…256 instead of 128…1280".to_owned()), None);
    joined([Some(scaled_down(setting)), narrower])
}

/// The same where basins are drawn.
pub(super) fn smaller(setting: &Setting) -> String {
    joined([Some(smaller_networks(setting)), basins::scaled_down(setting)])
}

fn joined(parts: [Option<String>; 2]) -> String {
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
