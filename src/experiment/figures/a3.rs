//! Fig. 3 of paper A: which layers of a deep network rank the classes, step by step, under SGD and Adam.

use super::curves::{linear_axis, log_axis, over_steps, started};
use super::deep::{deep_setting, fig3, scaled_down};
use super::{Definition, Drawing, Setting};
use crate::Result;
use crate::experiment::{Plan, Runs};
use crate::store::{Axis, RunDir, Series, Style};

/// Panels of the family.
pub const FIGURES: &[Definition] =
    &[panel("A3a", "SGD, rate 0.03: accuracy and rank gradients", |s| runs(s, 'a'), |s, r| draw(s, r, 'a'))];

const fn panel(
    id: &'static str,
    title: &'static str,
    runs: fn(&Setting) -> Result<Vec<Plan>>,
    draw: fn(&Setting, &Runs) -> Result<Drawing>,
) -> Definition {
    Definition { id, title, source: "Paper A, Fig. 3", setting: deep_setting, runs, draw }
}

fn runs(setting: &Setting, panel: char) -> Result<Vec<Plan>> {
    Ok(vec![fig3(setting, panel)?])
}

fn draw(setting: &Setting, runs: &Runs, panel: char) -> Result<Drawing> {
    let plan = fig3(setting, panel)?;
    let dirs = runs.of(&plan.name)?;
    let layers = plan.config.model.widths.len();
    let mut series = accuracies(dirs)?;
    for layer in 2..layers {
        let label = format!("gradient, layer {layer}");
        let name = format!("rpd_gradient.eval.{layer}");
        let line = over_steps(dirs, &name, |step| step, (&label, 2, Style::Line))?;
        let shade = Some((layer - 2) as f64 / (layers - 3).max(1) as f64);
        series.push(Series { right: true, shade, ..started(line) });
    }
    Ok(Drawing {
        caption: "Left: accuracy. Right: RPD gradient of every hidden layer.".into(),
        scaled_down: scaled_down(setting),
        y_right: Some(Axis::linear("RPD gradient")),
        series,
        ..Drawing::new(log_axis("step"), linear_axis("accuracy"))
    })
}

/// The papers' two accuracies, and thinner the other two combinations of set and mode.
fn accuracies(dirs: &[RunDir]) -> Result<Vec<Series>> {
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
