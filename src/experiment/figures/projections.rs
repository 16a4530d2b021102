//! Samples in the plane that the output layer sees best, before and after grokking: Fig. 6 and 7(c–f) of paper A,
//! Fig. 6(c–f) and 7 of paper B.
//!
//! Before: the last probe with the training set learnt (accuracy in batch mode ≥ 0.9) and a test accuracy (evaluation
//! mode) of at most 0.2. After: the best test accuracy. A run without the former is drawn at an early step instead.

mod claims;

use super::curves::linear_axis;
use super::deep::{EARLY, NARROWEST, deepest, describe, fig3, narrower, scaled_down_by};
use super::regions::{View, points_of, region_of};
use super::{Definition, Drawing, Setting, a7};
use crate::Result;
use crate::analysis::Projection;
use crate::data::Which;
use crate::experiment::{Plan, Runs};
use crate::model::BnMode;
use crate::store::{Series, Style};
use crate::train::{Snapshot, snapshot};

/// Panels of the family.
pub const FIGURES: &[Definition] = &[
    panel::<0>("A6a", "Deep network before grokking: training set", "Paper A, Fig. 6(a)"),
    panel::<1>("A6b", "Deep network after grokking: training set", "Paper A, Fig. 6(b)"),
    panel::<2>("A6c", "Deep network before grokking: test set, evaluation mode", "Paper A, Fig. 6(c)"),
    panel::<3>("A6d", "Deep network after grokking: test set, evaluation mode", "Paper A, Fig. 6(d)"),
    panel::<4>("A6e", "Deep network before grokking: test set, training mode", "Paper A, Fig. 6(e)"),
    panel::<5>("A6f", "Deep network after grokking: test set, training mode", "Paper A, Fig. 6(f)"),
    panel::<6>("B7a", "Before grokking: training set, evaluation mode", "Paper B, Fig. 7(a)"),
    panel::<7>("B7b", "After grokking: training set, evaluation mode", "Paper B, Fig. 7(b)"),
    panel::<8>("B7c", "Before grokking: test set, evaluation mode", "Paper B, Fig. 7(c)"),
    panel::<9>("B7d", "After grokking: test set, evaluation mode", "Paper B, Fig. 7(d)"),
    panel::<10>("B7e", "Before grokking: test set, training mode", "Paper B, Fig. 7(e)"),
    panel::<11>("B7f", "After grokking: test set, training mode", "Paper B, Fig. 7(f)"),
    panel::<12>("B7g", "Before grokking: training set, training mode", "Paper B, Fig. 7(g)"),
    panel::<13>("B7h", "After grokking: training set, training mode", "Paper B, Fig. 7(h)"),
    panel::<14>("A7c", "Shallow network before grokking: training set", "Paper A, Fig. 7(c)"),
    panel::<15>("A7d", "Shallow network after grokking: training set", "Paper A, Fig. 7(d)"),
    panel::<16>("A7e", "Shallow network before grokking: test set", "Paper A, Fig. 7(e)"),
    panel::<17>("A7f", "Shallow network after grokking: test set", "Paper A, Fig. 7(f)"),
    panel::<18>("B6c", "Shallow network before grokking: training set", "Paper B, Fig. 6(c)"),
    panel::<19>("B6d", "Shallow network after grokking: training set", "Paper B, Fig. 6(d)"),
    panel::<20>("B6e", "Shallow network before grokking: test set", "Paper B, Fig. 6(e)"),
    panel::<21>("B6f", "Shallow network after grokking: test set", "Paper B, Fig. 6(f)"),
];

/// What each of them draws.
const PANELS: [Panel; 22] = {
    use BnMode::{Batch, Eval};
    use Moment::{After, Before};
    use Which::{Test, Train};
    [
        Panel::new(Net::Narrow, Before, Train, Batch),
        Panel::new(Net::Narrow, After, Train, Batch),
        Panel::new(Net::Narrow, Before, Test, Eval),
        Panel::new(Net::Narrow, After, Test, Eval),
        Panel::new(Net::Narrow, Before, Test, Batch),
        Panel::new(Net::Narrow, After, Test, Batch),
        Panel::new(Net::Wide, Before, Train, Eval),
        Panel::new(Net::Wide, After, Train, Eval),
        Panel::new(Net::Wide, Before, Test, Eval),
        Panel::new(Net::Wide, After, Test, Eval),
        Panel::new(Net::Wide, Before, Test, Batch),
        Panel::new(Net::Wide, After, Test, Batch),
        Panel::new(Net::Wide, Before, Train, Batch),
        Panel::new(Net::Wide, After, Train, Batch),
        Panel::new(Net::Shallow, Before, Train, Eval),
        Panel::new(Net::Shallow, After, Train, Eval),
        Panel::new(Net::Shallow, Before, Test, Eval),
        Panel::new(Net::Shallow, After, Test, Eval),
        Panel::new(Net::ShallowB, Before, Train, Eval),
        Panel::new(Net::ShallowB, After, Train, Eval),
        Panel::new(Net::ShallowB, Before, Test, Eval),
        Panel::new(Net::ShallowB, After, Test, Eval),
    ]
};

/// A network and the digits that are drawn of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    /// The 23-layer network of Fig. 3(g) of paper A.
    Narrow,
    /// That of Fig. 3(d) of paper B.
    Wide,
    /// The shallow network of Fig. 7 of paper A.
    Shallow,
    /// The same with the digits of paper B.
    ShallowB,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

#[derive(Clone, Copy, Debug)]
struct Panel {
    net: Net,
    moment: Moment,
    split: Which,
    mode: BnMode,
}

