//! What paper A claims about grokking in the shallow network, decided on the run's own curves.

use super::super::Setting;
use super::super::curves::Estimate;
use super::course::Course;
use super::{AMPLITUDES, NAME, noisy, under_noise_at};
use crate::Result;
use crate::analysis::Basin;
use crate::experiment::claims::{Statement, all, of_seeds};
use crate::experiment::{Runs, Scale};
use crate::store::{Claim, RunDir, Verdict};

/// Claim 12, on this run: it groks.
pub(super) fn groks(dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let apart = |course: &Course| {
        let memorised = (0..course.step.len()).filter(|&i| course.train[i] >= 0.9);
        memorised.map(|i| course.test[i]).fold(1.0, f64::min)
    };
    let lowest: Vec<f64> = courses.iter().map(apart).collect();
    let found: Vec<bool> = lowest.iter().map(|test| *test <= 0.2).collect();
    let delay: Vec<f64> = courses.iter().map(|c| c.half(&c.test) - c.half(&c.train)).collect();
    let end: Vec<f64> = courses.iter().filter_map(|c| c.test.last().copied()).collect();
    Ok(Statement {
        id: "12",
        text: "The run groks: train accuracy ≥ 0.9 while test accuracy ≤ 0.2 at some step.",
        paper: Some("grokking"),
    }
    .decided(
        of_seeds(&found),
        format!(
            "lowest test accuracy once memorised {}, at the end {}; half values {} steps apart",
            Estimate::of(&lowest).text(3),
            Estimate::of(&end).text(3),
            Estimate::of(&delay).text(0)
        ),
        "the definition itself, for every seed",
    ))
}

/// The verdict where a run has not generalised: nothing before or after grokking can be compared.
fn no_grokking(statement: Statement) -> Claim {
    let ours = "the test accuracy has not risen by the last step".into();
    statement.decided(Verdict::Undecided, ours, "needs a run long enough to grok")
}

