//! Fig. 8 of paper B and S4: when a deep network groks and when it does not, and where its test samples lie meanwhile.

use super::a3::accuracies;
use super::course::MODES;
use super::curves::{Estimate, linear_axis, log_axis, series};
use super::deep::{EARLY, STAGES, describe, fig3, narrower, scaled_down_by};
use super::grokking::{self, Expected};
use super::regions::{OVERLAP, View};
use super::{Definition, Drawing, Setting};
use crate::Result;
use crate::experiment::claims::{Statement, all, of_seeds};
use crate::experiment::{Plan, Runs};
use crate::model::BnMode;
use crate::store::{Claim, Plane, RunDir, Style, Verdict};
use crate::train::{Snapshot, snapshot};

/// Panels of the families.
pub const FIGURES: &[Definition] = &[
    condition::<'a'>("B8a", "Accuracy with a large batch"),
    condition::<'b'>("B8b", "Accuracy with a small batch"),
    condition::<'c'>("B8c", "Accuracy with a small learning rate"),
    condition::<'d'>("B8d", "Accuracy with a large learning rate"),
    Definition {
        id: "S4",
        title: "Where test samples lie in networks said not to grok",
        source: "Paper A, supplement",
        setting: regions_setting,
        runs: regions_runs,
        draw: regions,
    },
];

const fn condition<const PANEL: char>(id: &'static str, title: &'static str) -> Definition {
    let setting = condition_setting::<PANEL>;
    Definition { id, title, source: "Paper B, Fig. 8", setting, runs: runs::<PANEL>, draw: draw::<PANEL> }
}

/// The runs: (a) and (c) are one, the network of A3d, from which (b) and (d) differ in one number.
fn run(setting: &Setting, panel: char) -> Result<Plan> {
    let large = fig3(setting, 'd')?;
    let (name, mut config) = (format!("b8{panel}"), large.config.clone());
    match panel {
        'b' => {
            config.train.batch = setting.share_of_batch(1.0 / 60.0);
            // As many passes over the data would take 60 times as long; grokking is over long before.
            config.train.steps = Some(setting.pick(400, 20_000));
        }
        'd' => config.train.lr = Some(1e-2),
        _ => return Ok(large),
    }
    setting.run(name, &config)
}

/// When the training set is about learnt, in a run without grokking.
fn learnt(panel: char) -> Snapshot {
    Snapshot::Step(if panel == 'b' { STAGES[3] } else { EARLY })
}

/// What is shown before the last step: the last probe before grokking, if there is one.
fn before(panel: char, dirs: &[RunDir]) -> Result<Snapshot> {
    let groks = dirs.first().map(|dir| snapshot(dir, Snapshot::Memorised)).transpose()?.flatten().is_some();
    Ok(if groks { Snapshot::Memorised } else { learnt(panel) })
}

/// Fig. 8 shows the digits 5 and 0.
fn pair(setting: &Setting) -> View {
    View { digits: &[0, 5], limit: setting.pick(3_000, 10_000) }
}

fn runs<const PANEL: char>(setting: &Setting) -> Result<Vec<Plan>> {
    let view = pair(setting);
    let after =
        [Snapshot::Memorised, learnt(PANEL), Snapshot::Last].into_iter().flat_map(|at| view.measurements(at));
    Ok(vec![run(setting, PANEL)?.measuring(after)])
}

fn condition_setting<const PANEL: char>(setting: &Setting) -> String {
    let same =
        if matches!(PANEL, 'a' | 'c') { "; panels (a) and (c) are the same run, that of A3d" } else { "" };
    run(setting, PANEL)
        .map_or_else(|error| error.to_string(), |plan| format!("{}{same}", describe(&plan.config)))
}

