//! Whether test samples lie where the training samples of their class do, before and after grokking.

use super::super::Setting;
use super::super::curves::Estimate;
use super::super::regions::OVERLAP;
use super::{Moment, Net, PANELS};
use crate::Result;
use crate::analysis::test_train_distance;
use crate::data::Which;
use crate::experiment::Runs;
use crate::experiment::claims::{Statement, above, all, below};
use crate::model::BnMode;
use crate::store::{Claim, Verdict};
use crate::train::Snapshot;

/// Overlap that counts as low: three classes thrown together at random have a third.
const LOW: f64 = 0.6;

/// The claims of a panel: those of test samples, each beside the picture that shows it.
pub(super) fn of_panel(setting: &Setting, runs: &Runs, index: usize) -> Result<Vec<Claim>> {
    let panel = PANELS[index];
    if panel.split == Which::Train {
        return Ok(vec![]);
    }
    let run = &panel.net.run(setting)?.name;
    let (net, moment, mode) = (panel.net, panel.moment, panel.mode);
    Ok(match (net, moment, mode) {
        (Net::Narrow, Moment::Before, BnMode::Eval) => {
            vec![low("12-A6-eval", net, runs, run)?, moved("12-A6-train", net, runs, run)?]
        }
        (Net::Wide, Moment::Before, BnMode::Eval) => {
            vec![low("12-B7-eval", net, runs, run)?, moved("12-B7-train", net, runs, run)?]
        }
        (Net::Narrow, Moment::Before, BnMode::Batch) => {
            vec![high("12-A6-batch", net, runs, run, Snapshot::Memorised)?]
        }
        (Net::Wide, Moment::Before, BnMode::Batch) => {
            vec![high("12-B7-batch", net, runs, run, Snapshot::Memorised)?]
        }
        (Net::Narrow, Moment::After, BnMode::Eval) => {
            vec![high("12-A6-after", net, runs, run, Snapshot::Best)?]
        }
        (Net::Wide, Moment::After, BnMode::Eval) => {
            vec![high("12-B7-after", net, runs, run, Snapshot::Best)?]
        }
        (Net::Shallow, Moment::Before, _) => vec![low("13h", net, runs, run)?, distance(runs)?],
        (Net::Shallow, Moment::After, _) => vec![high("13i", net, runs, run, Snapshot::Best)?],
        _ => vec![],
    })
}

/// Region overlap of the test samples in `mode` with the training samples of the panels.
fn overlap(net: Net, runs: &Runs, run: &str, at: Snapshot, mode: BnMode) -> Result<Vec<f64>> {
    // As each paper draws it: A's training samples as the output layer met them, B's in the same mode as the test's.
    let trained = if net == Net::Narrow { BnMode::Batch } else { mode };
    net.view().overlap_of(runs, run, at, [(Which::Train, trained), (Which::Test, mode)])
}

const REASON: &str = "share of test samples, mean over the drawn digits, whose nearest training sample in the plane is of \
                      their class, these in the mode that is shaded; low below 0.6, high above 0.75, a third by chance";

fn no_grokking(statement: Statement) -> Claim {
    let ours = "no probe had the training set learnt and a test accuracy of at most 0.2".into();
    statement.decided(Verdict::Undecided, ours, "needs a run that groks")
}

fn low(id: &'static str, net: Net, runs: &Runs, run: &str) -> Result<Claim> {
    let statement = Statement {
        id,
        text: "Before grokking the test samples lie outside the regions of the training samples of their class.",
        paper: Some("outside"),
    };
    let found = overlap(net, runs, run, Snapshot::Memorised, BnMode::Eval)?;
    if found.is_empty() {
        return Ok(no_grokking(statement));
    }
    let overlap = Estimate::of(&found);
    Ok(statement.decided(below(overlap, LOW), format!("overlap {}", overlap.text(3)), REASON))
}

/// The control: the training samples themselves, in evaluation mode, against where they lay in training.
fn moved(id: &'static str, net: Net, runs: &Runs, run: &str) -> Result<Claim> {
    let statement = Statement {
        id,
        text: "Control: in evaluation mode the training samples themselves lie outside the regions of training, too.",
        paper: None,
    };
    let sets = [(Which::Train, BnMode::Batch), (Which::Train, BnMode::Eval)];
    let found = net.view().overlap_of(runs, run, Snapshot::Memorised, sets)?;
    if found.is_empty() {
        return Ok(no_grokking(statement));
    }
    let overlap = Estimate::of(&found);
    Ok(statement.decided(
        below(overlap, LOW),
        format!("overlap of the training set with itself, across the modes, {}", overlap.text(3)),
        format!("{REASON}; where this holds, it is the running statistics that lag, not the generalisation"),
    ))
}

fn high(id: &'static str, net: Net, runs: &Runs, run: &str, at: Snapshot) -> Result<Claim> {
    let text = match (at, net.normed()) {
        (Snapshot::Memorised, _) => {
            "In training mode the regions of test and training samples overlap before grokking."
        }
        (_, true) => "After grokking the regions of test and training samples overlap in both modes.",
        (_, false) => {
            "After grokking the test samples lie in the regions of the training samples of their class."
        }
    };
    let statement = Statement { id, text, paper: Some("overlap") };
    let modes = match (at, net.normed()) {
        (Snapshot::Memorised, _) => &[BnMode::Batch][..],
        (_, true) => &[BnMode::Eval, BnMode::Batch],
        (_, false) => &[BnMode::Eval],
    };
    let (mut verdicts, mut ours) = (Vec::new(), Vec::new());
    for mode in modes {
        let found = overlap(net, runs, run, at, *mode)?;
        if found.is_empty() {
            return Ok(no_grokking(statement));
        }
        let overlap = Estimate::of(&found);
        verdicts.push(above(overlap, OVERLAP));
        let which = if net.normed() { format!(" ({})", mode.name()) } else { String::new() };
        ours.push(format!("overlap {}{which}", overlap.text(3)));
    }
    Ok(statement.decided(all(&verdicts), ours.join(", "), REASON))
}

/// Test samples whose nearest neighbours are sought.
const SEARCHED: usize = 1_000;

fn distance(runs: &Runs) -> Result<Claim> {
    let statement = Statement {
        id: "13j",
        text: "Test samples lie about 1e-1 (root mean square pixel difference) from the training samples of their class.",
        paper: Some("approximately 1e-1"),
    };
    let (train, test) = (runs.train.first(SEARCHED), runs.test.first(SEARCHED));
    let Some(distance) = test_train_distance(&train, &test) else {
        return Ok(statement.decided(
            Verdict::Undecided,
            "no class has samples in both sets".into(),
            "needs samples",
        ));
    };
    let about = (10f64.powf(-1.5)..10f64.powf(-0.5)).contains(&distance);
    Ok(statement.decided(
        if about { Verdict::Held } else { Verdict::NotHeld },
        format!("{distance:.3}"),
        "median over the first 1,000 test samples of the distance to the nearest of the first 1,000 training samples of \
         their class; about 1e-1 if between 10^-1.5 and 10^-0.5",
    ))
}