impl Panel {
    const fn new(net: Net, moment: Moment, split: Which, mode: BnMode) -> Panel {
        Panel { net, moment, split, mode }
    }
}

impl Net {
    fn run(self, setting: &Setting) -> Result<Plan> {
        match self {
            Net::Narrow => fig3(setting, 'g'),
            Net::Wide => deepest(setting, 23),
            Net::Shallow | Net::ShallowB => a7::run(setting),
        }
    }

    fn digits(self) -> &'static [usize] {
        match self {
            Net::Narrow | Net::Wide => &[0, 2, 5],
            Net::Shallow => &[1, 5, 9],
            Net::ShallowB => &[0, 1, 5],
        }
    }

    fn view(self) -> View {
        View { digits: self.digits(), limit: 10_000 }
    }

    /// Whether there is batch norm, so that its modes differ.
    fn normed(self) -> bool {
        matches!(self, Net::Narrow | Net::Wide)
    }
}

/// Points of a class that are drawn; more would hide each other.
const DRAWN: usize = 300;

const fn panel<const I: usize>(id: &'static str, title: &'static str, source: &'static str) -> Definition {
    Definition { id, title, source, setting: setting::<I>, runs: runs::<I>, draw: draw::<I> }
}

fn setting<const I: usize>(setting: &Setting) -> String {
    let net = PANELS[I].net;
    let of_run = match net.normed() {
        true => net.run(setting).map_or_else(|error| error.to_string(), |plan| describe(&plan.config)),
        false => a7::setting(setting),
    };
    format!("{of_run}; digits {:?}, x(L−1) on the two leading right-singular vectors of W(L)", net.digits())
}

fn runs<const I: usize>(setting: &Setting) -> Result<Vec<Plan>> {
    let net = PANELS[I].net;
    let modes = if net.normed() { &[BnMode::Eval, BnMode::Batch][..] } else { &[BnMode::Eval] };
    let plan = net.run(setting)?;
    let mut after = Vec::new();
    for at in [Snapshot::Memorised, Snapshot::Best, early(&plan)] {
        for split in [Which::Train, Which::Test] {
            after.extend(modes.iter().map(|mode| net.view().of(at, split, *mode)));
        }
    }
    Ok(vec![plan.measuring(after)])
}

/// What is drawn instead of the network before grokking where there is none.
fn early(plan: &Plan) -> Snapshot {
    if EARLY <= plan.config.steps() { Snapshot::Step(EARLY) } else { Snapshot::Last }
}

fn draw<const I: usize>(setting: &Setting, runs: &Runs) -> Result<Drawing> {
    let panel = PANELS[I];
    let net = panel.net;
    let name = net.run(setting)?.name;
    let dir = &runs.of(&name)?[..1];
    let memorised = snapshot(&dir[0], Snapshot::Memorised)?.is_some();
    let at = match panel.moment {
        Moment::After => Snapshot::Best,
        Moment::Before if memorised => Snapshot::Memorised,
        Moment::Before => early(&net.run(setting)?),
    };
    let first =
        |split, mode| -> Result<Option<Projection>> { net.view().of(at, split, mode).result(&dir[0]) };
    // The training samples as the output layer met them: in the mode of training, where paper A compares with it.
    let seen = if net == Net::Narrow { BnMode::Batch } else { panel.mode };
    let mut series = Vec::new();
    for (region, split, mode) in [(true, Which::Train, seen), (false, panel.split, panel.mode)] {
        if let Some(projection) = first(split, mode)? {
            series.extend(net.digits().iter().enumerate().map(|(color, &digit)| match region {
                true => region_of(&projection, digit, color),
                false => points_of(&projection, digit, color, DRAWN),
            }));
        }
    }
    let step = snapshot(&dir[0], at)?.and_then(|network| network.step);
    let mode = match (net.normed(), seen) {
        (false, _) => "",
        (true, BnMode::Batch) => ", statistics of the batch",
        (true, BnMode::Eval) => ", running statistics",
    };
    let when = match (panel.moment, memorised) {
        (Moment::After, _) => "the step of the best test accuracy",
        (Moment::Before, true) => "the last probe before grokking",
        (Moment::Before, false) => {
            "an early step, because no probe had the training set learnt and the test set not"
        }
    };
    Ok(Drawing {
        caption: format!(
            "Points: up to {DRAWN} {} samples of each digit. Shaded: where 95 % of the training samples of the digit lie\
             {mode}. Step {}, {when}.{}",
            if panel.split == Which::Train { "training" } else { "test" },
            step.unwrap_or_default(),
            hidden(&series),
        ),
        scaled_down: match net {
            Net::Narrow => scaled_down_by(setting, narrower('g')),
            Net::Wide => scaled_down_by(setting, NARROWEST),
            Net::Shallow | Net::ShallowB => a7::scaled_down(setting),
        },
        series,
        claims: claims::of_panel(setting, runs, I)?,
        ..Drawing::new(linear_axis("first singular direction"), linear_axis("second singular direction"))
    })
}

/// What to say where the points spread so far that the regions are hard to see.
fn hidden(series: &[Series]) -> String {
    let extent = |series: &Series| {
        let range = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) = values.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
            high - low
        };
        range(&mut series.x.iter().copied()).max(range(&mut series.y.iter().copied().flatten()))
    };
    let largest = |region: bool| {
        let own = series.iter().filter(|series| (series.style == Style::Region) == region);
        own.map(extent).fold(0.0, f64::max)
    };
    let ratio = largest(false) / largest(true);
    match ratio.is_finite() && ratio > 10.0 {
        true => format!(" The shaded regions are hard to see: the points spread {ratio:.0} times as far."),
        false => String::new(),
    }
}
