//! Results as people want to see them: the numbers that matter, rounded.

use super::What;
use super::flat;
use super::measure::Found;
use crate::analysis::{Basin, Document, Geometry, LearningPhase, Phase, Projection, Rpd};
use crate::cli::table::{Cell, Table};

/// All results of all networks, each under a line that says what it is.
pub fn text(what: &[What], found: &[Vec<Document<Found>>]) -> String {
    let mut parts = Vec::new();
    for documents in found {
        for (what, document) in what.iter().zip(documents) {
            let samples =
                if what.needs_samples() { format!(", {} samples", document.samples) } else { String::new() };
            let (model, remark) = (&document.model, remark(&document.result));
            parts.push(format!(
                "{} of {model}{samples}{remark}\n{}",
                what.name(),
                table(&document.result).to_text()
            ));
        }
    }
    parts.join("\n")
}

/// What the table does not say.
fn remark(found: &Found) -> String {
    match found {
        Found::Basin(basin) => of_basin(basin),
        Found::Phase(phase) => {
            format!(": phase {}", phase_name(phase).unwrap_or("not defined below three hidden layers"))
        }
        Found::Cones(cones) => {
            let [a, b, c] = cones.variance.map(|share| format!("{:.1} %", 100.0 * share));
            format!(", {} trials; the axes hold {a}, {b}, {c} of the variance", cones.trials)
        }
        Found::Inapplicable { inapplicable } => format!(": left out, {inapplicable}"),
        _ => String::new(),
    }
}

fn of_basin(basin: &Basin) -> String {
    let size = |size: Option<f64>| size.map_or("none".into(), |size| format!("{size:.4}"));
    let reason = basin.reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
    format!(
        ", {} trials: size {}, relative size {}{reason}",
        basin.trials,
        size(basin.size),
        size(basin.size_relative)
    )
}

/// The phase as results have it.
pub fn phase_name(phase: &LearningPhase) -> Option<&'static str> {
    phase.phase.map(|phase| match phase {
        Phase::Unsorted => "none",
        Phase::I => "I",
        Phase::II => "II",
        Phase::III => "III",
        Phase::Mixed => "mixed",
    })
}

fn table(found: &Found) -> Table {
    match found {
        Found::Rpd(rpd) => of_rpd(rpd),
        Found::Projection(projection) => of_projection(projection),
        Found::Cones(cones) => {
            let mut table = Table::new(&["sample", "label", "predicted", "size", "lost to"]);
            for cone in &cones.samples {
                let (label, predicted, lost_to) =
                    (cone.label.into(), cone.predicted.into(), cone.lost_to.into());
                table.row([cone.index.into(), label, predicted, cone.size.into(), lost_to]);
            }
            table
        }
        Found::Basin(basin) => curve(basin),
        Found::Geometry(geometry) => of_geometry(geometry),
        other => flat::one(other),
    }
}

/// The curve, then the size for each class.
fn curve(basin: &Basin) -> Table {
    let mut table = Table::new(&["amplitude", "accuracy", "stderr"]);
    for point in &basin.curve {
        table.row([point.amplitude.into(), point.accuracy.into(), point.stderr.into()]);
    }
    for class in basin.per_class.iter().flatten() {
        table.row([format!("size of class {}", class.class).as_str().into(), class.size.into(), Cell::Empty]);
    }
    table
}

fn of_geometry(geometry: &Geometry) -> Table {
    let mut table = Table::new(&["layer", "distance within classes", "similarity between classes"]);
    for layer in &geometry.layers {
        let (within, between) = (layer.within_cosine_distance, layer.between_cosine_similarity);
        table.row([layer.layer.into(), within.into(), between.into()]);
    }
    table
}

fn of_rpd(rpd: &Rpd) -> Table {
    let mut table = Table::new(&["layer", "neurons", "gradient", "zero signs"]);
    for layer in &rpd.layers {
        table.row([layer.layer.into(), layer.neurons.into(), layer.gradient.into(), layer.zero_signs.into()]);
    }
    table
}

/// The centre of each class.
fn of_projection(projection: &Projection) -> Table {
    let mut table = Table::new(&["class", "samples", "accuracy", "mean h1", "mean h2"]);
    let classes = projection.labels.iter().max().map_or(0, |&label| label + 1);
    for class in 0..classes {
        let (mut count, mut right, mut sum) = (0, 0, [0.0; 2]);
        for (at, &label) in projection.labels.iter().enumerate().filter(|(_, label)| **label == class) {
            count += 1;
            right += usize::from(projection.predicted[at] == label);
            let [x, y] = projection.coordinates[at];
            sum = [sum[0] + x, sum[1] + y];
        }
        let mean = |sum: f64| Cell::from((count > 0).then(|| sum / f64::from(count)));
        table.row([class.into(), (count as usize).into(), mean(right as f64), mean(sum[0]), mean(sum[1])]);
    }
    table
}
