//! Fig. 3 and 9 of paper B: a network of 23 wide layers, from which layer on it is linear, how it gathers its classes,
//! and how loss and gradients run in networks of different depth.

mod claims;

use super::course::Course;
use super::curves::{
    Estimate, density, linear_axis, log_axis, over_steps, rank_axes, series as curve, started,
};
use super::deep::{NARROWEST, deepest, describe, scaled_down_by};
use super::grokking::once_learnt;
use super::{Definition, Drawing, Setting, a3, pruning};
use crate::Result;
use crate::analysis::{Document, Geometry, Rpd};
use crate::experiment::{Analysis, ClassDistances, Measurement, Plan, Runs};
use crate::model::BnMode;
use crate::store::{Axis, RunDir, Series, Style};
use crate::train::Snapshot;

/// Layers of the network of panels (a) to (c).
const DEPTH: usize = 23;
/// Layers of the networks of panel (d) and of Fig. 9: without and with a hump of the test loss.
const DEPTHS: [usize; 4] = [12, DEPTH, 32, 40];
/// The digit whose samples panel (c) shows, and how many of them.
const DIGIT: u8 = 5;
const SAMPLES: usize = 100;

/// Panels of the families.
pub const FIGURES: &[Definition] = &[
    Definition {
        id: "B3a",
        title: "Accuracy with the last layers replaced by L-map or perceptron",
        source: "Paper B, Fig. 3(a)",
        setting: deep_setting,
        runs: pruning_runs,
        draw: pruned,
    },
    Definition {
        id: "B3b",
        title: "Rank distributions of chosen layers",
        source: "Paper B, Fig. 3(b)",
        setting: deep_setting,
        runs: pruning_runs,
        draw: densities,
    },
    Definition {
        id: "B3c",
        title: "Classes gather and part from layer to layer",
        source: "Paper B, Fig. 3(c)",
        setting: deep_setting,
        runs: geometry_runs,
        draw: geometry,
    },
    Definition {
        id: "B3d",
        title: "Test loss and accuracies at several depths",
        source: "Paper B, Fig. 3(d)",
        setting: depths_setting,
        runs: depth_runs,
        draw: losses,
    },
    gradients_at::<23>("B9a", "Gradients and test loss, 23 layers"),
    gradients_at::<32>("B9b", "Gradients and test loss, 32 layers"),
    gradients_at::<12>("B9c", "Gradients and test loss, 12 layers"),
    gradients_at::<40>("B9d", "Gradients and test loss, 40 layers"),
];

const fn gradients_at<const LAYERS: usize>(id: &'static str, title: &'static str) -> Definition {
    let (setting, runs, draw) = (layers_setting::<LAYERS>, layers_runs::<LAYERS>, gradients::<LAYERS>);
    Definition { id, title, source: "Paper B, Fig. 9", setting, runs, draw }
}

/// The panel with the most layers decides the claim over all of them.
const fn decides(layers: usize) -> bool {
    layers == DEPTHS[DEPTHS.len() - 1]
}

fn layers_runs<const LAYERS: usize>(setting: &Setting) -> Result<Vec<Plan>> {
    let mut plans = vec![deepest(setting, LAYERS)?];
    if decides(LAYERS) {
        let others = DEPTHS.into_iter().filter(|depth| *depth != LAYERS);
        plans.extend(others.map(|depth| deepest(setting, depth)).collect::<Result<Vec<Plan>>>()?);
    }
    Ok(plans)
}

fn layers_setting<const LAYERS: usize>(setting: &Setting) -> String {
    deepest(setting, LAYERS).map_or_else(|error| error.to_string(), |plan| describe(&plan.config))
}

fn deep_setting(setting: &Setting) -> String {
    let plan = deepest(setting, DEPTH);
    plan.map_or_else(
        |error| error.to_string(),
        |plan| format!("{}; measured at the best test accuracy", describe(&plan.config)),
    )
}

fn depths_setting(setting: &Setting) -> String {
    let plan = deepest(setting, DEPTHS[0]);
    let text = plan.map_or_else(|error| error.to_string(), |plan| describe(&plan.config));
    format!("{text}; the same with {}, {} and {} layers", DEPTHS[1], DEPTHS[2], DEPTHS[3])
}

fn pruning_runs(setting: &Setting) -> Result<Vec<Plan>> {
    let prunings = pruning::measurements(&[Analysis::Lmap, Analysis::Lp]);
    Ok(vec![deepest(setting, DEPTH)?.measuring(prunings)])
}

