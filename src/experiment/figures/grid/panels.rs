//! The pictures of the grid.

use super::super::basins::{self, Edge, MODES, Paper, basin};
use super::super::curves::{Estimate, linear_axis, log_axis, series};
use super::super::trends::{Curve, Point};
use super::super::{Drawing, Setting};
use super::{
    CURVES, SIZES, best, claims, curve_width, depths, first_layer, name, smaller, smaller_networks, widths,
};
use crate::Result;
use crate::analysis::{Basin, Rpd, Space};
use crate::experiment::Runs;
use crate::experiment::claims::accuracy_error;
use crate::model::BnMode;
use crate::store::{Axis, Series, Style};
use crate::train::Snapshot;

/// Whether a network has learned enough to say something about depth and width: the deepest narrow ones hardly learn,
/// and then have flat rank distributions and small basins for that reason alone.
fn learned(runs: &Runs, depth: usize, width: usize) -> Result<bool> {
    let accuracies = best(runs.of(&name(depth, width))?, BnMode::Eval)?;
    Ok(Estimate::of(&accuracies).mean >= claims::LEARNED)
}

/// One line of a family: running statistics full, batch statistics thin.
fn line(what: &str, place: (usize, usize), mode: BnMode, points: &[(f64, Vec<f64>)]) -> Series {
    let (index, count) = place;
    let (label, style) = match mode {
        BnMode::Eval => (what.to_owned(), Style::LinePoints),
        BnMode::Batch => (format!("{what}, batch mode"), Style::Thin),
    };
    let shade = Some(index as f64 / (count - 1).max(1) as f64);
    Series { shade, ..series(&label, index, style, points) }
}

/// The values of every cell, by width, over the depths: one line per width and mode.
fn over_depths(
    setting: &Setting,
    mut values: impl FnMut(usize, usize, BnMode) -> Result<Vec<f64>>,
) -> Result<Vec<Series>> {
    let widths = widths(setting);
    let mut drawn = Vec::new();
    for mode in MODES {
        for (i, &width) in widths.iter().enumerate() {
            let points = depths(setting)
                .iter()
                .map(|&depth| Ok((depth as f64, values(depth, width, mode)?)))
                .collect::<Result<Vec<_>>>()?;
            drawn.push(line(&format!("width {width}"), (i, widths.len()), mode, &points));
        }
    }
    Ok(drawn)
}

/// The same values for a verdict: one curve per width over the depths, `transposed` per depth over the widths.
pub(super) struct Grid {
    /// Widths, with their curves over the depths.
    pub by_width: Vec<(usize, Curve)>,
    /// Curves over the widths, one per depth.
    pub by_depth: Vec<Curve>,
}

impl Grid {
    fn of(
        setting: &Setting,
        mut value: impl FnMut(usize, usize) -> Result<Option<Estimate>>,
    ) -> Result<Grid> {
        let (widths, depths) = (widths(setting), depths(setting));
        let mut by_width: Vec<(usize, Curve)> = widths.iter().map(|width| (*width, vec![])).collect();
        let mut by_depth: Vec<Curve> = depths.iter().map(|_| vec![]).collect();
        for (d, &depth) in depths.iter().enumerate() {
            for (w, &width) in widths.iter().enumerate() {
                let Some(y) = value(depth, width)? else { continue };
                by_width[w].1.push(Point { x: depth as f64, y });
                by_depth[d].push(Point { x: width as f64, y });
            }
        }
        Ok(Grid { by_width, by_depth })
    }
}

/// A3i, B4a.
pub(super) fn accuracy(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let values = |depth, width, mode| best(runs.of(&name(depth, width))?, mode);
    let drawn = over_depths(setting, values)?;
    let grid = |mode| {
        Grid::of(setting, |depth, width| {
            let accuracy = Estimate::of(&values(depth, width, mode)?);
            let error = Some(accuracy_error(accuracy, runs.test.len()));
            Ok(learned(runs, depth, width)?.then_some(Estimate { error, ..accuracy }))
        })
    };
    let y = cut(linear_axis("best test accuracy"), &drawn);
    Ok(Drawing {
        caption:
            "Every point is one network at its best test accuracy. Look for the depth at which each width is \
                  best, and for the gain from width. The axis is cut: the deepest narrow networks, \
                  which hardly learn, lie below it."
                .into(),
        scaled_down: smaller_networks(setting),
        claims: vec![claims::peak(grid)?, claims::wider(setting, grid)?],
        series: drawn,
        ..Drawing::new(linear_axis("depth (layers, input and output counted)"), y)
    })
}

/// The axis without the lowest outliers, which would press everything else into a line.
fn cut(axis: Axis, drawn: &[Series]) -> Axis {
    const SHOWN: f64 = 0.12;
    let values = || drawn.iter().flat_map(|series| series.y.iter().copied().flatten());
    let (low, high) = values().fold((1.0f64, 0.0f64), |(low, high), y| (low.min(y), high.max(y)));
    let margin = 0.01;
    if high - low > SHOWN { axis.within((high - SHOWN).max(0.0), (high + margin).min(1.0)) } else { axis }
}

