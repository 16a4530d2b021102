//! Fig. 2 of both papers and S1: a shallow network, when it is linear and when it folds.
//!
//! One hidden layer of 2,048 tanh neurons (NNN) beside the same network with identity activation (LNN),
//! trained on growing parts of the data. The papers are silent on optimiser, rate, batch and length; assumed
//! here: Adam 1e-3, cross-entropy, batches of 600, pixels in [0, 1], PyTorch's default initial weights, biases.

mod claims;

use super::curves::{
    Estimate, column, density, last, linear_axis, log_axis, over_steps, rank_axes, series, started,
};
use super::{Definition, Drawing, Setting};
use crate::Result;
use crate::analysis::{Document, Rpd};
use crate::experiment::claims::{Statement, above, all, below};
use crate::experiment::{Plan, Runs, Scale};
use crate::store::{Claim, RunDir, Series, Style, Verdict};
use claims::{ordering, parting};

/// Panels of the family.
pub const FIGURES: &[Definition] = &[
    figure("A2a", "Test accuracy against training-set size", "Paper A, Fig. 2(a)", size_runs, |s, r| {
        sizes(s, r, &A_CURVES)
    }),
    figure("A2b", "Test accuracy against epoch", "Paper A, Fig. 2(b)", full_runs, |s, r| {
        epochs(s, r, &A_CURVES)
    }),
    figure("A2c", "Rank distributions after 600 samples", "Paper A, Fig. 2(c)", small_runs, densities_small),
    figure(
        "A2d",
        "Rank distributions after the full training set",
        "Paper A, Fig. 2(d)",
        full_runs,
        densities_full,
    ),
    figure(
        "A2e",
        "Rank distribution of the tanh network during training",
        "Paper A, Fig. 2(e)",
        full_runs,
        evolution,
    ),
    figure(
        "B2a",
        "Test accuracy against training-set size, with linear perceptron",
        "Paper B, Fig. 2(a)",
        size_runs,
        |s, r| sizes(s, r, &B_CURVES),
    ),
    figure(
        "B2b",
        "Test accuracy against epoch, with linear perceptron",
        "Paper B, Fig. 2(b)",
        full_runs,
        |s, r| epochs(s, r, &B_CURVES),
    ),
    figure("B2c", "Rank distributions after 600 samples", "Paper B, Fig. 2(c)", small_runs, densities_small),
    figure(
        "B2d",
        "Rank distributions after the full training set",
        "Paper B, Fig. 2(d)",
        full_runs,
        densities_full,
    ),
    figure(
        "B2e",
        "Rank distribution of the tanh network during training",
        "Paper B, Fig. 2(e)",
        full_runs,
        evolution,
    ),
    figure("S1", "Rank gradient of every class during training", "Paper A, supplement", full_runs, classes),
];

const fn figure(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    runs: fn(&Setting) -> Result<Vec<Plan>>,
    draw: fn(&Setting, &Runs) -> Result<Drawing>,
) -> Definition {
    Definition { id, title, source, setting, runs, draw }
}

