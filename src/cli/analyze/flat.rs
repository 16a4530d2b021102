//! Results as flat tables, every number of them.

use super::What;
use super::measure::Found;
use crate::analysis::{Accuracy, Basin, Cones, Document, Geometry, LearningPhase, Norms, Point};
use crate::analysis::{Projection, PruningCurve, Rpd};
use crate::cli::table::{Cell, Table};

/// All results of all networks under each other, led by the columns `model` and `analysis`.
pub fn table(what: &[What], found: &[Vec<Document<Found>>]) -> Table {
    let mut all = Table::default();
    for documents in found {
        for (what, document) in what.iter().zip(documents) {
            let lead = [("model", document.model.as_str().into()), ("analysis", what.name().into())];
            all.append(&lead, one(&document.result));
        }
    }
    all
}

/// One result.
pub fn one(found: &Found) -> Table {
    match found {
        Found::Accuracy(accuracy) => of_accuracy(accuracy),
        Found::Rpd(rpd) => of_rpd(rpd),
        Found::Pruning(curve) => of_pruning(curve),
        Found::Basin(basin) => of_basin(basin),
        Found::Geometry(geometry) => of_geometry(geometry),
        Found::Projection(projection) => of_projection(projection),
        Found::Cones(cones) => of_cones(cones),
        Found::Norms(norms) => of_norms(norms),
        Found::Phase(phase) => of_phase(phase),
        Found::Inapplicable { .. } => Table::new(&[]),
    }
}

fn of_accuracy(accuracy: &Accuracy) -> Table {
    let mut table = Table::new(&["quantity", "class", "value"]);
    let splits = [("train_accuracy", accuracy.train), ("test_accuracy", accuracy.test)];
    for (name, value) in splits.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        table.row([name.into(), Cell::Empty, value.into()]);
    }
    table.row(["loss".into(), Cell::Empty, accuracy.loss.into()]);
    table.row(["mse".into(), Cell::Empty, accuracy.mse.into()]);
    for (class, &value) in accuracy.per_class.iter().enumerate() {
        table.row(["class_accuracy".into(), class.into(), value.into()]);
    }
    table
}

fn of_rpd(rpd: &Rpd) -> Table {
    let mut table =
        Table::new(&["layer", "neurons", "zero_signs", "class", "neuron", "gradient", "bin", "density"]);
    for layer in &rpd.layers {
        let mut add = |class: Cell, neuron: Cell, gradient: Cell, bin: Cell, density: Cell| {
            let (neurons, zeros) = (layer.neurons.into(), layer.zero_signs.into());
            table.row([layer.layer.into(), neurons, zeros, class, neuron, gradient, bin, density]);
        };
        for (bin, &density) in layer.density.iter().enumerate() {
            add(Cell::Empty, Cell::Empty, layer.gradient.into(), bin.into(), density.into());
        }
        for (class, (&gradient, densities)) in
            layer.class_gradient.iter().zip(&layer.class_density).enumerate()
        {
            for (bin, &density) in densities.iter().flatten().enumerate() {
                add(class.into(), Cell::Empty, gradient.into(), bin.into(), density.into());
            }
        }
        for (neuron, gradients) in layer.neuron_gradient.iter().flatten().enumerate() {
            for (class, &gradient) in gradients.iter().enumerate() {
                add(class.into(), neuron.into(), gradient.into(), Cell::Empty, Cell::Empty);
            }
        }
    }
    table
}

fn of_pruning(curve: &PruningCurve) -> Table {
    let mut table = Table::new(&["layer", "accuracy", "accuracy_matrix_only"]);
    table.row(["unpruned".into(), curve.unpruned.into(), Cell::Empty]);
    for layer in &curve.layers {
        table.row([layer.layer.into(), layer.accuracy.into(), layer.accuracy_matrix_only.into()]);
    }
    table
}

fn of_basin(basin: &Basin) -> Table {
    let columns = ["class", "sample", "label", "amplitude", "accuracy", "stderr", "size", "size_relative"];
    let mut table = Table::new(&columns);
    let mut curve = |class: Cell, points: &[Point], size: Option<f64>, relative: Option<f64>| {
        for point in points {
            table.row([
                class.clone(),
                Cell::Empty,
                Cell::Empty,
                point.amplitude.into(),
                point.accuracy.into(),
                point.stderr.into(),
                size.into(),
                relative.into(),
            ]);
        }
    };
    curve(Cell::Empty, &basin.curve, basin.size, basin.size_relative);
    for class in basin.per_class.iter().flatten() {
        curve(class.class.into(), class.curve.as_deref().unwrap_or_default(), class.size, None);
    }
    for sample in basin.per_sample.iter().flatten() {
        let mut row = vec![Cell::Empty; columns.len()];
        [row[1], row[2], row[6]] = [sample.index.into(), sample.label.into(), sample.size.into()];
        table.rows.push(row);
    }
    table
}

fn of_geometry(geometry: &Geometry) -> Table {
    let mut table = Table::new(&["layer", "class", "within_cosine_distance", "between_cosine_similarity"]);
    for layer in &geometry.layers {
        let (within, between) = (layer.within_cosine_distance, layer.between_cosine_similarity);
        table.row([layer.layer.into(), Cell::Empty, within.into(), between.into()]);
        for (class, &within) in layer.per_class.iter().enumerate() {
            table.row([layer.layer.into(), class.into(), within.into(), Cell::Empty]);
        }
    }
    table
}

fn of_projection(projection: &Projection) -> Table {
    let mut table = Table::new(&["h1", "h2", "label", "predicted"]);
    for (at, (&label, &predicted)) in
        projection.coordinates.iter().zip(projection.labels.iter().zip(&projection.predicted))
    {
        table.row([at[0].into(), at[1].into(), label.into(), predicted.into()]);
    }
    table
}

/// A row for every copy; the sample itself is that of amplitude 0 without a trial.
fn of_cones(cones: &Cones) -> Table {
    let columns = ["sample", "label", "size", "lost_to", "amplitude", "trial", "p1", "p2", "p3", "predicted"];
    let mut table = Table::new(&columns);
    for cone in &cones.samples {
        let mut add = |amplitude: f64, trial: Cell, at: [f64; 3], predicted: u8| {
            table.row([
                cone.index.into(),
                cone.label.into(),
                cone.size.into(),
                cone.lost_to.into(),
                amplitude.into(),
                trial,
                at[0].into(),
                at[1].into(),
                at[2].into(),
                predicted.into(),
            ]);
        };
        add(0.0, Cell::Empty, cone.point, cone.predicted);
        for copy in &cone.copies {
            add(copy.amplitude, copy.trial.into(), copy.point, copy.predicted);
        }
    }
    table
}

fn of_norms(norms: &Norms) -> Table {
    let mut table = Table::new(&["layer", "norm"]);
    for (at, &norm) in norms.layers.iter().enumerate() {
        table.row([(at + 2).into(), norm.into()]);
    }
    table.row(["all".into(), norms.total.into()]);
    table.row(["all with biases".into(), norms.with_biases.into()]);
    table
}

fn of_phase(phase: &LearningPhase) -> Table {
    let mut table = Table::new(&["layer", "gradient", "phase"]);
    for (at, &gradient) in phase.gradients.iter().enumerate() {
        table.row([(at + 2).into(), gradient.into(), super::summary::phase_name(phase).into()]);
    }
    table
}
