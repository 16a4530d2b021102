//! What paper B claims about its deep networks: where they are linear, how classes gather, and double descent.

use super::super::course::{Course, MODES};
use super::super::curves::Estimate;
use super::super::pruning;
use super::name;
use crate::Result;
use crate::analysis::{Geometry, trend};
use crate::experiment::claims::{Statement, all, of_seeds};
use crate::experiment::{Analysis, Runs};
use crate::model::BnMode;
use crate::store::{Claim, Verdict};

/// A rise of the test loss by more than this share of its initial value is a hump: double descent.
const HUMP: f64 = 0.1;
/// A fall of a gradient by this share of its height makes the height before it a turn.
const FALL: f64 = 0.03;

/// Claim 7 on panel (b): gradients rise with depth and are largest where L-map pruning works.
pub(super) fn steepest(runs: &Runs, run: &str) -> Result<Claim> {
    let statement = Statement {
        id: "7e",
        text: "The RPD gradient rises with depth and is largest where L-map pruning works.",
        paper: Some("reaches its maximum when L-map pruning becomes effective"),
    };
    let curves = pruning::curves(runs, run, Analysis::Lmap)?;
    let mut parts = vec![];
    let mut texts = vec![];
    for (mode, curves) in MODES.into_iter().zip(&curves) {
        let linear = pruning::first_layers(curves);
        let profiles: Vec<Vec<f64>> = Course::all(runs.of(run)?, mode)?
            .into_iter()
            .filter_map(|course| course.gradients.get(course.best()).cloned())
            .collect();
        let found: Vec<Option<bool>> =
            profiles.iter().zip(&linear).map(|(gradients, layer)| ends_steepest(gradients, *layer)).collect();
        parts.push(found.into_iter().collect::<Option<Vec<bool>>>().filter(|found| !found.is_empty()));
        let trends: Vec<f64> = profiles.iter().map(|gradients| trend(gradients)).collect();
        let largest: Vec<String> =
            profiles.iter().map(|gradients| (largest(gradients) + 2).to_string()).collect();
        let layers: Vec<String> =
            linear.iter().map(|layer| layer.map_or("no layer".into(), |layer| layer.to_string())).collect();
        texts.push(format!(
            "{}: rank correlation with depth {}, largest in layer {}, L-map pruning from layer {}",
            mode.name(),
            Estimate::of(&trends).text(2),
            largest.join(", "),
            layers.join(", ")
        ));
    }
    let verdict = parts[0].as_ref().map_or(Verdict::Undecided, |found| of_seeds(found));
    Ok(statement.decided(
        verdict,
        texts.join("; "),
        "at the best test accuracy: rank correlation of gradient and layer above 0.5, and the layer of the largest \
         gradient among those from which pruning works (within 0.5 %)",
    ))
}

fn largest(gradients: &[f64]) -> usize {
    (0..gradients.len()).max_by(|a, b| gradients[*a].total_cmp(&gradients[*b])).unwrap_or(0)
}

/// Whether gradients of layers 2, 3, … rise and are largest at `linear` or behind; none if pruning works nowhere.
fn ends_steepest(gradients: &[f64], linear: Option<usize>) -> Option<bool> {
    Some(trend(gradients) > 0.5 && largest(gradients) + 2 >= linear?)
}

/// Claim 16.
pub(super) fn gathering(eval: &[Geometry], batch: &[Geometry]) -> Claim {
    let curves = |geometry: &Geometry| -> [Vec<f64>; 2] {
        let layers = geometry.layers.iter();
        [
            layers.clone().map(|layer| layer.within_cosine_distance).collect(),
            layers.filter_map(|layer| layer.between_cosine_similarity).collect(),
        ]
    };
    let falls = |values: &[f64]| {
        trend(values) < -0.5 && values.first().zip(values.last()).is_some_and(|(first, last)| last < first)
    };
    let describe = |found: &[Geometry]| {
        let part = |which: usize, name: &str| {
            let ends = |at: fn(&[f64]) -> Option<&f64>| {
                let values = found.iter().filter_map(|geometry| at(&curves(geometry)[which]).copied());
                Estimate::of(&values.collect::<Vec<f64>>()).text(2)
            };
            format!("{name} {} → {}", ends(|v| v.first()), ends(|v| v.last()))
        };
        match found.is_empty() {
            true => "not measured".into(),
            false => format!("{}, {}", part(0, "within"), part(1, "between")),
        }
    };
    let found: Vec<bool> = eval.iter().map(|geometry| curves(geometry).iter().all(|c| falls(c))).collect();
    let verdict = if found.is_empty() { Verdict::Undecided } else { of_seeds(&found) };
    Statement {
        id: "16",
        text: "Within-class distance and between-class cosine fall with depth.",
        paper: Some("samples cluster, centres become orthogonal"),
    }
    .decided(
        verdict,
        format!("input → last hidden layer, eval: {}; batch: {}", describe(eval), describe(batch)),
        "within: mean over the samples of all classes (drawn: digit 5); rank correlation with the layer below −0.5 for both, \
         and the last below the first",
    )
}

