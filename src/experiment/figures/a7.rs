//! Fig. 7 of paper A, Fig. 6(a, b) of paper B: grokking in a shallow network, after Omnigrok.
//!
//! 784-200-200-10 with large initial weights on 1,000 samples first memorises, then, when the weights have
//! shrunk, generalises. Setting: the published Omnigrok notebook (all parameters times 8, AdamW 1e-3 with decay
//! 0.01, one-hot MSE, batch 200), run three times as long at full scale, so that panel (h) shows what comes after.

mod claims;
mod course;

use super::curves::{Estimate, column, linear_axis, log_axis, over_steps, series, started};
use super::deep::EARLY;
use super::{Definition, Drawing, Setting};
use crate::analysis::{Basin, Document, Space};
use crate::experiment::{Measurement, Plan, Runs, Scale};
use crate::store::{Axis, Mark, RunDir, Series, Style};
use crate::train::Snapshot;
use crate::{Error, Result};
use claims::{
    decline, flat_before, groks, jump, magnitude, noise_claim, norm_first, order_b, peak_later,
    peak_together, restless,
};
use course::Course;

/// Panels of the family.
pub const FIGURES: &[Definition] = &[
    Definition {
        id: "A7a",
        title: "Grokking: accuracy of training, test and noisy training samples",
        source: "Paper A, Fig. 7(a)",
        setting,
        runs,
        draw: accuracies,
    },
    Definition {
        id: "A7b",
        title: "Grokking: attraction basins in sample and weight space",
        source: "Paper A, Fig. 7(b)",
        setting,
        runs,
        draw: basins,
    },
    Definition {
        id: "A7g",
        title: "Grokking: rank gradients of both hidden layers and weight norm",
        source: "Paper A, Fig. 7(g)",
        setting,
        runs,
        draw: gradients,
    },
    Definition {
        id: "A7h",
        title: "Long after grokking: test accuracy and rank gradients",
        source: "Paper A, Fig. 7(h)",
        setting,
        runs,
        draw: afterwards,
    },
    Definition {
        id: "B6a",
        title: "Grokking: accuracy of training, test and noisy training samples",
        source: "Paper B, Fig. 6(a)",
        setting,
        runs,
        draw: accuracies,
    },
    Definition {
        id: "B6b",
        title: "Accuracy of noisy training samples before and after grokking",
        source: "Paper B, Fig. 6(b)",
        setting,
        runs: measured_runs,
        draw: under_noise,
    },
];

const NAME: &str = "a7";
const TEST: &str = "test_accuracy.eval.all";
const TRAIN: &str = "train_accuracy.eval.all";
const SAMPLE: &str = "basin_sample.eval.all";
const WEIGHT: &str = "basin_weight.eval.all";
const NORM: &str = "weight_norm.eval.all";
const GRADIENTS: [&str; 2] = ["rpd_gradient.eval.2", "rpd_gradient.eval.3"];
/// Amplitudes of the noisy-sample curves of panel (a).
const AMPLITUDES: [f64; 6] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.8];
const WEIGHT_AMPLITUDES: [f64; 5] = [0.02, 0.1, 0.2, 0.4, 0.8];

fn steps(scale: Scale) -> u64 {
    match scale {
        Scale::Quick => 60_000,
        Scale::Full => 300_000,
    }
}

fn trials(scale: Scale) -> usize {
    match scale {
        Scale::Quick => 3,
        Scale::Full => 10,
    }
}

pub(super) fn setting(setting: &Setting) -> String {
    format!(
        "784-200-200-10, ReLU, biases, no batch norm; PyTorch's default initial weights and biases times 8; the first \
         1,000 training samples in file order, batches of 200 reshuffled each epoch; MSE on one-hot targets; AdamW, \
         rate 1e-3, weight decay 0.01; pixels in [0, 1]; {} updates; basins with {} noise draws per amplitude on the \
         1,000 training samples, RPD with 100 bins",
        steps(setting.scale),
        trials(setting.scale),
    )
}

