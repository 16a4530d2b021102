//! Claim 17: whether runs that are in phase II from the start learn faster.

use super::course::{Course, MODES};
use crate::Result;
use crate::experiment::claims::Statement;
use crate::model::BnMode;
use crate::store::{Claim, RunDir, Verdict};

/// Whether a run is in phase II from the start, and its steps to 99 % of its best test accuracy.
type Time = (bool, f64);

/// Steps to 99 % of the best accuracy of runs in phase II from the start against the others, each run given by its
/// repetitions. Source: paper A, Sec. VI.
pub(super) fn claim(runs: &[&[RunDir]]) -> Result<Claim> {
    let [eval, batch] = [times(runs, MODES[0])?, times(runs, MODES[1])?];
    let describe = |times: &[Time]| {
        let text = |settled| {
            let mut steps: Vec<f64> =
                times.iter().filter(|time| time.0 == settled).map(|time| time.1).collect();
            steps.sort_by(f64::total_cmp);
            match steps.is_empty() {
                true => "no run".into(),
                false => steps.iter().map(|steps| format!("{steps:.0}")).collect::<Vec<_>>().join(", "),
            }
        };
        format!("in II from the start {}, others {}", text(true), text(false))
    };
    let (verdict, p) = faster(&eval);
    let p = p.map_or(String::new(), |p| format!(" (p = {p:.3})"));
    Ok(Statement {
        id: "17",
        text: "Runs in phase II from the start reach 99 % of their best accuracy in fewer steps.",
        paper: Some("faster convergence"),
    }
    .decided(
        verdict,
        format!("steps, phases in eval mode: {}{p}; phases in batch mode: {}", describe(&eval), describe(&batch)),
        "exact one-sided rank-sum test at 5 %, one value a run; phase II at every probe after the first 5 % of the steps",
    ))
}

fn times(runs: &[&[RunDir]], mode: BnMode) -> Result<Vec<Time>> {
    let mut times = vec![];
    for dirs in runs {
        let settled: Option<Vec<bool>> = Course::all(dirs, mode)?.iter().map(Course::settled).collect();
        // The accuracy is that of evaluation mode whatever mode the phases are judged in: it is what converges.
        let steps: Option<Vec<f64>> =
            Course::all(dirs, BnMode::Eval)?.iter().map(|course| course.reaches(0.99)).collect();
        if let Some((settled, steps)) = settled.zip(steps) {
            times.push((settled.iter().all(|s| *s), steps.iter().sum::<f64>() / steps.len() as f64));
        }
    }
    Ok(times)
}

/// Whether the settled are faster, and the chance of rank sums this low if there were no difference.
fn faster(times: &[Time]) -> (Verdict, Option<f64>) {
    let settled = times.iter().filter(|time| time.0).count();
    if settled == 0 || settled == times.len() {
        return (Verdict::Undecided, None);
    }
    // Twice the rank, with ties at the middle of theirs, so that it is whole.
    let rank = |value: f64| -> usize {
        let below = times.iter().filter(|time| time.1 < value).count();
        2 * below + 1 + times.iter().filter(|time| time.1 == value).count()
    };
    let ranks: Vec<usize> = times.iter().map(|time| rank(time.1)).collect();
    let observed: usize = times.iter().zip(&ranks).filter(|(time, _)| time.0).map(|(_, rank)| rank).sum();
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
    use super::{Time, faster};
    use crate::store::Verdict;

    #[test]
    fn a_rank_test_on_few_runs() {
        let times = |settled: &[f64], others: &[f64]| -> Vec<Time> {
            settled.iter().map(|t| (true, *t)).chain(others.iter().map(|t| (false, *t))).collect()
        };
        // The lowest three of seven: one subset of 35.
        let (verdict, p) = faster(&times(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0, 7.0]));
        assert!(verdict == Verdict::Held && (p.unwrap() - 1.0 / 35.0).abs() < 1e-12);
        assert_eq!(faster(&times(&[4.0, 5.0, 6.0, 7.0], &[1.0, 2.0, 3.0])).0, Verdict::NotHeld);
        assert_eq!(faster(&times(&[1.0, 9.0], &[1.0, 9.0, 5.0])).0, Verdict::Undecided);
        assert_eq!(faster(&times(&[1.0, 2.0], &[])), (Verdict::Undecided, None));
    }
}