/// A3j, B4b.
pub(super) fn gradient(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let values = |depth, width, mode| {
        let rpds = runs.found::<Rpd>(&name(depth, width), &first_layer(mode))?;
        Ok(rpds.iter().filter_map(|rpd| Some(rpd.layers.first()?.gradient)).collect::<Vec<f64>>())
    };
    let grid = |mode| {
        Grid::of(setting, |depth, width| {
            let gradients = values(depth, width, mode)?;
            let counts = learned(runs, depth, width)? && !gradients.is_empty();
            Ok(counts.then(|| Estimate::of(&gradients)))
        })
    };
    Ok(Drawing {
        caption: "RPD gradient of the first hidden layer (layer 2) of the same networks. A low gradient means many \
                  folding neurons, which look in many directions; look for the minimum over depth and the fall with \
                  width. Deep narrow networks that hardly learn have flat distributions for that reason."
            .into(),
        scaled_down: smaller_networks(setting),
        series: over_depths(setting, values)?,
        claims: vec![claims::falls_with_width(grid)?, claims::minimum(grid)?],
        ..Drawing::new(
            linear_axis("depth (layers, input and output counted)"),
            linear_axis("RPD gradient of layer 2"),
        )
    })
}

/// A4a, b and B4c, d.
pub(super) fn noisy(setting: &Setting, runs: &Runs, space: Space, paper: Paper) -> Result<Drawing> {
    let width = curve_width(setting);
    let mut drawn = Vec::new();
    for mode in MODES {
        for (i, depth) in CURVES.into_iter().enumerate() {
            let what = basin(setting, Snapshot::Best, space, mode);
            let found: Vec<Basin> = runs.found(&name(depth, width), &what)?;
            let points: Vec<(f64, Vec<f64>)> = basins::amplitudes(space)
                .iter()
                .enumerate()
                .map(|(k, amplitude)| {
                    (*amplitude, found.iter().map(|basin| basin.curve[k].accuracy).collect())
                })
                .collect();
            drawn.push(line(&format!("depth {depth}"), (i, CURVES.len()), mode, &points));
        }
    }
    let sizes = |mode| over_depth(setting, runs, (space, mode), paper.edge(), &CURVES, width);
    let claims = match (paper, space) {
        (Paper::A, _) => vec![claims::with_depth(space, width, sizes)?],
        (Paper::B, Space::Sample) => vec![claims::levels_with_depth(width, sizes)?],
        (Paper::B, Space::Weight) => vec![],
    };
    let (caption, axis) = match space {
        Space::Sample => (
            "Training samples with Gaussian noise on every pixel (range [0, 1]), at the best test accuracy. The \
             noise at which half of them are lost is the basin's size; it should grow with depth.",
            "noise amplitude on the pixels",
        ),
        Space::Weight => (
            "The same samples, undisturbed, under Gaussian noise on all weights (in units of each matrix's standard \
             deviation). Deeper networks should lose them earlier.",
            "noise amplitude on the weights",
        ),
    };
    Ok(Drawing {
        caption: format!("{caption} Width {width}."),
        scaled_down: smaller(setting),
        series: drawn,
        claims,
        ..Drawing::new(linear_axis(axis), linear_axis("accuracy of training samples"))
    })
}

/// Basin sizes of one width over these depths.
fn over_depth(
    setting: &Setting,
    runs: &Runs,
    (space, mode): (Space, BnMode),
    edge: Edge,
    depths: &[usize],
    width: usize,
) -> Result<Curve> {
    let mut curve = Curve::new();
    for &depth in depths {
        let what = basin(setting, Snapshot::Best, space, mode);
        if learned(runs, depth, width)? {
            let sizes = basins::sizes(setting, runs, &name(depth, width), &what, edge)?;
            curve.extend(sizes.estimate().map(|y| Point { x: depth as f64, y }));
        }
    }
    Ok(curve)
}

/// A4c, d and B4e, f.
pub(super) fn sizes(setting: &Setting, runs: &Runs, space: Space, paper: Paper) -> Result<Drawing> {
    let found = |depth, width, mode| {
        let what = basin(setting, Snapshot::Best, space, mode);
        basins::sizes(setting, runs, &name(depth, width), &what, paper.edge())
    };
    let mut drawn = Vec::new();
    for mode in MODES {
        for (i, depth) in SIZES.into_iter().enumerate() {
            let points = widths(setting)
                .iter()
                .map(|&width| Ok((width as f64, found(depth, width, mode)?.values)))
                .collect::<Result<Vec<_>>>()?;
            drawn.push(line(&format!("depth {depth}"), (i, SIZES.len()), mode, &points));
        }
    }
    let over_width = |mode| -> Result<Vec<Curve>> {
        let curve = |depth: usize| {
            let points = widths(setting).iter().map(|&width| {
                let learned = learned(runs, depth, width)?;
                let size = found(depth, width, mode)?.estimate().filter(|_| learned);
                Ok(size.map(|y| Point { x: width as f64, y }))
            });
            Ok(points.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        };
        SIZES.into_iter().map(curve).collect()
    };
    let over_depth = |mode| -> Result<Vec<Curve>> {
        let curves = widths(setting).iter();
        curves.map(|&width| over_depth(setting, runs, (space, mode), paper.edge(), &SIZES, width)).collect()
    };
    let claims = match paper {
        Paper::A => vec![claims::grid_with_depth(space, over_depth)?, claims::with_width(space, over_width)?],
        Paper::B => vec![claims::levels_with_width(space, claims::middle(widths(setting)), over_width)?],
    };
    let threshold = match paper {
        Paper::A => "half of the training samples are recognised",
        Paper::B => "half of those recognised without noise are left",
    };
    Ok(Drawing {
        caption: format!(
            "Noise amplitude in {} at which {threshold}, at the best test accuracy. A missing point: a network that \
             has no basin by this rule.",
            basins::name(space)
        ),
        scaled_down: smaller(setting),
        series: drawn,
        claims,
        ..Drawing::new(
            log_axis("width (neurons of a hidden layer)"),
            linear_axis("basin size (noise amplitude)"),
        )
    })
}