/// The one run of the family.
pub(super) fn run(setting: &Setting) -> Result<Plan> {
    let limit = setting.samples.min(1_000);
    let toml = format!(
        r#"
        [model]
        widths = [{pixels}, 200, 200, {classes}]
        activation = "relu"
        bn = false
        bias = true
        [init]
        kind = "kaiming"
        gain = 8.0
        [data]
        input = "unit"
        limit = {limit}
        order = "counter"
        [train]
        optimizer = "adamw"
        lr = 1e-3
        betas = [0.9, 0.999]
        eps = 1e-8
        weight_decay = 0.01
        loss = "mse"
        batch = {batch}
        steps = {steps}
        [probe]
        schedule = "log:12"
        what = ["accuracy", "rpd", "basin_sample", "basin_weight", "norms"]
        bins = 100
        trials = {trials}
        sample_amplitudes = {AMPLITUDES:?}
        weight_amplitudes = {WEIGHT_AMPLITUDES:?}
        [checkpoint]
        every = 5000
        keep = 1
        snapshots = ["best", "memorised", "last", "step-{EARLY}"]
        "#,
        pixels = setting.pixels,
        classes = setting.classes,
        batch = limit.min(200),
        steps = steps(setting.scale),
        trials = trials(setting.scale),
    );
    let plan = setting.plan(NAME, &toml)?;
    match plan.config.model.widths.len() {
        4 => Ok(plan),
        layers => Err(Error::Usage(format!(
            "the figures of the shallow network draw both of its hidden layers, so that model.widths needs four numbers, \
             not {layers}"
        ))),
    }
}

fn runs(setting: &Setting) -> Result<Vec<Plan>> {
    Ok(vec![run(setting)?])
}

/// Panel (a).
fn accuracies(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(NAME)?;
    let mut drawn = vec![
        started(over_steps(dirs, TRAIN, |step| step, ("training samples", 0, Style::Line))?),
        started(over_steps(dirs, TEST, |step| step, ("test samples", 1, Style::Line))?),
    ];
    for (i, amplitude) in AMPLITUDES.iter().enumerate() {
        let noisy: Vec<Vec<(f64, f64)>> = dirs.iter().map(|dir| noisy(dir, i)).collect::<Result<_>>()?;
        let points: Vec<(f64, Vec<f64>)> = (0..noisy[0].len())
            .map(|at| (noisy[0][at].0, noisy.iter().map(|seed| seed[at].1).collect()))
            .collect();
        drawn.push(started(series(&format!("noise {amplitude}"), i + 2, Style::Dashed, &points)));
    }
    Ok(Drawing {
        caption:
            "Training samples are memorised early; the test accuracy follows much later. Dashed: training \
                  samples with Gaussian noise of the given amplitude on every pixel."
                .into(),
        scaled_down: scaled_down(setting),
        series: drawn,
        marks: grokking_mark(dirs)?,
        claims: vec![groks(dirs)?, noise_claim(dirs)?, decline(setting, dirs)?],
        ..Drawing::new(log_axis("step"), linear_axis("accuracy"))
    })
}

/// Panel (b).
fn basins(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(NAME)?;
    Ok(Drawing {
        caption: "Noise amplitude at which half of the training samples are no longer recognised, on the pixels and \
                  on the weights (in units of each matrix's standard deviation). Both jump when the network groks."
            .into(),
        scaled_down: scaled_down(setting),
        series: vec![
            started(over_steps(dirs, SAMPLE, |step| step, ("sample space", 0, Style::LinePoints))?),
            started(over_steps(dirs, WEIGHT, |step| step, ("weight space", 1, Style::LinePoints))?),
        ],
        marks: grokking_mark(dirs)?,
        claims: vec![jump(dirs)?, magnitude(dirs)?],
        ..Drawing::new(log_axis("step"), log_axis("basin size (noise amplitude)"))
    })
}

/// Panel (g).
fn gradients(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(NAME)?;
    let mut norm = started(over_steps(dirs, NORM, |step| step, ("weight norm", 2, Style::Dashed))?);
    norm.right = true;
    Ok(Drawing {
        caption:
            "Before grokking both hidden layers have flat rank distributions (folding neurons). At grokking \
                  both gradients should peak, after the weights have shrunk, and later fall again."
                .into(),
        scaled_down: scaled_down(setting),
        y_right: Some(Axis { label: "weight norm (Frobenius, all matrices)".into(), log: true, range: None }),
        series: vec![
            started(over_steps(
                dirs,
                GRADIENTS[0],
                |step| step,
                ("first hidden layer", 0, Style::LinePoints),
            )?),
            started(over_steps(
                dirs,
                GRADIENTS[1],
                |step| step,
                ("second hidden layer", 1, Style::LinePoints),
            )?),
            norm,
        ],
        marks: grokking_mark(dirs)?,
        claims: vec![flat_before(dirs)?, peak_together(dirs)?, norm_first(dirs)?],
        ..Drawing::new(log_axis("step"), linear_axis("RPD gradient"))
    })
}

