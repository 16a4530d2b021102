//! Fig. 7 of paper A: grokking in a shallow network, after Omnigrok.
//!
//! 784-200-200-10 with large initial weights on 1,000 samples first memorises, then, when the weights have
//! shrunk, generalises. Setting: the published Omnigrok notebook (all parameters times 8, AdamW 1e-3 with decay
//! 0.01, one-hot MSE, batch 200).

use super::curves::{Estimate, column, linear_axis, log_axis, over_steps, series};
use super::{Definition, Drawing, Setting};
use crate::analysis::{Basin, Document};
use crate::experiment::claims::{Statement, of_seeds};
use crate::experiment::{Plan, Runs, Scale};
use crate::store::{Axis, Claim, Mark, RunDir, Series, Style, Verdict};
use crate::{Error, Result};

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
        Scale::Quick => 30_000,
        Scale::Full => 100_000,
    }
}

fn trials(scale: Scale) -> usize {
    match scale {
        Scale::Quick => 3,
        Scale::Full => 10,
    }
}

fn setting(setting: &Setting) -> String {
    format!(
        "784-200-200-10, ReLU, biases, no batch norm; PyTorch's default initial weights and biases times 8; the first \
         1,000 training samples in file order, batches of 200 reshuffled each epoch; MSE on one-hot targets; AdamW, \
         rate 1e-3, weight decay 0.01; pixels in [0, 1]; {} updates; basins with {} noise draws per amplitude on the \
         1,000 training samples, RPD with 100 bins",
        steps(setting.scale),
        trials(setting.scale),
    )
}

fn runs(setting: &Setting) -> Result<Vec<Plan>> {
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
        schedule = "log:15"
        what = ["accuracy", "rpd", "basin_sample", "basin_weight", "norms"]
        bins = 100
        trials = {trials}
        sample_amplitudes = {AMPLITUDES:?}
        weight_amplitudes = {WEIGHT_AMPLITUDES:?}
        [checkpoint]
        every = 5000
        keep = 1
        "#,
        pixels = setting.pixels,
        classes = setting.classes,
        batch = limit.min(200),
        steps = steps(setting.scale),
        trials = trials(setting.scale),
    );
    Ok(vec![setting.plan(NAME, &toml)?])
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
        x: log_axis("step"),
        y: linear_axis("accuracy"),
        y_right: None,
        series: drawn,
        marks: grokking_mark(dirs)?,
        claims: vec![groks(dirs)?, noise_claim(dirs)?, decline(setting, dirs)?],
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
        x: log_axis("step"),
        y: log_axis("basin size (noise amplitude)"),
        y_right: None,
        series: vec![
            started(over_steps(dirs, SAMPLE, |step| step, ("sample space", 0, Style::LinePoints))?),
            started(over_steps(dirs, WEIGHT, |step| step, ("weight space", 1, Style::LinePoints))?),
        ],
        marks: grokking_mark(dirs)?,
        claims: vec![jump(dirs)?, magnitude(dirs)?],
    })
}

/// Panel (g).
fn gradients(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(NAME)?;
    let mut norm =
        started(over_steps(dirs, NORM, |step| step, ("weight norm (right axis)", 2, Style::Dashed))?);
    norm.right = true;
    Ok(Drawing {
        caption:
            "Before grokking both hidden layers have flat rank distributions (folding neurons). At grokking \
                  both gradients peak, after the weights have shrunk, and fall again."
                .into(),
        scaled_down: scaled_down(setting),
        x: log_axis("step"),
        y: linear_axis("RPD gradient"),
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
    })
}