/// Label, kind of run, column, colour and style of an accuracy curve.
type Curve = (&'static str, &'static str, &'static str, usize, Style);

const A_CURVES: [Curve; 3] = [TANH, LINEAR, LMAP];
const B_CURVES: [Curve; 4] = [TANH, LINEAR, LP, LMAP];
const TANH: Curve = ("tanh network", "tanh", "test_accuracy.eval.all", 0, Style::LinePoints);
const LINEAR: Curve = ("linear network (LNN)", "linear", "test_accuracy.eval.all", 1, Style::LinePoints);
const LMAP: Curve = ("L-map of the tanh network", "tanh", "lmap_accuracy.eval.2", 2, Style::LinePoints);
const LP: Curve = ("linear perceptron (LP)", "tanh", "lp_accuracy.eval.2", 3, Style::LinePoints);

/// Half-decades; the last is replaced by all samples there are.
const SIZES: [usize; 7] = [60, 190, 600, 1_900, 6_000, 19_000, 60_000];
const BATCH: usize = 600;
/// The size of panel (c).
const SMALL: usize = 600;

/// Epochs of the full training set; 100 batches each.
fn full_epochs(scale: Scale) -> usize {
    match scale {
        Scale::Quick => 13,
        Scale::Full => 50,
    }
}

/// Updates on a part of the data: enough that the test accuracy no longer moves.
fn steps(setting: &Setting, size: usize) -> usize {
    let factor = if setting.scale == Scale::Full { 4 } else { 1 };
    match size {
        _ if size == setting.samples => full_epochs(setting.scale) * size.div_ceil(BATCH),
        0..=1_900 => 300 * factor,
        _ => 400 * factor,
    }
}

fn setting(setting: &Setting) -> String {
    format!(
        "784-2048-10, tanh and identity, biases, no batch norm; initial weights U(±1/√fan_in); Adam, rate 1e-3, \
         cross-entropy, batches of {BATCH} (smaller sets: all at once); pixels in [0, 1]; first 60 … all {} training \
         samples in file order; {} updates on up to 1,900 samples, {} on more, {} epochs on all; RPD with 100 bins over all \
         training samples",
        setting.samples,
        steps(setting, 1_900),
        steps(setting, 19_000),
        full_epochs(setting.scale),
    )
}

/// Sizes there are data for, ending with all of it.
fn available(setting: &Setting) -> Vec<usize> {
    let mut sizes: Vec<usize> = SIZES.into_iter().filter(|size| *size < setting.samples).collect();
    sizes.push(setting.samples);
    sizes
}

fn run(setting: &Setting, kind: &str, size: usize) -> Result<Plan> {
    let full = size == setting.samples;
    let activation = if kind == "tanh" { "tanh" } else { "identity" };
    let what = match (kind, full) {
        ("tanh", _) => r#"["test_accuracy", "rpd", "lmap", "lp"]"#,
        _ => r#"["test_accuracy", "rpd"]"#,
    };
    let epoch = size.div_ceil(BATCH);
    let schedule = match full {
        // Dense around the peak, which lies near 0.3 epochs, then the epochs of panel (e).
        true => {
            format!("{:?}", [0, 1, 5, 10, 3 * epoch / 10, epoch, 2 * epoch, 5 * epoch, 12 * epoch])
        }
        false => "[]".into(),
    };
    let toml = format!(
        r#"
        [model]
        widths = [{pixels}, 2048, {classes}]
        activation = "{activation}"
        bn = false
        bias = true
        [init]
        kind = "kaiming"
        gain = 1.0
        [data]
        input = "unit"
        limit = {size}
        order = "counter"
        [train]
        optimizer = "adam"
        lr = 1e-3
        betas = [0.9, 0.999]
        eps = 1e-8
        weight_decay = 0.0
        loss = "cross_entropy"
        batch = {batch}
        steps = {steps}
        [probe]
        schedule = {schedule}
        what = {what}
        bins = 100
        [checkpoint]
        every = 500
        keep = 1
        "#,
        pixels = setting.pixels,
        classes = setting.classes,
        batch = BATCH.min(size),
        steps = steps(setting, size),
    );
    setting.plan(format!("a2-{kind}-{size}"), &toml)
}

fn pair(setting: &Setting, size: usize) -> Result<Vec<Plan>> {
    ["tanh", "linear"].into_iter().map(|kind| run(setting, kind, size)).collect()
}

fn size_runs(setting: &Setting) -> Result<Vec<Plan>> {
    let plans: Vec<Vec<Plan>> =
        available(setting).into_iter().map(|size| pair(setting, size)).collect::<Result<_>>()?;
    Ok(plans.concat())
}

fn small_runs(setting: &Setting) -> Result<Vec<Plan>> {
    pair(setting, SMALL.min(setting.samples))
}

fn full_runs(setting: &Setting) -> Result<Vec<Plan>> {
    pair(setting, setting.samples)
}

fn dirs<'a>(runs: &'a Runs, kind: &str, size: usize) -> Result<&'a [RunDir]> {
    runs.of(&format!("a2-{kind}-{size}"))
}

/// Panels (a): one value per size.
fn sizes(setting: &Setting, runs: &Runs, curves: &[Curve]) -> Result<Drawing> {
    let mut drawn = Vec::new();
    for &(label, kind, name, color, style) in curves {
        let mut points = Vec::new();
        for size in available(setting) {
            points.push((size as f64, last(dirs(runs, kind, size)?, name)?));
        }
        drawn.push(series(label, color, style, &points));
    }
    let at: Vec<f64> = drawn[0].x.clone();
    let mut claims = vec![parting(&drawn, &at, "2a", "size", setting)];
    if curves.len() == B_CURVES.len() {
        claims = vec![ordering(setting, runs)?];
    }
    Ok(Drawing {
        caption:
            "For small training sets all curves coincide: the tanh network is then a linear one. They part \
                  together."
                .into(),
        scaled_down: scaled_down(setting),
        series: drawn,
        claims,
        ..Drawing::new(log_axis("training samples"), linear_axis("test accuracy"))
    })
}