fn draw<const PANEL: char>(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let plan = run(setting, PANEL)?;
    let dirs = runs.of(&plan.name)?;
    let (id, expected, text) = match PANEL {
        'a' => (
            "12-B8a",
            Expected::Groks,
            "With a large batch the network groks in eval mode and does not in batch mode.",
        ),
        'b' => ("12-B8b", Expected::Not, "With a small batch the network does not grok."),
        'c' => (
            "12-B8c",
            Expected::Groks,
            "With a small rate the network groks in eval mode and does not in batch mode.",
        ),
        _ => ("12-B8d", Expected::Not, "With a large rate the network does not grok."),
    };
    let paper = Some(if matches!(PANEL, 'a' | 'c') { "grokking occurs" } else { "does not" });
    let mut claims = vec![grokking::claim(Statement { id, text, paper }, dirs, expected)?];
    let view = pair(setting);
    let at = [before(PANEL, dirs)?, Snapshot::Last];
    let overlaps = Overlaps::of(view, runs, &plan.name, at)?;
    claims.extend(grokking::once_learnt(&[dirs], vec![inside(PANEL, &overlaps)])?);
    Ok(Drawing {
        caption: "Accuracy with the papers' statistics in batch norm (thick) and with the others (thin). The network groks \
                  if the thick test curve lingers at chance after the thick training curve has risen. Below, for the first seed: test samples \
                  of digits 0 and 5 in the plane of the output layer, each plane to its own scale; shaded, where 95 % of \
                  the training samples lie."
            .into(),
        scaled_down: scaled_down_by(setting, narrower('d')),
        series: accuracies(dirs)?,
        planes: overlaps.planes(&dirs[0], "", &[2, 3])?,
        claims,
        ..Drawing::new(log_axis("step"), linear_axis("accuracy").within(0.0, 1.0))
    })
}

/// Whether the regions of test and training samples lie apart before grokking and together after it, or always together.
fn inside(panel: char, overlaps: &Overlaps) -> Claim {
    let (id, apart) = match panel {
        'a' => ("12-B8a-regions", true),
        'b' => ("12-B8b-regions", false),
        'c' => ("12-B8c-regions", true),
        _ => ("12-B8d-regions", false),
    };
    let text = match apart {
        true => "Before grokking test samples lie outside the training region, after it inside.",
        false => "Test samples lie inside the training region before and after.",
    };
    let [early, late] = &overlaps.shares;
    let parts = [lie(&early[0], !apart), lie(&late[0], true)];
    Statement { id, text, paper: None }.decided(
        all(&parts),
        format!("overlap of digits 0 and 5: {}", overlaps.text()),
        "share of test points whose nearest training point in the plane has their digit (half by chance), against 75 %; \
         eval mode",
    )
}

/// Whether the regions overlap, or do not, in every repetition.
fn lie(shares: &[f64], together: bool) -> Verdict {
    match shares {
        [] => Verdict::Undecided,
        shares => {
            of_seeds(&shares.iter().map(|share| (*share >= OVERLAP) == together).collect::<Vec<bool>>())
        }
    }
}

/// Region overlaps of a run at an early moment and at a late one.
struct Overlaps {
    view: View,
    at: [Snapshot; 2],
    /// Steps of these moments in the first repetition.
    steps: [u64; 2],
    /// By moment, by mode, one for each repetition.
    shares: [[Vec<f64>; 2]; 2],
}

impl Overlaps {
    fn of(view: View, runs: &Runs, run: &str, at: [Snapshot; 2]) -> Result<Overlaps> {
        let share = |at, mode| view.overlap(runs, run, at, mode);
        let [early, late] = at;
        let shares = [
            [share(early, MODES[0])?, share(early, MODES[1])?],
            [share(late, MODES[0])?, share(late, MODES[1])?],
        ];
        let first = &runs.of(run)?[0];
        let step = |at| -> Result<u64> {
            Ok(snapshot(first, at)?.and_then(|network| network.step).unwrap_or_default())
        };
        Ok(Overlaps { view, at, steps: [step(early)?, step(late)?], shares })
    }

    /// "eval 13 % at step 10, 97 % at step 150; batch 92 %, 96 %".
    fn text(&self) -> String {
        let [[eval, batch], [eval_late, batch_late]] = &self.shares;
        let [early, late] = self.steps;
        format!(
            "eval {} at step {early}, {} at step {late}; batch {}, {}",
            percent(eval),
            percent(eval_late),
            percent(batch),
            percent(batch_late)
        )
    }

    /// The planes of both moments in the first repetition, by mode, their captions behind `prefix`.
    fn planes(&self, dir: &RunDir, prefix: &str, colors: &[usize]) -> Result<Vec<Plane>> {
        let mut planes = vec![];
        for (m, mode) in MODES.into_iter().enumerate() {
            for (at, (step, shares)) in self.at.into_iter().zip(self.steps.into_iter().zip(&self.shares)) {
                let overlap =
                    shares[m].first().map_or(String::new(), |share| format!(": {:.0} %", 100.0 * share));
                let caption = format!("{prefix}{}, step {step}{overlap}", mode.name());
                planes.extend(self.view.plane(dir, at, mode, (caption, colors))?);
            }
        }
        Ok(planes)
    }
}

fn percent(values: &[f64]) -> String {
    let scaled: Vec<f64> = values.iter().map(|value| 100.0 * value).collect();
    if scaled.is_empty() { "not measured".into() } else { format!("{} %", Estimate::of(&scaled).text(0)) }
}

