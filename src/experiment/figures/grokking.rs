//! Claim 12: which runs grok. A run groks if at some probe it has learnt the training set (accuracy in batch mode ≥ 0.9)
//! while its test accuracy in the mode named is at most 0.2.

use super::course::{Course, Lag};
use super::curves::Estimate;
use crate::Result;
use crate::experiment::claims::{Statement, all, of_seeds};
use crate::model::BnMode;
use crate::store::{Claim, RunDir, Verdict};

/// What the papers say of a run.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// It groks with running statistics and not with those of the batch.
    Groks,
    /// It does not grok with running statistics.
    Not,
}

/// The claims, undecided if any repetition of these runs never learns its training set.
pub(super) fn once_learnt(runs: &[&[RunDir]], claims: Vec<Claim>) -> Result<Vec<Claim>> {
    for dirs in runs {
        if Course::all(dirs, BnMode::Eval)?.iter().any(|course| course.lag().is_none()) {
            let undecided = |claim| Claim { verdict: Verdict::Undecided, reason: UNLEARNT.into(), ..claim };
            return Ok(claims.into_iter().map(undecided).collect());
        }
    }
    Ok(claims)
}

const UNLEARNT: &str = "needs runs long enough to learn the training set (accuracy 0.9 in batch mode)";

/// Whether a run does what is expected of it, in both modes, with the control on the training set itself.
pub(super) fn claim(statement: Statement, dirs: &[RunDir], expected: Expected) -> Result<Claim> {
    const REASON: &str = "the definition itself, for every seed: lowest test accuracy among the probes with training \
                          accuracy (batch mode) ≥ 0.9, against 0.2";
    let [eval, batch] = [Course::all(dirs, BnMode::Eval)?, Course::all(dirs, BnMode::Batch)?];
    let lags = |courses: &[Course]| courses.iter().map(Course::lag).collect::<Option<Vec<Lag>>>();
    let Some((eval_lags, batch_lags)) = lags(&eval).zip(lags(&batch)) else {
        let ours = "the training accuracy never reaches 0.9".into();
        return Ok(statement.decided(Verdict::Undecided, ours, UNLEARNT));
    };
    let found = |lags: &[Lag]| lags.iter().map(|lag| lag.test <= 0.2).collect::<Vec<bool>>();
    let not = |found: Vec<bool>| found.into_iter().map(|found| !found).collect::<Vec<bool>>();
    let verdict = match expected {
        Expected::Groks => all(&[of_seeds(&found(&eval_lags)), of_seeds(&not(found(&batch_lags)))]),
        Expected::Not => of_seeds(&not(found(&eval_lags))),
    };
    let mean = |lags: &[Lag], of: fn(&Lag) -> f64| Estimate::of(&lags.iter().map(of).collect::<Vec<f64>>());
    let delays: Vec<f64> = eval.iter().map(Course::delay).collect();
    let ours = format!(
        "lowest test accuracy once learnt: eval {} (the training set itself, in eval mode: {}), batch {}; half values \
         {} steps apart in eval",
        mean(&eval_lags, |lag| lag.test).text(3),
        mean(&eval_lags, |lag| lag.train).text(3),
        mean(&batch_lags, |lag| lag.test).text(3),
        Estimate::of(&delays).text(0),
    );
    Ok(statement.decided(verdict, ours, REASON))
}

/// The control that tells late generalisation from lagging statistics: where the test accuracy is at chance, is the
/// accuracy on the very training samples too?
pub(super) fn training_set(statement: Statement, dirs: &[RunDir]) -> Result<Claim> {
    let lags = Course::all(dirs, BnMode::Eval)?.iter().map(Course::lag).collect::<Option<Vec<Lag>>>();
    let Some(lags) = lags.filter(|lags| lags.iter().all(|lag| lag.test <= 0.2)) else {
        let ours = "not every seed has learnt with its test accuracy still at most 0.2".into();
        return Ok(statement.decided(Verdict::Undecided, ours, "needs a run that groks"));
    };
    let trained: Vec<f64> = lags.iter().map(|lag| lag.train).collect();
    let tested: Vec<f64> = lags.iter().map(|lag| lag.test).collect();
    let found: Vec<bool> = trained.iter().map(|train| *train <= 0.2).collect();
    Ok(statement.decided(
        of_seeds(&found),
        format!(
            "eval mode, before grokking: training set {}, test set {}",
            Estimate::of(&trained).text(3),
            Estimate::of(&tested).text(3)
        ),
        "accuracy of the training set in eval mode at the probe with the lowest test accuracy, against 0.2",
    ))
}
