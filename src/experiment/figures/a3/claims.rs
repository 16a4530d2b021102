//! What paper A claims about the training of deep networks: phases, grokking, and which setting does better.

use super::super::Setting;
use super::super::course::{Course, MODES};
use super::super::curves::Estimate;
use super::super::deep::fig3;
use super::super::grokking::{self, Expected};
use crate::Result;
use crate::analysis::Phase;
use crate::experiment::claims::{Statement, above, all, below, of_seeds, over_seeds, rising};
use crate::experiment::{Plan, Runs, Scale};
use crate::model::BnMode;
use crate::store::{Claim, RunDir, Verdict};
use crate::train::{Cumulative, MomentumConfig, Snapshot};

/// Updates of the controls: well past the step at which the network of panel (d) groks.
const CONTROL_STEPS: u64 = 100;

/// Claim 4, panel by panel.
pub(super) fn phases(setting: &Setting, panel: char, dirs: &[RunDir]) -> Result<Claim> {
    let (id, text, paper, judge, reason): (_, _, _, fn(&Course) -> Option<bool>, _) = match panel {
        'a' | 'd' => (
            if panel == 'a' { "4a" } else { "4d" },
            "Phase I comes first, then phase II.",
            "a clear transition",
            turns,
            "phase I at some probe and phase II at the last",
        ),
        'g' => ("4g", "The run ends in phase III.", "a third phase", levels, "phase III at the last probe"),
        _ => (
            match panel {
                'b' => "4b",
                'c' => "4c",
                'e' => "4e",
                _ => "4f",
            },
            "The run is in phase II from the start.",
            "phase II from the outset",
            Course::settled,
            "phase II at every probe after the first 5 % of the steps",
        ),
    };
    let statement = Statement { id, text, paper: Some(paper) };
    let [eval, batch] = [Course::all(dirs, MODES[0])?, Course::all(dirs, MODES[1])?];
    let found: Option<Vec<bool>> = eval.iter().map(judge).collect();
    let verdict = match found.map(|found| of_seeds(&found)) {
        // A shorter run may end before its last phase, and its first 5 % are few steps.
        Some(Verdict::NotHeld) if setting.scale == Scale::Quick => Verdict::Undecided,
        Some(verdict) => verdict,
        None => Verdict::Undecided,
    };
    let ours = format!("eval: {}; batch: {}", stages(&eval), stages(&batch));
    Ok(statement.decided(
        verdict,
        ours,
        format!("{reason}, in eval mode (batch mode beside it); what a short run does not show is undecided"),
    ))
}

/// First phase I, at the end phase II; none while no layer ranks the classes.
fn turns(course: &Course) -> Option<bool> {
    let phases = course.phases();
    let last = (*phases.last()?)?;
    (last != Phase::Unsorted).then(|| last == Phase::II && phases.contains(&Some(Phase::I)))
}

/// Phase III at the end; none while no layer ranks the classes.
fn levels(course: &Course) -> Option<bool> {
    let last = (*course.phases().last()?)?;
    (last != Phase::Unsorted).then_some(last == Phase::III)
}

/// `I from step 1, II from step 12` of the first repetition, and how many there are.
fn stages(courses: &[Course]) -> String {
    let Some(first) = courses.first() else { return "not measured".into() };
    let stages = first.stages();
    let listed: Vec<String> =
        stages.iter().map(|(phase, step)| format!("{phase:?} from step {step}")).collect();
    let seeds =
        if courses.len() > 1 { format!(" (first of {} seeds)", courses.len()) } else { String::new() };
    match listed.len() {
        0 => format!("no clear phase{seeds}"),
        // A run that wavers between two phases is told by where it begins and ends.
        n if n > 5 => format!("{}, …, {}{seeds}", listed[..2].join(", "), listed[n - 1]),
        _ => format!("{}{seeds}", listed.join(", ")),
    }
}

/// Claim 12, panel by panel.
pub(super) fn groks(panel: char, dirs: &[RunDir]) -> Result<Claim> {
    let id = match panel {
        'a' => "12-A3a",
        'b' => "12-A3b",
        'c' => "12-A3c",
        'd' => "12-A3d",
        'e' => "12-A3e",
        'f' => "12-A3f",
        _ => "12-A3g",
    };
    let (expected, text, paper) = match panel {
        'a' | 'd' | 'g' => (
            Expected::Groks,
            "The run groks in eval mode and does not in batch mode.",
            "consistently appears",
        ),
        _ => (Expected::Not, "The run does not grok.", "no notable grokking"),
    };
    grokking::claim(Statement { id, text, paper: Some(paper) }, dirs, expected)
}