/// Panel (h).
fn afterwards(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(NAME)?;
    let right = |name, label, color| -> Result<Series> {
        let line = over_steps(dirs, name, |step| step, (label, color, Style::Line))?;
        Ok(Series { right: true, ..started(line) })
    };
    Ok(Drawing {
        caption: "The paper sees the rank gradients fall again once the network generalises, which leaves room for folding \
                  neurons, while the test accuracy goes on rising for a while, then slowly falls."
            .into(),
        scaled_down: scaled_down(setting),
        y_right: Some(Axis::linear("RPD gradient")),
        series: vec![
            started(over_steps(dirs, TEST, |step| step, ("test samples", 1, Style::Line))?),
            right(GRADIENTS[0], "gradient, layer 2", 0)?,
            right(GRADIENTS[1], "gradient, layer 3", 2)?,
        ],
        marks: grokking_mark(dirs)?,
        claims: vec![peak_later(setting, dirs)?, restless(dirs)?],
        ..Drawing::new(log_axis("step"), linear_axis("test accuracy"))
    })
}

/// Amplitudes of the curves of paper B's panel (b).
const CURVE: [f64; 14] = [0.0, 0.001, 0.003, 0.01, 0.02, 0.04, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8];

/// The training samples under noise, before grokking and after.
fn under_noise_at(setting: &Setting) -> [(Measurement, &'static str); 2] {
    let basin = |at| Measurement::basin(at, Space::Sample, &CURVE, trials(setting.scale));
    [(basin(Snapshot::Memorised), "before grokking"), (basin(Snapshot::Best), "after grokking")]
}

fn measured_runs(setting: &Setting) -> Result<Vec<Plan>> {
    Ok(vec![run(setting)?.measuring(under_noise_at(setting).map(|(basin, _)| basin))])
}

/// Panel (b) of paper B.
fn under_noise(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let mut drawn = Vec::new();
    for (color, (measurement, label)) in under_noise_at(setting).iter().enumerate() {
        let basins: Vec<Basin> = runs.found(NAME, measurement)?;
        if basins.is_empty() {
            continue; // the run has not memorised without generalising
        }
        let at = |i: usize| basins.iter().map(|basin| basin.curve[i].accuracy).collect::<Vec<f64>>();
        let points: Vec<(f64, Vec<f64>)> = CURVE.into_iter().enumerate().map(|(i, x)| (x, at(i))).collect();
        drawn.push(started(series(label, color, Style::LinePoints, &points)));
    }
    Ok(Drawing {
        caption: "Noise that most training samples do not survive before grokking is harmless after it, up to an amplitude. \
                  Before: the last probe with a training accuracy of at least 0.9 and a test accuracy of at most 0.2; \
                  after: the best test accuracy."
            .into(),
        scaled_down: scaled_down(setting),
        series: drawn,
        claims: vec![order_b(setting, runs)?],
        ..Drawing::new(log_axis("noise amplitude"), linear_axis("accuracy of training samples"))
    })
}

/// Accuracy at the i-th amplitude by step.
fn noisy(dir: &RunDir, i: usize) -> Result<Vec<(f64, f64)>> {
    let mut points = Vec::new();
    for (step, _) in column(dir, TRAIN)? {
        let basin: Document<Basin> = dir.analysis("basin_sample-eval", step as u64)?;
        let point = basin.result.curve.get(i);
        let missing = || Error::Failed(format!("amplitude {} was not measured", AMPLITUDES[i]));
        points.push((step, point.ok_or_else(missing)?.accuracy));
    }
    Ok(points)
}

fn grokking_mark(dirs: &[RunDir]) -> Result<Vec<Mark>> {
    let Some(courses) = Course::grokked(dirs)? else { return Ok(vec![]) };
    let steps: Vec<f64> = courses.iter().map(|(_, at)| *at).collect();
    Ok(vec![Mark { x: Estimate::of(&steps).mean, label: "grokking, middle".into() }])
}

pub(super) fn scaled_down(setting: &Setting) -> String {
    let mut parts = Vec::new();
    if setting.scale == Scale::Quick {
        parts.push(format!("{} instead of 300,000 steps, 3 instead of 10 noise draws", steps(Scale::Quick)));
    }
    if setting.samples < 1_000 {
        parts.push(format!("{} instead of 1,000 training samples", setting.samples));
    }
    if !setting.sets.is_empty() {
        parts.push(format!("changed by {}", setting.sets.join(", ")));
    }
    parts.join("; ")
}
