//! Fig. 5 of paper A and S3: what differs between the digits, and between single samples, of one deep network.

mod claims;
mod classes;
mod cones;
mod inset;

use super::basins::{MODES, amplitudes, trials};
use super::curves::{density, linear_axis, rank_axes, series};
use super::deep::{describe, fig3};
use super::{Definition, Drawing, Setting, deep};
use crate::Result;
use crate::analysis::{Basin, Rpd, Space};
use crate::experiment::{Analysis, Measurement, Plan, Runs, Scale};
use crate::model::BnMode;
use crate::store::{Axis, Series, Style};
use crate::train::Snapshot;
use classes::ByClass;

/// Panels of the family.
pub const FIGURES: &[Definition] = &[
    panel::<'a'>("A5a", "Attraction basins, digit by digit", "Paper A, Fig. 5(a)"),
    panel::<'b'>("A5b", "Rank distributions of the first hidden layer, digit by digit", "Paper A, Fig. 5(b)"),
    panel::<'c'>("A5c", "Noisy copies of twenty samples in the last hidden layer", "Paper A, Fig. 5(c)"),
    panel::<'s'>("S3", "Linear separability of the digits beside their basins", "Paper A, supplement"),
];

const fn panel<const PANEL: char>(id: &'static str, title: &'static str, source: &'static str) -> Definition {
    let draw = match PANEL {
        'a' => basins_by_class,
        'b' => ranks_by_class,
        'c' => cones::draw,
        _ => separability,
    };
    Definition { id, title, source, setting: setting::<PANEL>, runs: runs::<PANEL>, draw }
}

/// The run of all panels, and the linear one of S3.
const NET: &str = "a3g";
const LINEAR: &str = "a3f";
const BEST: Snapshot = Snapshot::Best;
/// The layer of panel (b).
const FIRST_HIDDEN: usize = 2;

fn runs<const PANEL: char>(setting: &Setting) -> Result<Vec<Plan>> {
    let in_modes = |what: fn(&Setting, BnMode) -> Measurement| MODES.map(|mode| what(setting, mode));
    let net = fig3(setting, 'g')?;
    Ok(match PANEL {
        'a' => vec![net.measuring(in_modes(class_basins))],
        'b' => vec![net.measuring(in_modes(ranks))],
        'c' => vec![net.measuring(in_modes(cones::measurement))],
        _ => vec![
            net.measuring(in_modes(class_basins)),
            fig3(setting, 'f')?.measuring(in_modes(linear_accuracy)),
        ],
    })
}

fn setting<const PANEL: char>(setting: &Setting) -> String {
    let plans = match runs::<PANEL>(setting) {
        Ok(plans) => plans,
        Err(error) => return error.to_string(),
    };
    let nets: Vec<String> = plans.iter().map(|plan| describe(&plan.config)).collect();
    let measured = match PANEL {
        'b' => String::new(),
        'c' => format!("; {}", cones::words(setting)),
        _ => format!(
            "; basins on the first {} training samples with {} noise draws per amplitude",
            samples(setting),
            trials(setting)
        ),
    };
    format!("the networks at their best test accuracy; {}{measured}", nets.join("; linear separability: "))
}

/// Training samples of the basins and the cones: two hundred a digit at quick scale.
fn samples(setting: &Setting) -> usize {
    setting.pick(2_000.min(setting.samples), setting.samples)
}

/// The basins of all classes.
fn class_basins(setting: &Setting, mode: BnMode) -> Measurement {
    let measurement = Measurement::basin(BEST, Space::Sample, amplitudes(Space::Sample), trials(setting));
    let by_class = measurement.with(|options| options.detail.per_class = true);
    by_class.in_mode(mode).limited(samples(setting))
}

fn ranks(_: &Setting, mode: BnMode) -> Measurement {
    let measurement = Measurement::new(Analysis::Rpd, BEST).in_mode(mode);
    measurement.with(|options| options.layers = Some(vec![FIRST_HIDDEN]))
}

fn linear_accuracy(_: &Setting, mode: BnMode) -> Measurement {
    Measurement::new(Analysis::Accuracy, BEST).in_mode(mode)
}

/// What quick scale makes smaller, basins included.
fn scaled_down(setting: &Setting, of_noise: &str) -> String {
    let noise = (setting.scale == Scale::Quick && !of_noise.is_empty())
        .then(|| format!("noise on {} of them, {of_noise}", samples(setting)));
    let parts = noise
        .into_iter()
        .chain([deep::scaled_down_by(setting, deep::narrower('g'))])
        .filter(|part| !part.is_empty());
    parts.rev().collect::<Vec<_>>().join("; ")
}