/// S4: the networks said not to grok, and one that is said to.
const QUIET: [char; 4] = ['b', 'c', 'e', 'f'];
const CONTRAST: char = 'd';

/// The digits of Fig. 6.
fn three(setting: &Setting) -> View {
    View { digits: &[0, 2, 5], limit: setting.pick(3_000, 10_000) }
}

/// Every snapshot of a run by its step, those beyond its end left out.
fn moments(plan: &Plan) -> Vec<(f64, Snapshot)> {
    let last = plan.config.steps();
    let early =
        STAGES.into_iter().filter(|step| *step < last).map(|step| (step as f64, Snapshot::Step(step)));
    early.chain([(last.max(1) as f64, Snapshot::Last)]).collect()
}

fn regions_runs(setting: &Setting) -> Result<Vec<Plan>> {
    let measured = |panel| {
        let plan = fig3(setting, panel)?;
        let after: Vec<_> =
            moments(&plan).into_iter().flat_map(|(_, at)| three(setting).measurements(at)).collect();
        Ok(plan.measuring(after))
    };
    QUIET.into_iter().chain([CONTRAST]).map(measured).collect()
}

fn regions_setting(setting: &Setting) -> String {
    let plans = regions_runs(setting).unwrap_or_default();
    let texts = plans.iter().map(|plan| format!("{}: {}", plan.name, describe(&plan.config)));
    format!(
        "digits 0, 2 and 5 among the first {} samples of each set, at the steps {STAGES:?} and the last; {}",
        three(setting).limit,
        texts.collect::<Vec<_>>().join("; ")
    )
}

fn regions(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let quiet: Vec<&[RunDir]> =
        QUIET.into_iter().map(|panel| runs.of(&fig3(setting, panel)?.name)).collect::<Result<_>>()?;
    let mut drawn = vec![];
    for (color, panel) in QUIET.into_iter().chain([CONTRAST]).enumerate() {
        let plan = fig3(setting, panel)?;
        for mode in MODES {
            let overlap =
                |(step, at): (f64, Snapshot)| Ok((step, three(setting).overlap(runs, &plan.name, at, mode)?));
            let points: Vec<(f64, Vec<f64>)> =
                moments(&plan).into_iter().map(overlap).collect::<Result<_>>()?;
            let style = match (mode, panel) {
                (BnMode::Batch, _) => Style::Thin,
                (_, CONTRAST) => Style::Dashed,
                _ => Style::LinePoints,
            };
            drawn.push(series(&format!("A3{panel}, {} mode", mode.name()), color, style, &points));
        }
    }
    let mut found = vec![];
    for panel in QUIET {
        let at = [Snapshot::Step(EARLY), Snapshot::Last];
        found.push((panel, Overlaps::of(three(setting), runs, &fig3(setting, panel)?.name, at)?));
    }
    let mut planes = vec![];
    for ((panel, overlaps), dirs) in found.iter().zip(&quiet) {
        planes.extend(overlaps.planes(&dirs[0], &format!("A3{panel} "), &[5, 6, 8])?);
    }
    Ok(Drawing {
        caption: "Share of test samples (digits 0, 2, 5) whose nearest training sample in the plane of the output layer has \
                  their digit: one third by chance, one where the regions coincide. Thick: running statistics, thin: those \
                  of the set itself. A3d, said to grok, for comparison (dashed). Below: the planes themselves for the first seed, each to its \
                  own scale, with this share; shaded, where 95 % of the training samples lie."
            .into(),
        scaled_down: scaled_down_by(setting, narrower('d')),
        series: drawn,
        planes,
        claims: grokking::once_learnt(&quiet, vec![throughout(&found)])?,
        ..Drawing::new(log_axis("step"), linear_axis("region overlap").within(0.0, 1.0))
    })
}

/// The S4 part of claim 12.
fn throughout(found: &[(char, Overlaps)]) -> Claim {
    let shares = found.iter().flat_map(|(_, overlaps)| overlaps.shares.iter().flatten());
    let parts: Vec<Verdict> = shares.map(|shares| lie(shares, true)).collect();
    let texts: Vec<String> =
        found.iter().map(|(panel, overlaps)| format!("A3{panel} {}", overlaps.text())).collect();
    Statement {
        id: "12-S4",
        text: "In the networks said not to grok the regions of training and test samples overlap throughout, in both modes.",
        paper: Some("largely overlapping"),
    }
    .decided(
        all(&parts),
        texts.join("; "),
        "overlap of digits 0, 2 and 5 (a third by chance) at least 75 % at both steps, in both modes, in all four networks",
    )
}
