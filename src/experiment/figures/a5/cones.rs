//! Panel (c): where noise carries twenty samples.

use super::super::basins::MODES;
use super::super::curves::linear_axis;
use super::super::{Drawing, Setting};
use super::{BEST, NET, claims, inset, samples, scaled_down};
use crate::Result;
use crate::analysis::{Cone, Cones};
use crate::experiment::{Analysis, Measurement, Runs};
use crate::model::BnMode;
use crate::store::{Scene, ScenePoint, Series, Style};

/// Noise amplitudes of the copies.
const AMPLITUDES: [f64; 11] = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
/// From where the static picture looks, in degrees: turned about the third axis, and raised above the first two.
const AZIMUTH: f64 = 35.0;
const ELEVATION: f64 = 25.0;

pub fn measurement(setting: &Setting, mode: BnMode) -> Measurement {
    let cones = Measurement::new(Analysis::Cones, BEST).with(|options| {
        options.amplitudes = AMPLITUDES.to_vec();
        options.trials = draws(setting);
    });
    cones.in_mode(mode).limited(samples(setting))
}

/// Copies of a sample at each amplitude. Twenty samples cost little, and a cone is told by many copies only.
fn draws(setting: &Setting) -> usize {
    setting.pick(20, 50)
}

/// The setting of the measurement in words.
pub fn words(setting: &Setting) -> String {
    format!(
        "the first two training samples of each digit, {} noisy copies of each at every amplitude of {}, in the three \
         leading principal components of the last hidden layer over the first {} training samples",
        draws(setting),
        AMPLITUDES.map(|amplitude| amplitude.to_string()).join(", "),
        samples(setting)
    )
}

pub fn draw(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let [eval, batch] = MODES.map(|mode| runs.found::<Cones>(NET, &measurement(setting, mode)));
    let by_mode: [Vec<Cones>; 2] = [eval?, batch?];
    let first = by_mode[0].first();
    let mut drawing = Drawing {
        caption: format!(
            "Two training samples of each digit (stars) and their noisy copies, coloured by predicted class, in the \
             three leading principal components of the last hidden layer, seen from azimuth {AZIMUTH}°, elevation \
             {ELEVATION}°; A5c.html turns them, with large dots for stars. Copies leave their sample as a cone; the \
             more noise, the more of them belong to other classes."
        ),
        scaled_down: scaled_down(setting, "20 instead of 50 draws"),
        claims: claims::cones(&by_mode)?,
        ..Drawing::new(
            linear_axis("across the view"),
            linear_axis("up the view (units of the last hidden layer)"),
        )
    };
    if let Some(cones) = first {
        drawing.series = seen(cones, setting.classes);
        drawing.scene = Some(scene(cones));
        if let Some(dir) = runs.of(NET)?.first() {
            drawing.images = inset::images(cones, runs.train, dir)?;
        }
    }
    Ok(drawing)
}

/// The points as the static picture shows them: copies by predicted class, the samples above them.
fn seen(cones: &Cones, classes: usize) -> Vec<Series> {
    let copies = || cones.samples.iter().flat_map(|cone| &cone.copies);
    let of_class = |class: usize| {
        let own = copies().filter(|copy| usize::from(copy.predicted) == class);
        let points: Vec<(f64, f64)> = own.map(|copy| view(copy.point)).collect();
        (!points.is_empty())
            .then(|| Series::new(format!("predicted as {class}"), Style::Points, class, &points))
    };
    let apexes: Vec<(f64, f64)> = cones.samples.iter().map(|cone| view(cone.point)).collect();
    let own = Series { shade: Some(0.0), ..Series::new("the samples", Style::Points, STAR, &apexes) };
    (0..classes).filter_map(of_class).chain([own]).collect()
}

/// The place in the palette whose marker is a star.
const STAR: usize = 5;

/// Orthographic: across and up.
fn view([x, y, z]: [f64; 3]) -> (f64, f64) {
    let ((sin, cos), (up, flat)) = (AZIMUTH.to_radians().sin_cos(), ELEVATION.to_radians().sin_cos());
    (x * cos - y * sin, (x * sin + y * cos) * up + z * flat)
}

fn scene(cones: &Cones) -> Scene {
    let axis = |i: usize| format!("component {} ({:.0} %)", i + 1, 100.0 * cones.variance[i]);
    Scene { axes: std::array::from_fn(axis), points: cones.samples.iter().flat_map(points).collect() }
}

/// A sample, and its copies behind it.
fn points(cone: &Cone) -> Vec<ScenePoint> {
    let name = format!("sample {}, digit {}", cone.index, cone.label);
    let size = match (cone.size, cone.lost_to) {
        (Some(size), Some(class)) => format!(", basin size {size:.2}, lost to {class} first"),
        (Some(size), None) => format!(", basin size {size:.2}"),
        (None, _) => String::new(),
    };
    let apex = ScenePoint {
        at: cone.point,
        color: usize::from(cone.predicted),
        label: format!("{name}: predicted as {}{size}", cone.predicted),
        large: true,
    };
    let copies = cone.copies.iter().map(|copy| ScenePoint {
        at: copy.point,
        color: usize::from(copy.predicted),
        label: format!("{name}, σ = {}: predicted as {}", copy.amplitude, copy.predicted),
        large: false,
    });
    std::iter::once(apex).chain(copies).collect()
}