/// The network of panel (d) with other averages in batch norm: the newest batch alone, and all batches alike.
pub(super) fn controls(setting: &Setting) -> Result<Vec<Plan>> {
    let averages = [
        ("a3d-newest", MomentumConfig::Fixed(1.0)),
        ("a3d-cumulative", MomentumConfig::Named(Cumulative::Cumulative)),
    ];
    let control = |(name, momentum)| {
        let mut config = fig3(setting, 'd')?.config;
        config.bn.momentum = momentum;
        config.train.steps = Some(config.steps().min(CONTROL_STEPS));
        config.checkpoint.snapshots = vec![Snapshot::Last];
        setting.run(name, &config)
    };
    averages.into_iter().map(control).collect()
}

/// Claims 5 and 12 on panel (d): Adam against SGD, and the controls of grokking.
pub(super) fn adam(runs: &Runs) -> Result<Vec<Claim>> {
    let [sgd, adam] = [best(runs.of("a3a")?)?, best(runs.of("a3d")?)?];
    let better = Statement {
        id: "5c",
        text: "Adam beats SGD in test accuracy.",
        paper: Some("98.26 % against 97.14 %"),
    };
    let newest = Statement {
        id: "12-newest",
        text: "With the statistics of the newest batch alone (α = 1) the network of A3d does not grok in eval mode \
               either.",
        paper: Some("disappears"),
    };
    let cumulative = Statement {
        id: "12-cumulative",
        text: "With plain averages over all batches so far, which lag more but forget their initial values (mean 0, \
               variance 1) at once, the network of A3d groks too.",
        paper: None,
    };
    let itself = Statement {
        id: "12-itself",
        text: "While the test accuracy of A3d is at chance in eval mode, so is that of the training samples: it is not \
               generalisation that is late.",
        paper: None,
    };
    Ok(vec![
        better.decided(
            rising(&[sgd, adam], runs.test.len()),
            versus("A3d", adam, "A3a", sgd, 4),
            TEST_ERRORS,
        ),
        grokking::claim(newest, runs.of("a3d-newest")?, Expected::Not)?,
        grokking::claim(cumulative, runs.of("a3d-cumulative")?, Expected::Groks)?,
        grokking::training_set(itself, runs.of("a3d")?)?,
    ])
}

const TEST_ERRORS: &str = "best test accuracy (eval mode); the difference against two standard errors (over seeds, at \
                           least that of the test set)";

/// Claim 5 on panel (b): the larger rate.
pub(super) fn rate(runs: &Runs) -> Result<Vec<Claim>> {
    let (slow, fast) = (runs.of("a3a")?, runs.of("a3b")?);
    let first = |dirs: &[RunDir], mode| -> Result<Estimate> {
        let courses = Course::all(dirs, mode)?;
        let ends = courses.iter().filter_map(|course| course.gradients.last()?.first().copied());
        Ok(Estimate::of(&ends.collect::<Vec<f64>>()))
    };
    let [eval, batch] = MODES.map(|mode| Ok::<_, crate::Error>([first(fast, mode)?, first(slow, mode)?]));
    let ([b, a], [b_batch, a_batch]) = (eval?, batch?);
    let gradient = Statement {
        id: "5a",
        text: "The first layer's gradient is lower in A3b than in A3a.",
        paper: Some("lower"),
    };
    let accuracy = Statement {
        id: "5b",
        text: "The test accuracy of A3b is higher than that of A3a.",
        paper: Some("97.89 % against 97.14 %"),
    };
    let accuracies = [best(slow)?, best(fast)?];
    let claims = vec![
        gradient.decided(
            over_seeds(difference(b, a), |gap| below(gap, 0.0)),
            format!(
                "eval: {}; batch: {}",
                versus("A3b", b, "A3a", a, 3),
                versus("A3b", b_batch, "A3a", a_batch, 3)
            ),
            "gradient of layer 2 at the last step; the difference against two standard errors over seeds; one \
             seed has none and decides nothing",
        ),
        accuracy.decided(
            rising(&accuracies, runs.test.len()),
            versus("A3b", accuracies[1], "A3a", accuracies[0], 4),
            TEST_ERRORS,
        ),
    ];
    grokking::once_learnt(&[slow, fast], claims)
}