const DRAWS: &str = "3 instead of 10 draws";

/// How a digit is drawn in each mode: evaluation mode as the paper, batch mode thinner.
fn looks(digit: usize) -> [(BnMode, String, Style); 2] {
    [
        (BnMode::Eval, format!("digit {digit}"), Style::Line),
        (BnMode::Batch, format!("digit {digit}, batch mode"), Style::Thin),
    ]
}

/// Panel (a).
fn basins_by_class(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let mut drawn = vec![];
    for mode in MODES {
        let basins: Vec<Basin> = runs.found(NET, &class_basins(setting, mode))?;
        for digit in 0..setting.classes {
            let curves: Vec<_> =
                classes::of(&basins, digit).filter_map(|class| class.curve.as_ref()).collect();
            let Some(first) = curves.first() else { continue };
            let at = |i: usize| curves.iter().filter_map(|curve| Some(curve.get(i)?.accuracy)).collect();
            let points: Vec<(f64, Vec<f64>)> =
                first.iter().enumerate().map(|(i, point)| (point.amplitude, at(i))).collect();
            for (_, label, style) in looks(digit).into_iter().filter(|look| look.0 == mode) {
                drawn.push(series(&label, digit, style, &points));
            }
        }
    }
    let sizes = |mode| ByClass::basins(setting, runs, mode);
    Ok(Drawing {
        caption: "Share of the training samples of each digit that are still classified right under Gaussian noise on \
                  their pixels; thin: with batch statistics in batch norm. A basin ends where its curve falls through \
                  one half; look for the curves that fall first and last."
            .into(),
        scaled_down: scaled_down(setting, DRAWS),
        series: drawn,
        claims: vec![claims::differ(sizes)?, claims::stand(&claims::BASINS, sizes)?],
        ..Drawing::new(
            linear_axis("noise amplitude σ (pixels in [0, 1])"),
            linear_axis("accuracy").within(0.0, 1.0),
        )
    })
}

/// Panel (b).
fn ranks_by_class(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let mut drawn = vec![];
    for mode in MODES {
        let found: Vec<Rpd> = runs.found(NET, &ranks(setting, mode))?;
        for digit in 0..setting.classes {
            let of_digit = |rpd| classes::first_hidden(rpd)?.class_density.get(digit)?.as_deref();
            let densities: Vec<&[f64]> = found.iter().filter_map(of_digit).collect();
            for (_, label, style) in looks(digit).into_iter().filter(|look| look.0 == mode) {
                if !densities.is_empty() {
                    drawn.push(density(&densities, (&label, digit, style)));
                }
            }
        }
    }
    let (x, y) = rank_axes();
    Ok(Drawing {
        caption: "Where the samples of each digit stand when all training samples are ranked by the first hidden \
                  layer, mean over its neurons, each with the sign of its L-map weight for the digit; thin: with batch statistics in batch norm. The steeper a curve falls, \
                  the more the layer keeps the order along this digit’s linear map."
            .into(),
        scaled_down: scaled_down(setting, ""),
        series: drawn,
        claims: vec![claims::stand(&claims::RANKS, |mode| ByClass::gradients(setting, runs, mode))?],
        ..Drawing::new(x, y)
    })
}

/// S3.
fn separability(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let linear = |mode| ByClass::linear(setting, runs, mode);
    let basins = |mode| ByClass::basins(setting, runs, mode);
    let [eval, batch] = MODES;
    let drawn: Vec<Series> = [
        ("linear network, test accuracy", 0, false, linear(eval)?),
        ("the same, batch mode", 2, false, linear(batch)?),
        ("deep network, basin size", 1, true, basins(eval)?),
        ("the same, batch mode", 3, true, basins(batch)?),
    ]
    .into_iter()
    .filter_map(|(label, color, right, values)| {
        let drawn = values.drawn(label, color)?;
        Some(Series { right, ..drawn })
    })
    .collect();
    Ok(Drawing {
        caption: "Left: test accuracy of a linear network for each digit, the measure of linear separability. Right: \
                  noise amplitude at which the deep ReLU network keeps half of the digit’s training samples (1.5: no edge \
                  up to there). If separable digits have large basins, both sets of points go up and down together."
            .into(),
        scaled_down: scaled_down(setting, DRAWS),
        y_right: Some(Axis::linear("basin size σ")),
        series: drawn,
        claims: vec![
            claims::stand(&claims::SEPARABILITY, linear)?,
            claims::together(&claims::TOGETHER, linear, basins)?,
        ],
        ..Drawing::new(linear_axis("digit"), linear_axis("test accuracy of the linear network"))
    })
}