pub(super) fn jump(dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13b",
        text: "Both basins jump (at least threefold within half a decade of steps) at grokking.",
        paper: Some("abrupt increase of both"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    // Largest growth within half a decade of steps that overlaps grokking.
    let growth = |at: f64, sizes: &[(f64, f64)]| -> f64 {
        let width = 10f64.sqrt(); // steps are rounded, hence a little more below
        let mut best = 0.0f64;
        for (from, small) in sizes {
            for (to, large) in sizes {
                if from < to && to / from <= 1.001 * width && *from <= at * width && *to >= at / width {
                    best = best.max(large / small);
                }
            }
        }
        best
    };
    let sample: Vec<f64> = courses.iter().map(|(c, at)| growth(*at, &c.sample)).collect();
    let weight: Vec<f64> = courses.iter().map(|(c, at)| growth(*at, &c.weight)).collect();
    let found: Vec<bool> = sample.iter().zip(&weight).map(|(s, w)| *s >= 3.0 && *w >= 3.0).collect();
    Ok(statement.decided(
        of_seeds(&found),
        format!(
            "sample space ×{}, weight space ×{}",
            Estimate::of(&sample).text(1),
            Estimate::of(&weight).text(1)
        ),
        "largest growth within half a decade that overlaps half a decade around grokking, against 3",
    ))
}

pub(super) fn magnitude(dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13c",
        text: "The sample basin is of order 1e-2 before grokking and above 1e-1 after.",
        paper: Some("1e-2 before, above 1e-1 after"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    let range = |(course, at): &(Course, f64)| {
        let before = course.before(*at);
        let (first, last) = (course.step[*before.first()?], course.step[*before.last()?]);
        let inside = course.sample.iter().filter(|(step, _)| (first..=last).contains(step));
        let sizes: Vec<f64> = inside.map(|(_, size)| *size).collect();
        Some([sizes.iter().copied().reduce(f64::min)?, sizes.iter().copied().reduce(f64::max)?])
    };
    let before: Option<Vec<[f64; 2]>> = courses.iter().map(range).collect();
    let after: Option<Vec<f64>> = courses.iter().map(|(c, _)| Some(c.sample.last()?.1)).collect();
    let Some((before, after)) = before.zip(after) else {
        let ours = "no basin could be measured before grokking".into();
        return Ok(statement.decided(Verdict::Undecided, ours, "the training accuracy was below 50 %"));
    };
    let order = |size: f64| (10f64.powf(-2.5)..10f64.powf(-1.5)).contains(&size);
    let found =
        before.iter().zip(&after).map(|([small, large], after)| match (order(*small), order(*large)) {
            _ if *after <= 0.1 => Verdict::NotHeld,
            (true, true) => Verdict::Held,
            (false, false) => Verdict::NotHeld,
            _ => Verdict::Undecided,
        });
    let end =
        |which: usize| Estimate::of(&before.iter().map(|range| range[which]).collect::<Vec<f64>>()).text(3);
    Ok(statement.decided(
        all(&found.collect::<Vec<Verdict>>()),
        format!("{} to {} before, {} after", end(0), end(1), Estimate::of(&after).text(3)),
        "before: all sizes while memorised, up to half a decade before grokking, of order 1e-2 if between 10^-2.5 and \
         10^-1.5 (undecided if only some are); after: at the last step",
    ))
}

pub(super) fn flat_before(dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13a",
        text: "Before grokking both RPD gradients are small (below 0.1).",
        paper: Some("consistently small"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    let largest = |(course, at): &(Course, f64)| {
        let before = course.before(*at).into_iter();
        let values = before.flat_map(|i| course.gradients.iter().map(move |g| g[i].abs()));
        values.max_by(f64::total_cmp)
    };
    let Some(largest) = courses.iter().map(largest).collect::<Option<Vec<f64>>>() else {
        let ours = "no probe lies between memorising and grokking".into();
        return Ok(statement.decided(Verdict::Undecided, ours, "needs a delay of half a decade of steps"));
    };
    let found: Vec<bool> = largest.iter().map(|value| *value < 0.1).collect();
    Ok(statement.decided(
        of_seeds(&found),
        format!("largest gradient before grokking {}", Estimate::of(&largest).text(3)),
        "largest magnitude while memorised, up to half a decade before grokking, against 0.1",
    ))
}

pub(super) fn peak_together(dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13d",
        text: "Both RPD gradients peak at grokking, then fall.",
        paper: Some("peak simultaneously"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    let peak = |course: &Course, layer: usize| {
        let gradients = &course.gradients[layer];
        let best = (0..gradients.len()).max_by(|a, b| gradients[*a].total_cmp(&gradients[*b])).unwrap_or(0);
        (course.step[best], gradients[best])
    };
    let finding = |(course, at): &(Course, f64)| {
        let layers = (0..2).map(|layer| {
            let (step, height) = peak(course, layer);
            let near = (step / at).log10().abs() <= 0.5;
            let fallen = course.gradients[layer].last().is_some_and(|end| *end < 0.95 * height);
            match (near, fallen) {
                (true, true) => Verdict::Held,
                // Still at its height when the run ends: the fall, if any, lies beyond.
                (_, false) => Verdict::Undecided,
                (false, true) => Verdict::NotHeld,
            }
        });
        all(&layers.collect::<Vec<_>>())
    };
    let found: Vec<Verdict> = courses.iter().map(finding).collect();
    let peaks =
        |layer| Estimate::of(&courses.iter().map(|(c, _)| peak(c, layer).0).collect::<Vec<_>>()).text(0);
    let middle = Estimate::of(&courses.iter().map(|(_, at)| *at).collect::<Vec<_>>());
    Ok(statement.decided(
        all(&found),
        format!("peaks at steps {} and {}, grokking at {}", peaks(0), peaks(1), middle.text(0)),
        "each peak within half a decade of grokking, and the end at least 5 % below it; undecided while a gradient is \
         still at its height at the last step",
    ))
}

pub(super) fn norm_first(dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13e",
        text: "The weight norm falls before grokking.",
        paper: Some("rapidly shrinks just before"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    let left = |(course, at): &(Course, f64)| {
        let i = course.step.iter().position(|step| step >= at).unwrap_or(0);
        course.norm[i] / course.norm[0]
    };
    let left: Vec<f64> = courses.iter().map(left).collect();
    let found: Vec<bool> = left.iter().map(|share| *share < 0.9).collect();
    Ok(statement.decided(
        of_seeds(&found),
        format!("at grokking {} of the initial norm is left", Estimate::of(&left).text(2)),
        "at grokking the norm is at least a tenth below its initial value",
    ))
}

pub(super) fn noise_claim(dirs: &[RunDir]) -> Result<Claim> {
    let mut ends: Vec<Vec<f64>> = vec![Vec::new(); AMPLITUDES.len()];
    for dir in dirs {
        for (i, end) in ends.iter_mut().enumerate() {
            end.extend(noisy(dir, i)?.last().map(|(_, accuracy)| *accuracy));
        }
    }
    let means: Vec<f64> = ends.iter().map(|values| Estimate::of(values).mean).collect();
    let kept: Vec<f64> =
        AMPLITUDES.into_iter().zip(&means).filter(|(_, m)| **m >= 0.99).map(|(a, _)| a).collect();
    let verdict = match kept.len() {
        0 => Verdict::NotHeld,
        n if n == AMPLITUDES.len() => Verdict::Undecided,
        _ => Verdict::Held,
    };
    let list: Vec<String> = AMPLITUDES.iter().zip(&means).map(|(a, m)| format!("{a}: {m:.3}")).collect();
    Ok(Statement {
        id: "13f",
        text: "At the end noisy training samples reach 99 % below some amplitude and stay lower above it.",
        paper: Some("approaches 100 % below a threshold"),
    }
    .decided(verdict, list.join(", "), "final accuracy at each amplitude against 0.99"))
}

pub(super) fn decline(setting: &Setting, dirs: &[RunDir]) -> Result<Claim> {
    let courses = Course::all(dirs)?;
    let fall: Vec<f64> = courses
        .iter()
        .map(|c| c.test.iter().copied().fold(0.0, f64::max) - c.test.last().copied().unwrap_or(0.0))
        .collect();
    let estimate = Estimate::of(&fall);
    let error = 2.0 * estimate.error.unwrap_or(0.0).max(0.003);
    let verdict = match estimate.mean > error {
        true => Verdict::Held,
        false if setting.scale == Scale::Quick => Verdict::Undecided,
        false => Verdict::NotHeld,
    };
    Ok(Statement {
        id: "13g",
        text: "Long after grokking the test accuracy declines again.",
        paper: Some("subsequent gradual decrease"),
    }
    .decided(
        verdict,
        format!("{} below its maximum at the end", estimate.text(4)),
        "fall from the maximum against two standard errors (at least 0.6 %); a run at quick scale that does not show it \
         decides nothing",
    ))
}

/// Paper B's order of magnitude, from the basins of panel (b).
pub(super) fn order_b(setting: &Setting, runs: &Runs) -> Result<Claim> {
    let statement = Statement {
        id: "13m",
        text: "The sample basin is of order 1e-3 before grokking and larger after.",
        paper: Some("1e-3 before, larger after"),
    };
    let [before, after] = under_noise_at(setting).map(|(basin, _)| runs.found::<Basin>(NAME, &basin));
    let sizes = |basins: Vec<Basin>| basins.into_iter().filter_map(|basin| basin.size).collect::<Vec<f64>>();
    let (before, after) = (sizes(before?), sizes(after?));
    if before.is_empty() || before.len() != after.len() {
        return Ok(no_grokking(statement));
    }
    let order = |size: f64| (10f64.powf(-3.5)..10f64.powf(-2.5)).contains(&size);
    let found: Vec<bool> = before.iter().zip(&after).map(|(b, a)| order(*b) && a > b).collect();
    Ok(statement.decided(
        of_seeds(&found),
        format!("{} before, {} after", Estimate::of(&before).text(4), Estimate::of(&after).text(3)),
        "of order 1e-3 if between 10^-3.5 and 10^-2.5; before: the last probe that has memorised and not generalised",
    ))
}

pub(super) fn peak_later(setting: &Setting, dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13k",
        text: "The test accuracy peaks after the RPD gradients, while they fall.",
        paper: Some("test accuracy improves as they decrease"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    let peak = |course: &Course, values: &[f64]| {
        let best = (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
        course.step[best]
    };
    let accuracy: Vec<f64> = courses.iter().map(|(c, _)| peak(c, &c.test)).collect();
    let gradient = |(c, _): &(Course, f64)| c.gradients.iter().map(|g| peak(c, g)).fold(0.0, f64::max);
    let gradient: Vec<f64> = courses.iter().map(gradient).collect();
    let found: Vec<bool> = accuracy.iter().zip(&gradient).map(|(a, g)| a > g).collect();
    let end = courses.iter().filter_map(|(c, _)| c.step.last().copied()).fold(0.0, f64::max);
    // A peak at the last probe may be none.
    let open = accuracy.contains(&end) && setting.scale == Scale::Quick;
    Ok(statement.decided(
        if open && of_seeds(&found) != Verdict::Held { Verdict::Undecided } else { of_seeds(&found) },
        format!(
            "test accuracy highest at step {}, the later of the gradients at {}, of {end}",
            Estimate::of(&accuracy).text(0),
            Estimate::of(&gradient).text(0)
        ),
        "step of the highest test accuracy after that of both gradients' peaks",
    ))
}

pub(super) fn restless(dirs: &[RunDir]) -> Result<Claim> {
    let statement = Statement {
        id: "13l",
        text: "Long after grokking the weight basin fluctuates more and more.",
        paper: Some("increasingly severe fluctuations"),
    };
    let Some(courses) = Course::grokked(dirs)? else { return Ok(no_grokking(statement)) };
    // Root mean square of log(size / size before) over a quarter of a decade of steps.
    let unrest = |sizes: &[(f64, f64)], from: f64, to: f64| {
        let changes = sizes.windows(2).filter(|pair| pair[1].0 > from && pair[1].0 <= to);
        let squares: Vec<f64> = changes.map(|pair| (pair[1].1 / pair[0].1).ln().powi(2)).collect();
        (squares.len() > 1).then(|| Estimate::of(&squares).mean.sqrt())
    };
    let quarter = 10f64.powf(0.25);
    let both = |(course, at): &(Course, f64)| {
        let end = *course.step.last()?;
        // The jump of grokking itself is no fluctuation.
        let start = (end / quarter / quarter).max(at * quarter);
        Some((unrest(&course.weight, start, end / quarter)?, unrest(&course.weight, end / quarter, end)?))
    };
    let Some(both) = courses.iter().map(both).collect::<Option<Vec<_>>>() else {
        let ours = "the run ends less than three quarters of a decade after grokking".into();
        return Ok(statement.decided(Verdict::Undecided, ours, "needs a run that goes on after grokking"));
    };
    let (earlier, later): (Vec<f64>, Vec<f64>) = both.iter().copied().unzip();
    let found: Vec<bool> = both.iter().map(|(earlier, later)| later > earlier).collect();
    Ok(statement.decided(
        of_seeds(&found),
        format!("from probe to probe {} %, at the end {} %", percent(&earlier), percent(&later)),
        "root mean square relative change of the size between probes in the last quarter of a decade of steps against \
         the one before",
    ))
}

fn percent(shares: &[f64]) -> String {
    Estimate::of(&shares.iter().map(|share| 100.0 * share).collect::<Vec<f64>>()).text(1)
}