/// Panels (b): one value per probe of the full run.
fn epochs(setting: &Setting, runs: &Runs, curves: &[Curve]) -> Result<Drawing> {
    let per_epoch = setting.samples.div_ceil(BATCH) as f64;
    let mut drawn = Vec::new();
    for &(label, kind, name, color, style) in curves {
        let dirs = dirs(runs, kind, setting.samples)?;
        drawn.push(started(over_steps(dirs, name, |step| step / per_epoch, (label, color, style))?));
    }
    let at = drawn[0].x.clone();
    let mut claims = vec![parting(&drawn, &at, "2b", "epoch", setting)];
    if curves.len() == B_CURVES.len() {
        claims = vec![ordering(setting, runs)?];
    }
    Ok(Drawing {
        caption:
            "Early in training all curves lie together, then they part: the nonlinear network begins as a \
                  linear one."
                .into(),
        scaled_down: scaled_down(setting),
        series: drawn,
        claims,
        ..Drawing::new(log_axis("epoch"), linear_axis("test accuracy"))
    })
}

fn densities_small(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let size = SMALL.min(setting.samples);
    let (tanh, linear) = (gradients(runs, "tanh", size)?, gradients(runs, "linear", size)?);
    let relative: Vec<f64> = tanh.iter().zip(&linear).map(|(t, l)| (t - l).abs() / ((t + l) / 2.0)).collect();
    let difference = Estimate::of(&relative);
    let claim = Statement {
        id: "1a",
        text: "After 600 samples the RPD gradients of the tanh and the linear network agree within 10 %.",
        paper: Some("agree"),
    }
    .decided(
        below(difference, 0.1),
        format!(
            "tanh {}, linear {}: {} apart",
            Estimate::of(&tanh).text(3),
            Estimate::of(&linear).text(3),
            percent(difference)
        ),
        "relative difference against 10 %, two standard errors over seeds",
    );
    densities(setting, runs, size, claim)
}

fn densities_full(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let size = setting.samples;
    let (tanh, linear) = (gradients(runs, "tanh", size)?, gradients(runs, "linear", size)?);
    let steeper: Vec<f64> = tanh.iter().zip(&linear).map(|(t, l)| l - t).collect();
    let steeper = Estimate::of(&steeper);
    let claim = Statement {
        id: "1b",
        text: "After the full training set the linear network has the steeper RPD.",
        paper: Some("linear steeper"),
    }
    .decided(
        above(steeper, 0.0),
        format!("tanh {}, linear {}", Estimate::of(&tanh).text(3), Estimate::of(&linear).text(3)),
        "sign of the difference, two standard errors over seeds",
    );
    densities(setting, runs, size, claim)
}

fn percent(value: Estimate) -> String {
    format!("{} %", Estimate { mean: 100.0 * value.mean, error: value.error.map(|e| 100.0 * e) }.text(1))
}

/// The hidden layer's RPD result after `step`, one per seed.
fn rpds(dirs: &[RunDir], step: u64) -> Result<Vec<Rpd>> {
    dirs.iter().map(|dir| Ok(dir.analysis::<Document<Rpd>>("rpd-eval", step)?.result)).collect()
}

fn last_step(dirs: &[RunDir]) -> Result<u64> {
    let mut step = 0;
    for dir in dirs {
        step = dir.manifest()?.map_or(0, |manifest| manifest.step);
    }
    Ok(step)
}

fn gradients(runs: &Runs, kind: &str, size: usize) -> Result<Vec<f64>> {
    last(dirs(runs, kind, size)?, "rpd_gradient.eval.2")
}

/// The hidden layer's density.
fn hidden(rpds: &[Rpd], label: &str, color: usize) -> Series {
    let densities: Vec<&[f64]> =
        rpds.iter().flat_map(|rpd| rpd.layers.first()).map(|l| &l.density[..]).collect();
    density(&densities, (label, color, Style::Line))
}

/// Panels (c) and (d).
fn densities(setting: &Setting, runs: &Runs, size: usize, claim: Claim) -> Result<Drawing> {
    let mut drawn = Vec::new();
    for (kind, label, color) in [("tanh", "tanh network", 0), ("linear", "linear network (LNN)", 1)] {
        let dirs = dirs(runs, kind, size)?;
        let gradient = Estimate::of(&gradients(runs, kind, size)?);
        let label = format!("{label}, gradient {}", gradient.text(2));
        drawn.push(hidden(&rpds(dirs, last_step(dirs)?)?, &label, color));
    }
    let (x, y) = rank_axes();
    Ok(Drawing {
        caption: format!(
            "Where the samples of a class rank among all {size} training samples in the neurons that favour the \
             class, mean over classes and neurons. A steep fall means order-preserving neurons; flat (density 1) \
             means no preference."
        ),
        scaled_down: scaled_down(setting),
        series: drawn,
        claims: vec![claim],
        ..Drawing::new(x, y)
    })
}