/// Claim 6 on panel (c): as A3a in its gradients, far below it in accuracy.
pub(super) fn linear(setting: &Setting, runs: &Runs) -> Result<Vec<Claim>> {
    let (relu, linear) = (runs.of("a3a")?, runs.of("a3c")?);
    let apart = |mode| -> Result<Estimate> {
        let pairs = Course::all(relu, mode)?.into_iter().zip(Course::all(linear, mode)?);
        let apart = pairs.filter_map(|(a, c)| gap(a.gradients.last()?, c.gradients.last()?));
        Ok(Estimate::of(&apart.collect::<Vec<f64>>()))
    };
    let (eval, batch) = (apart(BnMode::Eval)?, apart(BnMode::Batch)?);
    let similar = Statement {
        id: "6a",
        text: "A3a and A3c end with similar gradients in every layer.",
        paper: Some("almost identical"),
    };
    let lower = Statement {
        id: "6b",
        text: "Yet the linear network of A3c is about five points less accurate.",
        paper: Some("92.37 % against 97.14 %"),
    };
    let accuracies = [best(linear)?, best(relu)?];
    let points = difference(accuracies[1], accuracies[0]);
    let claims = vec![
        similar.decided(
            below(eval, SIMILAR),
            format!("eval: {} apart; batch: {}", eval.text(2), batch.text(2)),
            "largest relative difference of a layer at the last step, against 0.2",
        ),
        lower.decided(
            match all(&[above(points, 0.025), below(points, 0.075)]) {
                Verdict::NotHeld if setting.scale == Scale::Quick => Verdict::Undecided,
                verdict => verdict,
            },
            versus("A3a", accuracies[1], "A3c", accuracies[0], 4),
            "difference of the best test accuracies (eval mode) between 2.5 and 7.5 points; on few training samples another \
             difference decides nothing",
        ),
    ];
    grokking::once_learnt(&[relu, linear], claims)
}

/// Gradients of two layers that differ by less, relative to their mean, are similar.
const SIMILAR: f64 = 0.2;

/// Largest relative difference of the gradients of a layer; none if one is not positive.
fn gap(a: &[f64], b: &[f64]) -> Option<f64> {
    let relative =
        a.iter().zip(b).map(|(a, b)| (*a > 0.0 && *b > 0.0).then(|| 2.0 * (a - b).abs() / (a + b)));
    relative.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
}

/// Best test accuracies in evaluation mode.
fn best(dirs: &[RunDir]) -> Result<Estimate> {
    let courses = Course::all(dirs, BnMode::Eval)?;
    Ok(Estimate::of(&courses.iter().map(|course| course.test[course.best()]).collect::<Vec<f64>>()))
}

fn difference(a: Estimate, b: Estimate) -> Estimate {
    let error = a.error.zip(b.error).map(|(a, b)| a.hypot(b));
    Estimate { mean: a.mean - b.mean, error }
}

fn versus(name: &str, value: Estimate, other: &str, against: Estimate, digits: usize) -> String {
    format!("{name} {}, {other} {}", value.text(digits), against.text(digits))
}

#[cfg(test)]
mod tests {
    use super::{Course, gap, levels, turns};

    /// A run with these gradients at its probes.
    fn course(gradients: &[[f64; 6]]) -> Course {
        let steps: Vec<f64> = (0..gradients.len()).map(|i| i as f64).collect();
        Course {
            learnt: steps.clone(),
            train: steps.clone(),
            test: steps.clone(),
            loss: steps.clone(),
            step: steps,
            gradients: gradients.iter().map(|row| row.to_vec()).collect(),
        }
    }

    #[test]
    fn phases_of_a_run() {
        const NONE: [f64; 6] = [0.0; 6];
        const I: [f64; 6] = [0.9, 0.7, 0.5, 0.4, 0.3, 0.2];
        const II: [f64; 6] = [0.2, 0.3, 0.4, 0.5, 0.7, 0.9];
        const III: [f64; 6] = [0.5, 0.5, 0.5, 0.9, 1.0, 1.1];
        let found = |judge: fn(&Course) -> Option<bool>, rows: &[[f64; 6]]| judge(&course(rows));
        assert_eq!(found(turns, &[NONE, I, II]), Some(true));
        assert_eq!(found(turns, &[NONE, II, II]), Some(false));
        assert_eq!(found(turns, &[NONE, I, I]), Some(false));
        assert_eq!(found(turns, &[NONE, NONE]), None);
        assert_eq!(found(levels, &[I, II, III]), Some(true));
        assert_eq!(found(levels, &[I, III, II]), Some(false));
        assert_eq!(found(Course::settled, &[NONE, II, II]), Some(true));
        assert_eq!(found(Course::settled, &[NONE, I, II]), Some(false));
        assert!(gap(&I, &II).unwrap() > 0.2 && gap(&I, &I) == Some(0.0) && gap(&NONE, &NONE).is_none());
    }
}