/// Step 0 has no place on a logarithmic axis.
fn started(mut series: Series) -> Series {
    if series.x.first() == Some(&0.0) {
        series.x.remove(0);
        series.y.remove(0);
        if let Some(error) = &mut series.error {
            error.remove(0);
        }
    }
    series
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

/// One run's columns, with the step at which it groks.
struct Course {
    step: Vec<f64>,
    train: Vec<f64>,
    test: Vec<f64>,
    norm: Vec<f64>,
    gradients: [Vec<f64>; 2],
    sample: Vec<(f64, f64)>,
    weight: Vec<(f64, f64)>,
}

impl Course {
    fn of(dir: &RunDir) -> Result<Course> {
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

    fn all(dirs: &[RunDir]) -> Result<Vec<Course>> {
        dirs.iter().map(Course::of).collect()
    }

    /// First step at which a curve has come half the way from its lowest value before to its final value.
    fn half(&self, curve: &[f64]) -> f64 {
        let half = curve.last().copied().unwrap_or(0.0) / 2.0;
        let at = curve.iter().position(|value| *value >= half).unwrap_or(0);
        self.step[at]
    }

    /// The step at which the test accuracy rises fastest per decade after the training set is memorised: the
    /// middle of grokking.
    fn grokking(&self) -> f64 {
        let memorised = self.train.iter().position(|train| *train >= 0.9).unwrap_or(0);
        let (low, high) = (self.test[memorised], self.test.iter().copied().fold(0.0, f64::max));
        let middle = (low + high) / 2.0;
        let after = (memorised..self.step.len()).find(|&i| self.test[i] >= middle);
        self.step[after.unwrap_or(self.step.len() - 1)]
    }

    /// Indices of the probes before grokking begins: memorised, and at least half a decade before its middle.
    fn before(&self) -> Vec<usize> {
        let memorised = self.train.iter().position(|train| *train >= 0.9).unwrap_or(0);
        let end = self.grokking() / 10f64.sqrt();
        (memorised..self.step.len()).filter(|&i| self.step[i] <= end).collect()
    }
}

fn grokking_mark(dirs: &[RunDir]) -> Result<Vec<Mark>> {
    let steps: Vec<f64> = Course::all(dirs)?.iter().map(Course::grokking).collect();
    Ok(vec![Mark { x: Estimate::of(&steps).mean, label: "grokking".into() }])
}

/// Claim 12, on this run: it groks.
fn groks(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let apart = |course: &Course| {
        let memorised = (0..course.step.len()).filter(|&i| course.train[i] >= 0.9);
        memorised.map(|i| course.test[i]).fold(1.0, f64::min)
    };
    let lowest: Vec<f64> = courses.iter().map(apart).collect();
    let found: Vec<bool> = lowest.iter().map(|test| *test <= 0.2).collect();
    let delay: Vec<f64> = courses.iter().map(|c| c.half(&c.test) - c.half(&c.train)).collect();
    let end: Vec<f64> = courses.iter().filter_map(|c| c.test.last().copied()).collect();
    Ok(Statement {
        id: "12",
        text: "The run groks: train accuracy ≥ 0.9 while test accuracy ≤ 0.2 at some step.",
        paper: Some("grokking"),
    }
    .decided(
        of_seeds(&found),
        format!(
            "lowest test accuracy once memorised {}, at the end {}; half values {} steps apart",
            Estimate::of(&lowest).text(3),
            Estimate::of(&end).text(3),
            Estimate::of(&delay).text(0)
        ),
        "the definition itself, for every seed",
    ))
}

fn jump(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    // Largest growth within half a decade of steps that overlaps grokking.
    let growth = |course: &Course, sizes: &[(f64, f64)]| -> f64 {
        let (at, width) = (course.grokking(), 10f64.sqrt());
        let mut best = 0.0f64;
        for (from, small) in sizes {
            for (to, large) in sizes {
                if from < to && to / from <= width && *from <= at * width && *to >= at / width {
                    best = best.max(large / small);
                }
            }
        }
        best
    };
    let sample: Vec<f64> = courses.iter().map(|c| growth(c, &c.sample)).collect();
    let weight: Vec<f64> = courses.iter().map(|c| growth(c, &c.weight)).collect();
    let found: Vec<bool> = sample.iter().zip(&weight).map(|(s, w)| *s >= 3.0 && *w >= 3.0).collect();
    Ok(Statement {
        id: "13b",
        text: "Both basins jump (at least threefold within half a decade of steps) at grokking.",
        paper: Some("abrupt increase of both"),
    }
    .decided(
        of_seeds(&found),
        format!(
            "sample space ×{}, weight space ×{}",
            Estimate::of(&sample).text(1),
            Estimate::of(&weight).text(1)
        ),
        "largest growth within half a decade that lies within half a decade of grokking, against 3",
    ))
}

fn magnitude(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let before: Vec<f64> = courses
        .iter()
        .filter_map(|c| {
            let before = c.before();
            let (first, last) = (c.step[*before.first()?], c.step[*before.last()?]);
            let inside = c.sample.iter().filter(|(step, _)| (first..=last).contains(step));
            inside.map(|(_, size)| *size).min_by(f64::total_cmp)
        })
        .collect();
    let after: Vec<f64> = courses.iter().filter_map(|c| c.sample.last().map(|(_, size)| *size)).collect();
    let statement = Statement {
        id: "13c",
        text: "The sample basin is of order 1e-2 before grokking and above 1e-1 after.",
        paper: Some("1e-2 before, above 1e-1 after"),
    };
    let ours = |before: &[f64]| {
        format!("{} before, {} after", Estimate::of(before).text(3), Estimate::of(&after).text(3))
    };
    let reason = "before: smallest while memorised, up to half a decade before grokking, order 1e-2 means 10^-2.5 to \
                  10^-1.5; after: at the last step";
    if before.len() < courses.len() {
        return Ok(statement.decided(Verdict::Undecided, "no basin measured before grokking".into(), reason));
    }
    let order = |size: f64| (10f64.powf(-2.5)..10f64.powf(-1.5)).contains(&size);
    let found: Vec<bool> = before.iter().zip(&after).map(|(b, a)| order(*b) && *a > 0.1).collect();
    Ok(statement.decided(of_seeds(&found), ours(&before), reason))
}

fn flat_before(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let largest: Vec<f64> = courses
        .iter()
        .map(|c| {
            let values = c.before().into_iter().flat_map(|i| c.gradients.iter().map(move |g| g[i].abs()));
            values.fold(0.0, f64::max)
        })
        .collect();
    let found: Vec<bool> = largest.iter().map(|value| *value < 0.1).collect();
    Ok(Statement {
        id: "13a",
        text: "Before grokking both RPD gradients are small (below 0.1).",
        paper: Some("consistently small"),
    }
    .decided(
        of_seeds(&found),
        format!("largest gradient before grokking {}", Estimate::of(&largest).text(3)),
        "largest magnitude while memorised, up to half a decade before grokking, against 0.1",
    ))
}

fn peak_together(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let peak = |c: &Course, layer: usize| {
        let best = (0..c.step.len()).max_by(|a, b| c.gradients[layer][*a].total_cmp(&c.gradients[layer][*b]));
        best.map_or((0.0, 0.0), |i| (c.step[i], c.gradients[layer][i]))
    };
    let found: Vec<bool> = courses
        .iter()
        .map(|c| {
            (0..2).all(|layer| {
                let (step, height) = peak(c, layer);
                let near = (step / c.grokking()).log10().abs() <= 0.5;
                let falls = c.gradients[layer].last().is_some_and(|end| *end < 0.95 * height);
                near && falls
            })
        })
        .collect();
    let peaks = |layer: usize| Estimate::of(&courses.iter().map(|c| peak(c, layer).0).collect::<Vec<_>>());
    let middle = Estimate::of(&courses.iter().map(Course::grokking).collect::<Vec<_>>());
    Ok(Statement {
        id: "13d",
        text: "Both RPD gradients peak at grokking, then fall.",
        paper: Some("peak simultaneously"),
    }
    .decided(
        of_seeds(&found),
        format!(
            "peaks at steps {} and {}, grokking at {}",
            peaks(0).text(0),
            peaks(1).text(0),
            middle.text(0)
        ),
        "each peak within half a decade of grokking, and the end at least 5 % below it",
    ))
}

fn norm_first(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let left: Vec<f64> = courses
        .iter()
        .map(|c| {
            let at = c.grokking();
            let i = c.step.iter().position(|step| *step >= at).unwrap_or(0);
            c.norm[i] / c.norm[0]
        })
        .collect();
    let found: Vec<bool> = left.iter().map(|share| *share < 0.5).collect();
    Ok(Statement {
        id: "13e",
        text: "The weight norm falls before grokking.",
        paper: Some("rapidly shrinks just before"),
    }
    .decided(
        of_seeds(&found),
        format!("at grokking {} of the initial norm is left", Estimate::of(&left).text(2)),
        "less than half of the initial norm is left at grokking",
    ))
}

fn noise_claim(dirs: &[RunDir]) -> Result<Claim> {
    let mut ends: Vec<Vec<f64>> = vec![Vec::new(); AMPLITUDES.len()];
    for dir in dirs {
        for (i, end) in ends.iter_mut().enumerate() {
            end.extend(noisy(dir, i)?.last().map(|(_, accuracy)| *accuracy));
        }
    }
    let means: Vec<f64> = ends.iter().map(|values| Estimate::of(values).mean).collect();
    let kept: Vec<f64> =
        AMPLITUDES.into_iter().zip(&means).filter(|(_, m)| **m >= 0.99).map(|(a, _)| a).collect();
    let verdict = match kept.len() {
        0 => Verdict::NotHeld,
        n if n == AMPLITUDES.len() => Verdict::Undecided,
        _ => Verdict::Held,
    };
    let list: Vec<String> = AMPLITUDES.iter().zip(&means).map(|(a, m)| format!("{a}: {m:.3}")).collect();
    Ok(Statement {
        id: "13f",
        text: "At the end noisy training samples reach 99 % below some amplitude and stay lower above it.",
        paper: Some("approaches 100 % below a threshold"),
    }
    .decided(verdict, list.join(", "), "final accuracy at each amplitude against 0.99"))
}

fn decline(setting: &Setting, dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let fall: Vec<f64> = courses
        .iter()
        .map(|c| c.test.iter().copied().fold(0.0, f64::max) - c.test.last().copied().unwrap_or(0.0))
        .collect();
    let estimate = Estimate::of(&fall);
    let error = 2.0 * estimate.error.unwrap_or(0.0).max(0.003);
    let verdict = match estimate.mean > error {
        true => Verdict::Held,
        false if setting.scale == Scale::Quick => Verdict::Undecided,
        false => Verdict::NotHeld,
    };
    Ok(Statement {
        id: "13g",
        text: "Long after grokking the test accuracy declines again.",
        paper: Some("subsequent gradual decrease"),
    }
    .decided(
        verdict,
        format!("{} below its maximum at the end", estimate.text(4)),
        "fall from the maximum against two standard errors (at least 0.6 %); a run of 30,000 steps that does not show \
         it decides nothing",
    ))
}

fn scaled_down(setting: &Setting) -> String {
    let mut parts = Vec::new();
    if setting.scale == Scale::Quick {
        parts.push(format!("{} instead of 100,000 steps, 3 instead of 10 noise draws", steps(Scale::Quick)));
    }
    if setting.samples < 1_000 {
        parts.push(format!("{} instead of 1,000 training samples", setting.samples));
    }
    if !setting.sets.is_empty() {
        parts.push(format!("changed by {}", setting.sets.join(", ")));
    }
    parts.join("; ")
}