/// Panel (e).
fn evolution(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = dirs(runs, "tanh", setting.samples)?;
    let per_epoch = setting.samples.div_ceil(BATCH) as f64;
    let curves: Vec<Vec<(f64, f64)>> =
        dirs.iter().map(|dir| column(dir, "rpd_gradient.eval.2")).collect::<Result<_>>()?;
    let mean: Vec<(f64, f64)> = (0..curves[0].len())
        .map(|i| (curves[0][i].0, curves.iter().map(|curve| curve[i].1).sum::<f64>() / curves.len() as f64))
        .collect();
    let peak = mean.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0.0, 0.0));
    let end = mean.last().copied().unwrap_or((0.0, 0.0));
    let mut steps = vec![0.0, 1.0, 5.0, peak.0, per_epoch, 5.0 * per_epoch, 12.0 * per_epoch, end.0];
    steps.retain(|step| mean.iter().any(|(at, _)| at == step));
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    let mut drawn = Vec::new();
    for (i, &step) in steps.iter().enumerate() {
        let name = match step {
            _ if step == peak.0 => format!("step {step} (peak, {:.2} epochs)", step / per_epoch),
            _ if step < per_epoch => format!("step {step}"),
            _ => format!("epoch {}", step / per_epoch),
        };
        drawn.push(hidden(&rpds(dirs, step as u64)?, &name, i));
    }
    let peaks: Vec<f64> = curves.iter().map(|c| c.iter().map(|p| p.1).fold(f64::MIN, f64::max)).collect();
    let ends: Vec<f64> = curves.iter().filter_map(|c| Some(c.last()?.1)).collect();
    let starts: Vec<f64> = curves.iter().filter_map(|c| Some(c.first()?.1)).collect();
    let fall: Vec<f64> = peaks.iter().zip(&ends).map(|(peak, end)| peak - end).collect();
    let inside = peak.0 > 0.0 && peak.0 < end.0;
    let parts = [
        below(Estimate::of(&starts), 0.1 * peak.1),
        above(Estimate::of(&fall), 0.05 * peak.1),
        if inside { Verdict::Held } else { Verdict::NotHeld },
    ];
    let claim = Statement {
        id: "3",
        text: "The RPD gradient starts near 0, rises to a peak, then declines.",
        paper: Some("peak near 0.3 epochs"),
    }
    .decided(
        all(&parts),
        format!(
            "{} at the start, {} at {:.2} epochs, {} at the end",
            Estimate::of(&starts).text(3),
            Estimate::of(&peaks).text(3),
            peak.0 / per_epoch,
            Estimate::of(&ends).text(3)
        ),
        "start below a tenth of the peak; peak inside the run; end more than 5 % of the peak below it",
    );
    let (x, y) = rank_axes();
    Ok(Drawing {
        caption: "Random weights give a flat distribution. It steepens while neurons align (order-preserving), and \
                  flattens again as folding neurons are recruited."
            .into(),
        scaled_down: scaled_down(setting),
        series: drawn,
        claims: vec![claim],
        ..Drawing::new(x, y)
    })
}

/// S1.
fn classes(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = dirs(runs, "tanh", setting.samples)?;
    let per_epoch = setting.samples.div_ceil(BATCH) as f64;
    let at: Vec<u64> =
        column(&dirs[0], "rpd_gradient.eval.2")?.iter().map(|(step, _)| *step as u64).collect();
    let mut results = Vec::new();
    for &step in at.iter().filter(|step| **step > 0) {
        results.push((step as f64 / per_epoch, rpds(dirs, step)?));
    }
    let gradient = |rpd: &Rpd, class: usize| rpd.layers.first()?.class_gradient.get(class).copied()?;
    let drawn = (0..setting.classes)
        .map(|class| {
            let points: Vec<(f64, Vec<f64>)> = results
                .iter()
                .map(|(x, rpds)| (*x, rpds.iter().filter_map(|rpd| gradient(rpd, class)).collect()))
                .collect();
            series(&format!("digit {class}"), class, Style::Line, &points)
        })
        .collect();
    Ok(Drawing {
        caption: "RPD gradient of the tanh network's hidden layer, class by class. Classes that are easy to \
                  separate linearly keep steep distributions."
            .into(),
        scaled_down: scaled_down(setting),
        series: drawn,
        claims: vec![],
        ..Drawing::new(log_axis("epoch"), linear_axis("RPD gradient"))
    })
}

fn scaled_down(setting: &Setting) -> String {
    let mut parts = Vec::new();
    if setting.samples < 60_000 {
        parts.push(format!("{} instead of 60,000 training samples", setting.samples));
    }
    if !setting.sets.is_empty() {
        parts.push(format!("changed by {}", setting.sets.join(", ")));
    }
    parts.join("; ")
}
