//! One training choice varied: both basins on the left, test accuracy on the right.

use super::super::basins::{self, Edge, MODES, Paper, SPACES, basin};
use super::super::curves::{Estimate, linear_axis, log_axis, series};
use super::super::trends::{Curve, Point};
use super::super::{Drawing, Setting};
use super::{claims, smaller};
use crate::Result;
use crate::analysis::Space;
use crate::experiment::Runs;
use crate::experiment::claims::accuracy_error;
use crate::experiment::figures::grid::best;
use crate::model::BnMode;
use crate::store::{Axis, Series, Style};
use crate::train::Snapshot;

/// What is varied.
pub(super) struct Kind {
    pub name: &'static str,
    pub axis: &'static str,
    pub log: bool,
    pub values: fn(&Setting) -> Vec<f64>,
}

impl Kind {
    /// Name of the run at one value.
    pub fn run(&self, value: f64) -> String {
        format!("{}-{value}", self.name)
    }
}

/// Paper A draws the basin in sample space twice as large.
fn factor(paper: Paper, space: Space) -> f64 {
    if paper == Paper::A && space == Space::Sample { 2.0 } else { 1.0 }
}

/// A sweep in one mode, for a verdict: where a size or an accuracy is missing, so is the point.
#[derive(Clone, Debug, Default)]
pub(super) struct Swept {
    pub sample: Curve,
    pub weight: Curve,
    pub accuracy: Curve,
}

impl Swept {
    fn of(setting: &Setting, runs: &Runs, kind: &Kind, mode: BnMode, edge: Edge) -> Result<Swept> {
        let mut swept = Swept::default();
        for x in (kind.values)(setting) {
            let run = kind.run(x);
            let size = |space| -> Result<Option<Estimate>> {
                let what = basin(setting, Snapshot::Best, space, mode);
                Ok(basins::sizes(setting, runs, &run, &what, edge)?.estimate())
            };
            let accuracy = Estimate::of(&best(runs.of(&run)?, mode)?);
            let error = Some(accuracy_error(accuracy, runs.test.len()));
            if let (Some(sample), Some(weight)) = (size(Space::Sample)?, size(Space::Weight)?) {
                swept.sample.push(Point { x, y: sample });
                swept.weight.push(Point { x, y: weight });
                swept.accuracy.push(Point { x, y: Estimate { error, ..accuracy } });
            }
        }
        Ok(swept)
    }
}

/// A panel of a sweep.
pub(super) fn draw(setting: &Setting, runs: &Runs, kind: &Kind, paper: Paper) -> Result<Drawing> {
    let mut drawn = Vec::new();
    for mode in MODES {
        for space in SPACES {
            drawn.push(size_line(setting, runs, kind, (space, mode), paper)?);
        }
        drawn.push(accuracy_line(setting, runs, kind, mode)?);
    }
    let swept = |mode| Swept::of(setting, runs, kind, mode, paper.edge());
    let claims = match (paper, kind.name) {
        (Paper::A, "rate") => vec![claims::monotonic(swept)?, claims::best_at_largest(swept)?],
        (Paper::A, _) => vec![claims::peaks_where_both_grow(swept)?, claims::falls_with_weight(swept)?],
        (Paper::B, name) => vec![claims::best_together(name, swept)?],
    };
    let rule = match paper {
        Paper::A => "half of the training samples are recognised",
        Paper::B => "half of those recognised without noise are left",
    };
    Ok(Drawing {
        caption: format!(
            "Left: noise amplitude on pixels and weights at which {rule}. Right: best test accuracy. Look where the \
             accuracy is highest and what both basins do there; thin lines use the samples' own batch statistics."
        ),
        scaled_down: smaller(setting),
        y_right: Some(Axis::linear("best test accuracy")),
        series: drawn,
        claims,
        ..Drawing::new(
            if kind.log { log_axis(kind.axis) } else { linear_axis(kind.axis) },
            linear_axis("basin size (noise amplitude)"),
        )
    })
}

fn size_line(
    setting: &Setting,
    runs: &Runs,
    kind: &Kind,
    (space, mode): (Space, BnMode),
    paper: Paper,
) -> Result<Series> {
    let factor = factor(paper, space);
    let scaled = if factor == 1.0 { String::new() } else { format!(" × {factor}") };
    let mut points = Vec::new();
    for value in (kind.values)(setting) {
        let what = basin(setting, Snapshot::Best, space, mode);
        let sizes = basins::sizes(setting, runs, &kind.run(value), &what, paper.edge())?.values;
        points.push((value, sizes.iter().map(|size| factor * size).collect()));
    }
    let color = usize::from(space == Space::Weight);
    Ok(line(&format!("{}{scaled}", basins::name(space)), color, mode, &points))
}

fn accuracy_line(setting: &Setting, runs: &Runs, kind: &Kind, mode: BnMode) -> Result<Series> {
    let mut points = Vec::new();
    for value in (kind.values)(setting) {
        points.push((value, best(runs.of(&kind.run(value))?, mode)?));
    }
    Ok(Series { right: true, ..line("test accuracy", 2, mode, &points) })
}

/// Running statistics full, batch statistics thin.
pub(super) fn line(what: &str, color: usize, mode: BnMode, points: &[(f64, Vec<f64>)]) -> Series {
    match mode {
        BnMode::Eval => series(what, color, Style::LinePoints, points),
        BnMode::Batch => series(&format!("{what}, batch mode"), color, Style::Thin, points),
    }
}