fn geometry_runs(setting: &Setting) -> Result<Vec<Plan>> {
    let distances = shown().in_mode(BnMode::Eval);
    let [eval, batch] = [BnMode::Eval, BnMode::Batch].map(class_geometry);
    Ok(vec![deepest(setting, DEPTH)?.measuring([eval, batch, distances])])
}

fn depth_runs(setting: &Setting) -> Result<Vec<Plan>> {
    DEPTHS.into_iter().map(|depth| deepest(setting, depth)).collect()
}

/// The run of so many layers.
fn name(depth: usize) -> String {
    format!("b3-{depth}")
}

fn class_geometry(mode: BnMode) -> Measurement {
    Measurement::new(Analysis::Geometry, Snapshot::Best).in_mode(mode)
}

/// The single samples of panel (c).
fn shown() -> Measurement {
    Measurement::new(Analysis::Distances { class: DIGIT, count: SAMPLES }, Snapshot::Best)
}

/// Panel (a).
fn pruned(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let run = name(DEPTH);
    let mut series = pruning::drawn(runs, &run, Analysis::Lp, "LP", 1)?;
    // The whole network is the same for both prunings: its line stands once, under its own name.
    series.truncate(1);
    series.extend(pruning::drawn(runs, &run, Analysis::Lmap, "L-map", 0)?);
    for whole in series.iter_mut().filter(|series| series.style == Style::Dashed) {
        whole.label = "whole network".into();
    }
    Ok(Drawing {
        caption: "Test accuracy when the layers from the starting layer on are replaced by the network's own L-map or by \
                  the best linear map (LP, least squares on the training set); dashed: the whole network. LP reaches it \
                  where the samples have become linearly separable, the L-map where the network itself is linear."
            .into(),
        scaled_down: scaled_down_by(setting, NARROWEST),
        series,
        claims: vec![
            pruning::works("7c", "23 layers", runs, &run)?,
            pruning::earlier("7d", runs, &run)?,
        ],
        ..Drawing::new(linear_axis("starting layer"), linear_axis("test accuracy").within(0.0, 1.0))
    })
}

/// Panel (b).
fn densities(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(&name(DEPTH))?;
    let best = rpds(dirs)?;
    let layers = best.first().map_or(0, |rpd| rpd.layers.len());
    let mut chosen = vec![0, layers / 4, layers / 2, 3 * layers / 4, layers.saturating_sub(1)];
    chosen.dedup();
    let mut series = vec![];
    for (color, at) in chosen.into_iter().enumerate() {
        let of_layer: Vec<_> = best.iter().filter_map(|rpd| rpd.layers.get(at)).collect();
        let Some(first) = of_layer.first() else { continue };
        let gradient = Estimate::of(&of_layer.iter().map(|layer| layer.gradient).collect::<Vec<f64>>());
        let label = format!("layer {}, gradient {}", first.layer, gradient.text(2));
        let densities: Vec<&[f64]> = of_layer.iter().map(|layer| &layer.density[..]).collect();
        series.push(density(&densities, (&label, color, Style::Line)));
    }
    let (x, y) = rank_axes();
    Ok(Drawing {
        caption: "Where the samples of a class rank among all training samples, mean over all neurons, each local field with the \
                  sign of its L-map weight for the class; at the best test accuracy. The deeper the layer, the steeper the fall: more order-preserving neurons."
            .into(),
        scaled_down: scaled_down_by(setting, NARROWEST),
        series,
        claims: once_learnt(&[dirs], vec![claims::steepest(runs, &name(DEPTH))?])?,
        ..Drawing::new(x, y)
    })
}

/// The rank distributions at the best test accuracy, one per repetition.
fn rpds(dirs: &[RunDir]) -> Result<Vec<Rpd>> {
    let at_best = |dir: &RunDir| {
        let course = Course::of(dir, BnMode::Eval)?;
        let step = course.step.get(course.best()).copied().unwrap_or_default();
        Ok(dir.analysis::<Document<Rpd>>("rpd-eval", step as u64)?.result)
    };
    dirs.iter().map(at_best).collect()
}

