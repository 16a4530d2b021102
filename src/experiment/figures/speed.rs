//! Claim 17: whether runs that are in phase II from the start learn faster.

use super::course::{Course, MODES};
use crate::Result;
use crate::experiment::claims::Statement;
use crate::model::BnMode;
use crate::store::{Claim, RunDir, Verdict};

/// Where the start ends: after 5 % of the steps, as for claim 4, or where half of the best test accuracy is reached
/// (batch mode), which does not depend on how long the run goes on.
#[derive(Clone, Copy)]
enum Start {
    Part,
    Half,
}

/// A run, whether it is in phase II from the start, and its steps to 99 % of its best test accuracy.
struct Time {
    name: String,
    settled: bool,
    steps: f64,
}

/// Steps to 99 % of the best accuracy of runs in phase II from the start against the others, each run given by its
/// name and its repetitions. Source: paper A, Sec. VI.
pub(super) fn claim(runs: &[(String, &[RunDir])]) -> Result<Claim> {
    let (mut verdicts, mut texts) = (vec![], vec![]);
    for mode in MODES {
        for (start, words) in
            [(Start::Part, "from 5 % of the steps"), (Start::Half, "from half of the accuracy")]
        {
            let times = times(runs, mode, start)?;
            let (verdict, p) = faster(&times);
            let p = p.map_or(String::new(), |p| format!(", p = {p:.3}"));
            texts.push(format!("{} mode, {words}: {}{p}", mode.name(), told(&times)));
            if mode == BnMode::Eval {
                verdicts.push(verdict);
            }
        }
    }
    let verdict =
        if verdicts.windows(2).all(|pair| pair[0] == pair[1]) { verdicts[0] } else { Verdict::Undecided };
    Ok(Statement {
        id: "17",
        text: "Runs in phase II from the start reach 99 % of their best accuracy in fewer steps.",
        paper: Some("faster convergence"),
    }
    .decided(
        verdict,
        texts.join("; "),
        "exact one-sided rank-sum test at 5 % over the runs of Fig. 3(a–g), 4(e) and 4(f), one value a run; phase II at \
         every probe after the start, whose end is set in two ways that have to agree, in eval mode",
    ))
}

/// The settled runs by name, the others by their median.
fn told(times: &[Time]) -> String {
    let settled: Vec<String> = times
        .iter()
        .filter(|time| time.settled)
        .map(|time| format!("{} {:.0}", time.name, time.steps))
        .collect();
    let mut others: Vec<f64> = times.iter().filter(|time| !time.settled).map(|time| time.steps).collect();
    others.sort_by(f64::total_cmp);
    let settled = if settled.is_empty() { "none".into() } else { settled.join(", ") };
    match others.get(others.len() / 2) {
        Some(median) => format!("{settled} (the other {}: median {median:.0})", others.len()),
        None => format!("{settled} (no other)"),
    }
}

fn times(runs: &[(String, &[RunDir])], mode: BnMode, start: Start) -> Result<Vec<Time>> {
    let mut times = vec![];
    for (name, dirs) in runs {
        let fast = Course::all(dirs, BnMode::Batch)?;
        let end = |course: &Course, fast: &Course| match start {
            Start::Part => Some(0.05 * course.step.last()?),
            Start::Half => fast.reaches(0.5),
        };
        let courses = Course::all(dirs, mode)?;
        let settled = |(course, fast)| Course::settled_after(course, end(course, fast)?);
        let settled: Option<Vec<bool>> = courses.iter().zip(&fast).map(settled).collect();
        // The accuracy is that of evaluation mode whatever mode the phases are judged in: it is what converges.
        let steps: Option<Vec<f64>> =
            Course::all(dirs, BnMode::Eval)?.iter().map(|course| course.reaches(0.99)).collect();
        if let Some((settled, steps)) = settled.zip(steps) {
            times.push(Time {
                name: name.clone(),
                settled: settled.iter().all(|s| *s),
                steps: steps.iter().sum::<f64>() / steps.len() as f64,
            });
        }
    }
    Ok(times)
}

/// Whether the settled are faster, and the chance of rank sums this low if there were no difference.
fn faster(times: &[Time]) -> (Verdict, Option<f64>) {
    let settled = times.iter().filter(|time| time.settled).count();
    if settled == 0 || settled == times.len() {
        return (Verdict::Undecided, None);
    }
    // Twice the rank, with ties at the middle of theirs, so that it is whole.
    let rank = |value: f64| -> usize {
        let below = times.iter().filter(|time| time.steps < value).count();
        2 * below + 1 + times.iter().filter(|time| time.steps == value).count()
    };
    let ranks: Vec<usize> = times.iter().map(|time| rank(time.steps)).collect();
    let observed: usize =
        times.iter().zip(&ranks).filter(|(time, _)| time.settled).map(|(_, rank)| rank).sum();
    let (low, high) = tails(&ranks, settled, observed);
    let verdict = match (low, high) {
        (low, _) if low <= 0.05 => Verdict::Held,
        (_, high) if high <= 0.05 => Verdict::NotHeld,
        _ => Verdict::Undecided,
    };
    (verdict, Some(low))
}

/// Shares of the subsets of `size` whose sum is at most, and at least, `sum`.
fn tails(ranks: &[usize], size: usize, sum: usize) -> (f64, f64) {
    let total: usize = ranks.iter().sum();
    // ways[n][s]: subsets of n of the ranks so far with sum s.
    let mut ways = vec![vec![0.0; total + 1]; size + 1];
    ways[0][0] = 1.0;
    for &rank in ranks {
        for n in (1..=size).rev() {
            for s in rank..=total {
                ways[n][s] += ways[n - 1][s - rank];
            }
        }
    }
    let all: f64 = ways[size].iter().sum();
    (ways[size][..=sum].iter().sum::<f64>() / all, ways[size][sum..].iter().sum::<f64>() / all)
}

#[cfg(test)]
mod tests {
    use super::{Time, faster, told};
    use crate::store::Verdict;

    #[test]
    fn a_rank_test_on_few_runs() {
        let times = |settled: &[f64], others: &[f64]| -> Vec<Time> {
            let time = |settled, steps: &f64| Time { name: "a".into(), settled, steps: *steps };
            settled.iter().map(|t| time(true, t)).chain(others.iter().map(|t| time(false, t))).collect()
        };
        // The lowest three of seven: one subset of 35.
        let (verdict, p) = faster(&times(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0, 7.0]));
        assert!(verdict == Verdict::Held && (p.unwrap() - 1.0 / 35.0).abs() < 1e-12);
        assert_eq!(faster(&times(&[4.0, 5.0, 6.0, 7.0], &[1.0, 2.0, 3.0])).0, Verdict::NotHeld);
        assert_eq!(faster(&times(&[1.0, 9.0], &[1.0, 9.0, 5.0])).0, Verdict::Undecided);
        assert_eq!(faster(&times(&[1.0, 2.0], &[])), (Verdict::Undecided, None));
        assert_eq!(told(&times(&[1.0, 9.0], &[4.0, 2.0, 3.0])), "a 1, a 9 (the other 3: median 3)");
        assert_eq!(told(&times(&[], &[])), "none (no other)");
    }
}
