//! Fig. 3 of paper A: which layers of a deep network rank the classes, step by step, under SGD and Adam, and from
//! which layer on the network is linear.

mod claims;

use super::course::{Course, MODES};
use super::curves::{linear_axis, log_axis, over_steps, started};
use super::deep::{describe, fig3, narrower, scaled_down_by};
use super::grokking::once_learnt;
use super::{Definition, Drawing, Setting, pruning};
use crate::Result;
use crate::analysis::Phase;
use crate::experiment::{Analysis, Plan, Runs};
use crate::store::{Axis, Claim, Mark, RunDir, Series, Style};

/// Panels of the family.
pub const FIGURES: &[Definition] = &[
    panel::<'a'>("A3a", "Ten layers, ReLU, SGD at the lower rate"),
    panel::<'b'>("A3b", "Ten layers, ReLU, SGD at the higher rate"),
    panel::<'c'>("A3c", "Ten layers, linear, SGD at the lower rate"),
    panel::<'d'>("A3d", "Ten layers, ReLU, Adam on full batches"),
    panel::<'e'>("A3e", "Ten layers, ReLU, Adam on batches of a third of the data"),
    panel::<'f'>("A3f", "Ten layers, linear, Adam on full batches"),
    panel::<'g'>("A3g", "23 narrow layers, ReLU, Adam on half batches"),
    Definition {
        id: "A3h",
        title: "Accuracy with the last layers replaced by their L-map",
        source: "Paper A, Fig. 3(h)",
        setting: pruning_setting,
        runs: pruning_runs,
        draw: pruned,
    },
];

/// A panel of gradients.
const fn panel<const PANEL: char>(id: &'static str, title: &'static str) -> Definition {
    let source = "Paper A, Fig. 3(a–g)";
    Definition { id, title, source, setting: setting::<PANEL>, runs: runs::<PANEL>, draw: draw::<PANEL> }
}

fn setting<const PANEL: char>(setting: &Setting) -> String {
    runs::<PANEL>(setting).map_or_else(|error| error.to_string(), |plans| described(&plans))
}

/// The settings of several runs, each behind its name.
fn described(plans: &[Plan]) -> String {
    let texts = plans.iter().map(|plan| format!("{}: {}", plan.name, describe(&plan.config)));
    texts.collect::<Vec<_>>().join("; ")
}

/// The panel's own run, and those that its claims compare it with.
fn runs<const PANEL: char>(setting: &Setting) -> Result<Vec<Plan>> {
    let mut plans = vec![fig3(setting, PANEL)?];
    match PANEL {
        'b' | 'c' => plans.push(fig3(setting, 'a')?),
        'd' => {
            plans.push(fig3(setting, 'a')?);
            plans.extend(claims::controls(setting)?);
        }
        _ => {}
    }
    Ok(plans)
}

fn draw<const PANEL: char>(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let plan = fig3(setting, PANEL)?;
    let dirs = runs.of(&plan.name)?;
    let mut series = accuracies(dirs)?;
    series.extend(gradients(dirs, plan.config.model.widths.len(), true)?);
    let mut claims = once_learnt(&[dirs], vec![claims::phases(setting, PANEL, dirs)?])?;
    claims.push(claims::groks(PANEL, dirs)?);
    match PANEL {
        'b' => claims.extend(claims::rate(runs)?),
        'c' => claims.extend(claims::linear(setting, runs)?),
        'd' => claims.extend(claims::adam(runs)?),
        _ => {}
    }
    Ok(Drawing {
        caption: "Left: accuracy, thin lines with the other statistics in batch norm. Right: RPD gradient of every \
                  hidden layer in evaluation mode, dark (first) to light (last). In phase I it falls from layer to \
                  layer, in phase II it rises, in phase III it is level but for the last layers (also in passing, while the order of the layers turns); marks say where a \
                  phase begins."
            .into(),
        scaled_down: scaled_down_by(setting, narrower(PANEL)),
        y_right: Some(Axis::linear("RPD gradient")),
        series,
        marks: stages(&dirs[..1])?,
        claims,
        ..Drawing::new(log_axis("step"), linear_axis("accuracy").within(0.0, 1.0))
    })
}

/// The papers' two accuracies, and thinner the other two combinations of set and mode.
pub(super) fn accuracies(dirs: &[RunDir]) -> Result<Vec<Series>> {
    let curves = [
        ("train, batch mode", "train_accuracy.batch.all", 0, Style::Line),
        ("test, eval mode", "test_accuracy.eval.all", 1, Style::Line),
        ("train, eval mode", "train_accuracy.eval.all", 0, Style::Thin),
        ("test, batch mode", "test_accuracy.batch.all", 1, Style::Thin),
    ];
    let curve = |(label, name, color, style)| {
        Ok(started(over_steps(dirs, name, |step| step, (label, color, style))?))
    };
    curves.into_iter().map(curve).collect()
}

/// The gradient of every hidden layer of `layers` in evaluation mode, against the right axis or the left.
pub(super) fn gradients(dirs: &[RunDir], layers: usize, right: bool) -> Result<Vec<Series>> {
    let curve = |layer: usize| {
        let name = format!("rpd_gradient.eval.{layer}");
        let label = format!("layer {layer}");
        let line = over_steps(dirs, &name, |step| step, (&label, 2, Style::Line))?;
        let shade = Some((layer - 2) as f64 / (layers - 3).max(1) as f64);
        Ok(Series { right, shade, ..started(line) })
    };
    (2..layers).map(curve).collect()
}

/// Where the phases of the first repetition begin, if they are few enough to be told apart.
fn stages(dirs: &[RunDir]) -> Result<Vec<Mark>> {
    let mut marks = vec![];
    for course in Course::all(dirs, MODES[0])? {
        let stages = course.stages();
        if stages.len() <= 4 {
            marks.extend(stages.into_iter().map(|(phase, x)| Mark { x: x.max(1.0), label: named(phase) }));
        }
    }
    Ok(marks)
}

fn named(phase: Phase) -> String {
    format!("phase {phase:?}")
}

/// The runs of panel (h).
fn pruning_runs(setting: &Setting) -> Result<Vec<Plan>> {
    let pruned = |panel| Ok(fig3(setting, panel)?.measuring(pruning::measurements(&[Analysis::Lmap])));
    ['d', 'g'].into_iter().map(pruned).collect()
}

fn pruning_setting(setting: &Setting) -> String {
    let plans = pruning_runs(setting).unwrap_or_default();
    format!(
        "the networks of best test accuracy of two runs, layers from the starting layer to the output replaced by one \
         linear map; {}",
        described(&plans)
    )
}

/// Panel (h).
fn pruned(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let nets = ["a3d", "a3g"];
    let mut series = vec![];
    for (color, (name, label)) in nets.iter().zip(["10 layers", "23 layers"]).enumerate() {
        series.extend(pruning::drawn(runs, name, Analysis::Lmap, label, color)?);
    }
    let claims: Vec<Claim> = vec![
        pruning::works("7a", "10 layers", runs, nets[0])?,
        pruning::works("7b", "23 layers", runs, nets[1])?,
    ];
    Ok(Drawing {
        caption: "Test accuracy when the layers from the starting layer on are one linear map; dashed: the whole \
                  network; thin: without the shifts of batch norm, as Eq. 4 is written. Where a curve meets its dashed \
                  line, the layers behind act linearly."
            .into(),
        scaled_down: scaled_down_by(setting, narrower('d')),
        series,
        claims,
        ..Drawing::new(linear_axis("starting layer"), linear_axis("test accuracy").within(0.0, 1.0))
    })
}
