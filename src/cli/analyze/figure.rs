//! Results as pictures.

use super::What;
use super::measure::Found;
use crate::analysis::Document;
use crate::store::{Axis, Figure, Series, Style};

/// One analysis of one network or several.
pub fn figure(what: What, found: &[Vec<Document<Found>>]) -> Figure {
    let (x, y) = axes(what);
    let documents: Vec<&Document<Found>> = found.iter().flatten().collect();
    let names: Vec<&str> = documents.iter().map(|document| document.model.as_str()).collect();
    let mut figure = Figure::new(what.name(), format!("{} of {}", what.name(), names.join(", ")), x, y);
    for document in documents {
        let first = figure.series.len();
        for (at, mut series) in series(&document.result).into_iter().enumerate() {
            series.color = first + at;
            if found.len() > 1 {
                series.label = format!("{}, {}", document.model, series.label);
            }
            figure.series.push(series);
        }
    }
    figure
}

fn axes(what: What) -> (Axis, Axis) {
    let axes = |x: &str, y: &str| (Axis::linear(x), Axis::linear(y));
    match what {
        What::Accuracy => (Axis::linear("class"), Axis::linear("accuracy").within(0.0, 1.0)),
        What::Rpd => axes("normalised rank, highest first", "density"),
        What::Lmap | What::Lp => {
            (Axis::linear("pruned from layer"), Axis::linear("accuracy").within(0.0, 1.0))
        }
        What::Basin => (Axis::linear("noise amplitude"), Axis::linear("accuracy").within(0.0, 1.0)),
        What::Geometry => axes("layer", "cosine distance, similarity"),
        What::Project => axes("first singular direction", "second singular direction"),
        What::Cones => axes("first principal component", "second principal component"),
        What::Norms => axes("layer", "Frobenius norm"),
        What::Phase | What::All => axes("layer", "RPD gradient"),
    }
}

fn series(found: &Found) -> Vec<Series> {
    let line = |label: &str, points: Vec<(f64, f64)>| Series::new(label, Style::LinePoints, 0, &points);
    match found {
        Found::Accuracy(accuracy) => {
            let classes = accuracy.per_class.iter().enumerate();
            vec![line("accuracy", classes.filter_map(|(class, a)| Some((class as f64, (*a)?))).collect())]
        }
        Found::Rpd(rpd) => {
            let centre = |bin: usize| (bin as f64 + 0.5) / rpd.bins as f64;
            let layer = |layer: &crate::analysis::LayerRpd| {
                let points: Vec<_> =
                    layer.density.iter().enumerate().map(|(bin, &d)| (centre(bin), d)).collect();
                Series::new(format!("layer {}", layer.layer), Style::Line, 0, &points)
            };
            rpd.layers.iter().map(layer).collect()
        }
        Found::Pruning(curve) => {
            let full = curve.layers.iter().map(|layer| (layer.layer as f64, layer.accuracy)).collect();
            let bare = curve.layers.iter().filter_map(|l| Some((l.layer as f64, l.accuracy_matrix_only?)));
            let bare: Vec<(f64, f64)> = bare.collect();
            let mut both = vec![line("pruned", full)];
            if !bare.is_empty() {
                both.push(line("pruned, matrix only", bare));
            }
            both
        }
        Found::Basin(basin) => {
            let mut points = basin.curve.clone();
            points.sort_by(|a, b| a.amplitude.total_cmp(&b.amplitude));
            let mut series = line("accuracy", points.iter().map(|p| (p.amplitude, p.accuracy)).collect());
            series.error = Some(points.iter().map(|point| point.stderr).collect());
            vec![series]
        }
        Found::Geometry(geometry) => {
            let layers = || geometry.layers.iter();
            let within = layers().map(|layer| (layer.layer as f64, layer.within_cosine_distance)).collect();
            let between =
                layers().filter_map(|l| Some((l.layer as f64, l.between_cosine_similarity?))).collect();
            vec![line("distance within classes", within), line("similarity between classes", between)]
        }
        Found::Projection(projection) => {
            let points = projection.labels.iter().copied().zip(projection.coordinates.iter().copied());
            by_class(points.collect())
        }
        Found::Cones(cones) => {
            let copies = cones.samples.iter().flat_map(|cone| &cone.copies);
            by_class(copies.map(|copy| (copy.predicted, [copy.point[0], copy.point[1]])).collect())
        }
        Found::Norms(norms) => {
            vec![line("norm", (2..).map(f64::from).zip(norms.layers.iter().copied()).collect())]
        }
        Found::Inapplicable { .. } => vec![],
        Found::Phase(phase) => {
            vec![line("gradient", (2..).map(f64::from).zip(phase.gradients.iter().copied()).collect())]
        }
    }
}

/// Points in one colour per class.
fn by_class(points: Vec<(u8, [f64; 2])>) -> Vec<Series> {
    let mut classes: Vec<u8> = points.iter().map(|(class, _)| *class).collect();
    classes.sort_unstable();
    classes.dedup();
    let of_class = |class: u8| {
        let own = points.iter().filter(|(other, _)| *other == class);
        let at: Vec<(f64, f64)> = own.map(|(_, [x, y])| (*x, *y)).collect();
        Series::new(format!("class {class}"), Style::Points, 0, &at)
    };
    classes.into_iter().map(of_class).collect()
}