/// How far the test loss rises above the lowest value before, up to its highest before grokking, as a share of
/// its first value.
fn hump(course: &Course) -> f64 {
    let end = course.test.iter().position(|test| *test >= 0.5).unwrap_or(course.test.len());
    let (mut low, mut rise) = (f64::INFINITY, 0.0_f64);
    for loss in &course.loss[..end] {
        low = low.min(*loss);
        rise = rise.max(loss - low);
    }
    rise / course.loss.first().copied().unwrap_or(f64::NAN)
}

/// Standard deviation over layers of log₁₀ of the step at which their gradient turns; none if fewer than half do.
fn spread(course: &Course) -> Option<f64> {
    let layers = course.gradients.first()?.len();
    let turns: Vec<f64> = (0..layers)
        .filter_map(|layer| {
            let values: Vec<f64> = course.gradients.iter().map(|gradients| gradients[layer]).collect();
            turn(&values).map(|at| course.step[at].max(1.0).log10())
        })
        .collect();
    let mean = Estimate::of(&turns).mean;
    let variance = turns.iter().map(|turn| (turn - mean).powi(2)).sum::<f64>() / turns.len() as f64;
    (2 * turns.len() >= layers && !turns.is_empty()).then(|| variance.sqrt())
}

/// Where a curve first turns: its height so far, once it has fallen from there.
fn turn(values: &[f64]) -> Option<usize> {
    let mut top = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[top] {
            top = at;
        } else if values[top] > 0.1 && *value < (1.0 - FALL) * values[top] {
            return Some(top);
        }
    }
    None
}

/// One course for every depth and repetition.
fn courses(runs: &Runs, depths: &[usize]) -> Result<Vec<Vec<Course>>> {
    depths.iter().map(|depth| Course::all(runs.of(&name(*depth))?, BnMode::Eval)).collect()
}

/// A value over the depths, as text.
fn listed(depths: &[usize], values: &[Vec<f64>], digits: usize) -> String {
    let parts =
        depths.iter().zip(values).map(|(depth, v)| format!("{depth}: {}", Estimate::of(v).text(digits)));
    parts.collect::<Vec<String>>().join(", ")
}

/// Whether a value grows from depth to depth, for every repetition.
fn grows(values: &[Vec<f64>]) -> Verdict {
    let seeds = values.iter().map(Vec::len).min().unwrap_or(0);
    let found: Vec<bool> =
        (0..seeds).map(|seed| values.windows(2).all(|pair| pair[0][seed] < pair[1][seed])).collect();
    // One repetition of each network may bear a statement out, not refute it: a single pair would do so.
    match of_seeds(&found) {
        Verdict::NotHeld if seeds < 2 => Verdict::Undecided,
        verdict => verdict,
    }
}

/// Claim 14 on panel (d): delay and hump against depth.
pub(super) fn depth(runs: &Runs, depths: &[usize]) -> Result<Vec<Claim>> {
    let eval = courses(runs, depths)?;
    let batch: Vec<Vec<Course>> = depths
        .iter()
        .map(|depth| Course::all(runs.of(&name(*depth))?, BnMode::Batch))
        .collect::<Result<_>>()?;
    let learnt = eval.iter().flatten().all(|course| course.lag().is_some());
    let over = |courses: &[Vec<Course>], of: fn(&Course) -> f64| -> Vec<Vec<f64>> {
        courses.iter().map(|seeds| seeds.iter().map(of).collect()).collect()
    };
    let mut claims = vec![];
    for (id, text, paper, of, digits, what) in [
        (
            "14a",
            "The delay between training and test accuracy grows with depth.",
            "more pronounced with the number of hidden layers",
            Course::delay as fn(&Course) -> f64,
            0,
            "steps between the half values of training (batch mode) and test accuracy",
        ),
        (
            "14b",
            "The test loss rises higher before grokking the deeper the network.",
            "may increase further for deeper networks",
            hump,
            3,
            "largest rise of the test loss before the test accuracy reaches 0.5, as a share of its first value",
        ),
    ] {
        let (ours, others) = (over(&eval, of), over(&batch, of));
        let verdict = if learnt { grows(&ours) } else { Verdict::Undecided };
        claims.push(Statement { id, text, paper: Some(paper) }.decided(
            verdict,
            format!("eval {}; batch {}", listed(depths, &ours, digits), listed(depths, &others, digits)),
            format!(
                "{what}; strictly rising from depth to depth; undecided unless all learn the training set, and where a \
                 single seed does not rise"
            ),
        ));
    }
    Ok(claims)
}

