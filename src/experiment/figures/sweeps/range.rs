//! Fig. 5a of paper B: what rescaling the initial weights with the width is good for.

use super::super::basins::{self, Edge, MODES, both_modes};
use super::super::curves::{linear_axis, log_axis};
use super::super::grid;
use super::super::trends::{Curve, Point};
use super::super::{Drawing, Setting};
use super::claims;
use super::sweep::line;
use crate::Result;
use crate::analysis::Space;
use crate::experiment::{Plan, Runs};
use crate::model::{BnMode, InitKind};
use crate::store::{Mark, Series};
use crate::train::Snapshot;

/// Layers of the networks.
const DEPTH: usize = 10;

/// The width at which both ranges agree; at quick scale as far inside the narrower widths as in the paper.
fn equal_width(setting: &Setting) -> usize {
    setting.pick(128, 512)
}

pub(super) fn setting(setting: &Setting) -> String {
    let widths: Vec<String> = grid::widths(setting).iter().map(|width| width.to_string()).collect();
    format!(
        "{DEPTH} layers, widths {}; initial weights U(±1/√fan_in), or U(±a) with a = 1/√{} whatever the width; ReLU, batch \
         norm, no biases; Adam, rate 1e-3, cross-entropy, the first {} training samples as one batch; {}; measured at the \
         best test accuracy (eval); pixels in [0, 1]; {}",
        widths.join(", "),
        equal_width(setting),
        setting.deep_samples(),
        grid::lengths(setting),
        basins::words(setting),
    )
}

/// The network of the grid, with its own initial weights or those of a fixed range.
fn plan(setting: &Setting, kind: InitKind, width: usize) -> Result<Plan> {
    let plan = grid::cell(setting, DEPTH, width)?;
    if kind == InitKind::Kaiming {
        return Ok(plan);
    }
    let mut config = plan.config;
    config.init.kind = kind;
    config.init.range = 1.0 / (equal_width(setting) as f64).sqrt();
    setting.run(format!("range-{width}"), &config)
}

const KINDS: [InitKind; 2] = [InitKind::Kaiming, InitKind::Fixed];

pub(super) fn runs(setting: &Setting) -> Result<Vec<Plan>> {
    let after = both_modes(setting, Snapshot::Best, &[Space::Weight]);
    let of_kind = |kind| grid::widths(setting).iter().map(move |width| plan(setting, kind, *width));
    let plans = KINDS.into_iter().flat_map(of_kind);
    plans.map(|plan| Ok(plan?.measuring(after.clone()))).collect()
}

pub(super) fn draw(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let found = |kind, width, mode| {
        let what = basins::basin(setting, Snapshot::Best, Space::Weight, mode);
        basins::sizes(setting, runs, &plan(setting, kind, width)?.name, &what, Edge::HalfOfOwn)
    };
    let mut drawn: Vec<Series> = Vec::new();
    for mode in MODES {
        for (color, kind) in KINDS.into_iter().enumerate() {
            let label = match kind {
                InitKind::Kaiming => "Kaiming: U(±1/√fan_in)".to_owned(),
                InitKind::Fixed => format!("fixed: U(±1/√{})", equal_width(setting)),
            };
            let mut points = Vec::new();
            for &width in grid::widths(setting) {
                points.push((width as f64, found(kind, width, mode)?.values));
            }
            drawn.push(line(&label, color, mode, &points));
        }
    }
    let curves = |mode: BnMode| -> Result<[Curve; 2]> {
        let mut both = [Curve::new(), Curve::new()];
        for (curve, kind) in both.iter_mut().zip(KINDS) {
            for &width in grid::widths(setting) {
                let size = found(kind, width, mode)?.estimate();
                curve.extend(size.map(|y| Point { x: width as f64, y }));
            }
        }
        Ok(both)
    };
    let equal = equal_width(setting);
    let shifted = format!("a = 1/√{equal} instead of 1/√512, in proportion to the widths");
    let parts = [grid::smaller(setting), setting.pick(shifted, String::new())];
    Ok(Drawing {
        caption: "Basin in weight space (half of the noise-free accuracy) of ten-layer networks. Beyond the width at \
                  which both ranges agree the fixed one is too large; the papers see the basin shrink there."
            .into(),
        scaled_down: parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "),
        marks: vec![Mark { x: equal as f64, label: "both ranges agree".into() }],
        series: drawn,
        claims: vec![claims::stops_growing(curves)?],
        ..Drawing::new(
            log_axis("width (neurons of a hidden layer)"),
            linear_axis("basin size in weight space (noise amplitude)"),
        )
    })
}