/// Panel (c).
fn geometry(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let run = name(DEPTH);
    let mut series = vec![];
    if let Some(single) = runs.found::<ClassDistances>(&run, &shown())?.first() {
        series.push(threads(single));
        series.push(mean(single));
    }
    let [eval, batch] =
        [BnMode::Eval, BnMode::Batch].map(|mode| runs.found::<Geometry>(&run, &class_geometry(mode)));
    let (eval, batch) = (eval?, batch?);
    let layers = eval.first().map_or(0, |geometry| geometry.layers.len());
    let between: Vec<(f64, Vec<f64>)> = (0..layers)
        .map(|i| {
            let of_layer =
                eval.iter().filter_map(|geometry| geometry.layers.get(i)?.between_cosine_similarity);
            ((i + 1) as f64, of_layer.collect())
        })
        .collect();
    series.push(curve("between classes: cosine of the centres", 1, Style::LinePoints, &between));
    Ok(Drawing {
        caption: format!(
            "Thin: the first {SAMPLES} samples of digit {DIGIT}, one by one, 1 − cosine with the centre of their class; \
             blue: their mean; orange: mean cosine between the centres of two classes. Samples gather around their centres with depth while the centres turn towards right \
             angles (cosine 0)."
        ),
        scaled_down: scaled_down_by(setting, NARROWEST),
        series,
        claims: once_learnt(&[runs.of(&run)?], vec![claims::gathering(&eval, &batch)])?,
        ..Drawing::new(linear_axis("layer"), linear_axis("cosine distance or cosine"))
    })
}

/// All single samples as one series, with a gap behind each.
fn threads(single: &ClassDistances) -> Series {
    let samples = single.distances.first().map_or(0, Vec::len);
    let (mut x, mut y) = (vec![], vec![]);
    for sample in 0..samples {
        for (layer, distances) in single.layers.iter().zip(&single.distances) {
            x.push(*layer as f64);
            y.push(distances.get(sample).copied());
        }
        x.extend(single.layers.last().map(|layer| *layer as f64));
        y.push(None);
    }
    let label = format!("within digit {DIGIT}: single samples");
    Series { x, y, ..Series::new(label, Style::Thin, 7, &[]) }
}

fn mean(single: &ClassDistances) -> Series {
    let points: Vec<(f64, f64)> = single
        .layers
        .iter()
        .zip(&single.distances)
        .filter(|(_, distances)| !distances.is_empty())
        .map(|(layer, distances)| (*layer as f64, Estimate::of(distances).mean))
        .collect();
    Series::new(format!("within digit {DIGIT}: mean"), Style::LinePoints, 0, &points)
}

/// Panel (d).
fn losses(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let mut series = vec![];
    for (color, depth) in DEPTHS.into_iter().enumerate() {
        let dirs = runs.of(&name(depth))?;
        let mut add = |what: &str, column: &str, style, right| -> Result<()> {
            let line =
                over_steps(dirs, column, |step| step, (&format!("{what}, {depth} layers"), color, style))?;
            series.push(Series { right, ..started(line) });
            Ok(())
        };
        add("test loss", "test_loss.eval.all", Style::Line, false)?;
        add("test accuracy", "test_accuracy.eval.all", Style::Dashed, true)?;
        add("train accuracy", "train_accuracy.batch.all", Style::Thin, true)?;
    }
    Ok(Drawing {
        caption: "Thick: test loss (left). Dashed: test accuracy, thin: training accuracy (right). The deeper the network, \
                  the higher the test loss should rise before it falls (double descent), and the later the test \
                  accuracy should follow that of training."
            .into(),
        scaled_down: scaled_down_by(setting, NARROWEST),
        y_right: Some(Axis::linear("accuracy").within(0.0, 1.0)),
        series,
        claims: claims::depth(runs, &DEPTHS)?,
        ..Drawing::new(log_axis("step"), linear_axis("test loss"))
    })
}

/// Fig. 9.
fn gradients<const LAYERS: usize>(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let dirs = runs.of(&name(LAYERS))?;
    let layers = deepest(setting, LAYERS)?.config.model.widths.len();
    let loss = over_steps(dirs, "test_loss.eval.all", |step| step, ("test loss", 1, Style::Dashed))?;
    let mut series = vec![Series { right: true, ..started(loss) }];
    series.extend(a3::gradients(dirs, layers, false)?);
    let claims = match decides(LAYERS) {
        true => vec![claims::together(runs, &DEPTHS)?],
        false => vec![],
    };
    Ok(Drawing {
        caption: "RPD gradient of every hidden layer in evaluation mode, dark (first) to light (last), and the test loss \
                  (dashed, right). Where the loss has a hump, the gradients of all layers should turn at the same step."
            .into(),
        scaled_down: scaled_down_by(setting, NARROWEST),
        y_right: Some(Axis::linear("test loss")),
        series,
        claims,
        ..Drawing::new(log_axis("step"), linear_axis("RPD gradient"))
    })
}