/// Claim 14 on Fig. 9: a hump of the loss goes with gradients that turn together.
pub(super) fn together(runs: &Runs, depths: &[usize]) -> Result<Claim> {
    let courses = courses(runs, depths)?;
    let humps: Vec<Vec<f64>> = courses.iter().map(|seeds| seeds.iter().map(hump).collect()).collect();
    let spreads: Vec<Vec<f64>> =
        courses.iter().map(|seeds| seeds.iter().filter_map(spread).collect()).collect();
    let pairs: Vec<(f64, f64)> = humps
        .iter()
        .zip(&spreads)
        .filter(|(_, spreads)| !spreads.is_empty())
        .map(|(humps, spreads)| (Estimate::of(humps).mean, Estimate::of(spreads).mean))
        .collect();
    let text = |values: &[Vec<f64>], digits| match values.iter().all(|values| !values.is_empty()) {
        true => listed(depths, values, digits),
        false => "not all networks turn".into(),
    };
    Ok(Statement {
        id: "14c",
        text: "In networks with double descent the gradients of all layers turn at nearly the same step, in others they \
               do not.",
        paper: Some("almost simultaneously across layers"),
    }
    .decided(
        match separate(&pairs) {
            _ if pairs.len() < depths.len() => Verdict::Undecided,
            Verdict::NotHeld if humps.iter().any(|seeds| seeds.len() < 2) => Verdict::Undecided,
            verdict => verdict,
        },
        format!("hump of the loss by depth: {}; spread of the turns in decades: {}", text(&humps, 3), text(&spreads, 2)),
        "a rise of the test loss by more than a tenth is double descent; its networks' spreads (standard deviation over \
         layers of log10 of the step of the first height from which a gradient falls by 3 %) all below the others'; \
         eval mode",
    ))
}

/// Whether the networks with a hump all have smaller spreads than those without.
fn separate(pairs: &[(f64, f64)]) -> Verdict {
    let spreads = |hump: bool| -> Vec<f64> {
        pairs.iter().filter(|pair| (pair.0 > HUMP) == hump).map(|pair| pair.1).collect()
    };
    let (with, without) = (spreads(true), spreads(false));
    if with.is_empty() || without.is_empty() {
        return Verdict::Undecided;
    }
    let smaller =
        with.iter().map(|with| of_seeds(&without.iter().map(|other| with < other).collect::<Vec<bool>>()));
    all(&smaller.collect::<Vec<Verdict>>())
}

#[cfg(test)]
mod tests {
    use super::{ends_steepest, separate, turn};
    use crate::store::Verdict;

    #[test]
    fn where_a_gradient_turns() {
        assert_eq!(turn(&[0.0, 0.5, 1.0, 0.99, 0.8, 2.0]), Some(2));
        assert_eq!(turn(&[0.0, 0.5, 1.0, 0.99, 1.1]), None);
        assert_eq!(turn(&[]), None);
    }

    #[test]
    fn humps_with_and_without_common_turns() {
        assert_eq!(separate(&[(0.0, 0.3), (0.05, 0.2), (0.2, 0.1)]), Verdict::Held);
        assert_eq!(separate(&[(0.0, 0.1), (0.2, 0.3)]), Verdict::NotHeld);
        assert_eq!(separate(&[(0.0, 0.1), (0.05, 0.3)]), Verdict::Undecided);
    }

    #[test]
    fn the_largest_gradient_among_linear_layers() {
        assert_eq!(ends_steepest(&[0.1, 0.2, 0.3, 0.4], Some(4)), Some(true));
        assert_eq!(ends_steepest(&[0.1, 0.5, 0.3, 0.4], Some(4)), Some(false));
        assert_eq!(ends_steepest(&[0.1, 0.2, 0.3, 0.4], None), None);
    }
}
