//! What the papers claim about learning rate, batch size and dropout.

use super::super::basins::in_both_modes;
use super::super::curves::Estimate;
use super::super::trends::{Curve, Point, TREND_RULE, Trend, apart};
use super::sweep::Swept;
use crate::Result;
use crate::experiment::claims::{Statement, above, all};
use crate::model::BnMode;
use crate::store::{Claim, Verdict};

type Finding = Option<(Verdict, String)>;

/// Points a sweep needs to say where something is best.
const ENOUGH: usize = 4;

/// Best test accuracy from which on a sweep says something.
const LEARNED: f64 = 0.5;

/// Index of the highest value.
fn highest(curve: &Curve) -> Option<usize> {
    (0..curve.len()).max_by(|a, b| curve[*a].y.mean.total_cmp(&curve[*b].y.mean))
}

/// Where the accuracy is best; none for a sweep with too few points, or in which nothing was learned.
fn best(swept: &Swept) -> Option<usize> {
    let best = highest(&swept.accuracy)?;
    (swept.accuracy.len() >= ENOUGH && swept.accuracy[best].y.mean >= LEARNED).then_some(best)
}

/// Change from one point to another against its error.
fn change(curve: &Curve, from: usize, to: usize) -> Estimate {
    let (from, to) = (curve[from].y, curve[to].y);
    Estimate { mean: to.mean - from.mean, error: Some(apart(from, to)) }
}

/// Claim 10, A4e: the basin in weight space.
pub(super) fn monotonic(swept: impl Fn(BnMode) -> Result<Swept>) -> Result<Claim> {
    let statement = Statement {
        id: "10a",
        text: "The basin in weight space grows monotonically with the learning rate.",
        paper: Some("monotonic expansion"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(rises_throughout(&swept(mode)?)))?;
    Ok(statement.decided(
        verdict,
        ours,
        format!("{TREND_RULE}; and no fall between neighbouring rates beyond two standard errors"),
    ))
}

fn rises_throughout(swept: &Swept) -> Finding {
    best(swept)?;
    let curve = &swept.weight;
    let trend = Trend::of(std::slice::from_ref(curve))?;
    let falls = |i: &usize| above(change(curve, i + 1, *i), 0.0) == Verdict::Held;
    let fall = (0..curve.len() - 1).find(falls);
    let verdict = if fall.is_some() { Verdict::NotHeld } else { trend.rises() };
    let where_ =
        fall.map_or(String::new(), |i| format!(", falls between {} and {}", curve[i].x, curve[i + 1].x));
    Some((verdict, format!("{}{where_}", trend.text(3))))
}

/// Claim 10, A4e: the best rate.
pub(super) fn best_at_largest(swept: impl Fn(BnMode) -> Result<Swept>) -> Result<Claim> {
    let statement = Statement {
        id: "10b",
        text: "The test accuracy is best where the basin in sample space is largest.",
        paper: Some("essentially coincides with the largest basin in sample space"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(coincide(&swept(mode)?)))?;
    Ok(statement.decided(
        verdict,
        ours,
        "accuracy at the largest basin below the best one: held within one standard error, not held beyond two",
    ))
}

fn coincide(swept: &Swept) -> Finding {
    let best = best(swept)?;
    let largest = highest(&swept.sample)?;
    let missing = change(&swept.accuracy, largest, best);
    let error = missing.error.unwrap_or(0.0);
    let verdict = match missing.mean {
        missing if missing <= error => Verdict::Held,
        missing if missing > 2.0 * error => Verdict::NotHeld,
        _ => Verdict::Undecided,
    };
    let at = |curve: &Curve, i: usize| format!("{} at {}", curve[i].y.text(4), curve[i].x);
    Some((
        verdict,
        format!(
            "best accuracy {}, largest basin at {} with accuracy {}",
            at(&swept.accuracy, best),
            swept.sample[largest].x,
            swept.accuracy[largest].y.text(4)
        ),
    ))
}

/// Both basins' changes across a point, from its larger to its smaller neighbour in the setting.
fn across(swept: &Swept, at: usize) -> [Estimate; 2] {
    let (low, high) = (at.saturating_sub(1), (at + 1).min(swept.accuracy.len() - 1));
    [change(&swept.sample, high, low), change(&swept.weight, high, low)]
}

/// Whether both changes are growth (or both decline, where `either` way counts).
fn together(changes: [Estimate; 2], either: Direction) -> Verdict {
    let grow =
        |sign: f64| all(&changes.map(|change| above(Estimate { mean: sign * change.mean, ..change }, 0.0)));
    match (grow(1.0), either) {
        (Verdict::Held, _) => Verdict::Held,
        (up, Direction::Smaller) => up,
        (up, Direction::Either) => match (up, grow(-1.0)) {
            (_, Verdict::Held) => Verdict::Held,
            (Verdict::NotHeld, Verdict::NotHeld) => Verdict::NotHeld,
            _ => Verdict::Undecided,
        },
    }
}

/// In which direction of the setting both basins have to grow.
#[derive(Clone, Copy)]
enum Direction {
    /// Towards smaller values.
    Smaller,
    /// Towards smaller or larger values, as long as it is the same.
    Either,
}

fn found_together(swept: &Swept, direction: Direction) -> Finding {
    let best = best(swept)?;
    let equals = |i: &usize| {
        let missing = change(&swept.accuracy, *i, best);
        missing.mean <= missing.error.unwrap_or(0.0)
    };
    let candidates: Vec<usize> = (0..swept.accuracy.len()).filter(equals).collect();
    let verdicts: Vec<Verdict> = candidates.iter().map(|i| together(across(swept, *i), direction)).collect();
    let count = |verdict| verdicts.iter().filter(|found| **found == verdict).count();
    let verdict = match verdicts.len() {
        n if count(Verdict::Held) == n => Verdict::Held,
        n if count(Verdict::NotHeld) == n => Verdict::NotHeld,
        _ => Verdict::Undecided,
    };
    let signed = |change: Estimate| format!("{}{}", if change.mean < 0.0 { "" } else { "+" }, change.text(3));
    let [sample, weight] = across(swept, best);
    Some((
        verdict,
        format!(
            "best accuracy {} at {}, {} of {} points as good; towards smaller values the basins change there by {} \
             (sample), {} (weight)",
            swept.accuracy[best].y.text(4),
            swept.accuracy[best].x,
            candidates.len() - 1,
            swept.accuracy.len(),
            signed(sample),
            signed(weight)
        ),
    ))
}

const TOGETHER_RULE: &str = "change of both basins between the neighbours of a point, two standard errors, at every point \
                             whose accuracy is within one standard error of the best: held if at all, not held if at \
                             none";

/// Claim 10, A4f: the best batch.
pub(super) fn peaks_where_both_grow(swept: impl Fn(BnMode) -> Result<Swept>) -> Result<Claim> {
    let statement = Statement {
        id: "10c",
        text: "From large to small batches the test accuracy peaks where both basins grow.",
        paper: Some("peak while both expand"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(found_together(&swept(mode)?, Direction::Smaller)))?;
    Ok(statement.decided(verdict, ours, TOGETHER_RULE))
}

/// Claim 10, A4f: what the fall of the basin in weight space does.
pub(super) fn falls_with_weight(swept: impl Fn(BnMode) -> Result<Swept>) -> Result<Claim> {
    let statement = Statement {
        id: "10d",
        text: "Where the basin in weight space drops, the test accuracy falls too.",
        paper: Some("drops sharply, accuracy decreases rapidly"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(falls_too(&swept(mode)?)))?;
    Ok(statement.decided(
        verdict,
        ours,
        "the largest drop of the basin in weight space between neighbouring batch sizes, on either side of its maximum: \
         the accuracy there, two standard errors; undecided without a drop of a tenth",
    ))
}

fn falls_too(swept: &Swept) -> Finding {
    best(swept)?;
    let curve = &swept.weight;
    let top = highest(curve)?;
    // Away from the maximum, in either direction.
    let outwards = (0..top).map(|i| (i + 1, i)).chain((top..curve.len() - 1).map(|i| (i, i + 1)));
    let (from, to) =
        outwards.min_by(|a, b| change(curve, a.0, a.1).mean.total_cmp(&change(curve, b.0, b.1).mean))?;
    let drop = -change(curve, from, to).mean / curve[from].y.mean;
    let fall = change(&swept.accuracy, to, from);
    let verdict = if drop < 0.1 { Verdict::Undecided } else { above(fall, 0.0) };
    Some((
        verdict,
        format!(
            "from {} to {} the basin loses {:.0} %, the accuracy {}",
            curve[from].x,
            curve[to].x,
            100.0 * drop,
            fall.text(4)
        ),
    ))
}

/// Claim 10, paper B: both basins grow together where the accuracy is best.
pub(super) fn best_together(kind: &str, swept: impl Fn(BnMode) -> Result<Swept>) -> Result<Claim> {
    let paper = Some("where both basins grow synchronously");
    let statement = match kind {
        "batch" => Statement {
            id: "10e",
            text: "The best test accuracy lies where both basins grow together with the batch size.",
            paper,
        },
        "dropout" => Statement {
            id: "10f",
            text: "The best test accuracy lies where both basins grow together with the dropout rate.",
            paper,
        },
        _ => Statement {
            id: "10g",
            text: "The best test accuracy lies where both basins grow together with the learning rate.",
            paper,
        },
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(found_together(&swept(mode)?, Direction::Either)))?;
    Ok(statement.decided(verdict, ours, format!("{TOGETHER_RULE}; growth in the same direction, either way")))
}

/// Claim 9 of paper B: initial weights of a fixed range.
pub(super) fn stops_growing(curves: impl Fn(BnMode) -> Result<[Curve; 2]>) -> Result<Claim> {
    let statement = Statement {
        id: "9j",
        text: "With initial weights of a fixed range the basin in weight space stops growing with width and shrinks; with \
               Kaiming's it grows.",
        paper: Some("no longer expands and instead begins to shrink"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(shrinks(&curves(mode)?)))?;
    Ok(statement.decided(
        verdict,
        ours,
        format!(
            "fixed range: largest basin before the last width, by two standard errors; Kaiming: {TREND_RULE}"
        ),
    ))
}

fn shrinks([kaiming, fixed]: &[Curve; 2]) -> Finding {
    let grows = Trend::of(std::slice::from_ref(kaiming))?;
    let top = highest(fixed)?;
    if fixed.len() < 3 {
        return None;
    }
    let Point { x: widest, y: end } = fixed[fixed.len() - 1];
    let fall = change(fixed, fixed.len() - 1, top);
    let shrinks = if top == fixed.len() - 1 { Verdict::NotHeld } else { above(fall, 0.0) };
    Some((
        all(&[shrinks, grows.rises()]),
        format!(
            "fixed range: largest {} at width {}, {} at {widest}; Kaiming: {}",
            fixed[top].y.text(3),
            fixed[top].x,
            end.text(3),
            grows.text(3)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: [f64; 5], error: f64) -> Curve {
        let point = |(i, mean)| Point { x: f64::from(i), y: Estimate { mean, error: Some(error) } };
        (1..).zip(values).map(point).collect()
    }

    fn swept(sample: [f64; 5], weight: [f64; 5], accuracy: [f64; 5]) -> Swept {
        Swept { sample: curve(sample, 0.01), weight: curve(weight, 0.01), accuracy: curve(accuracy, 0.001) }
    }

    const RISING: [f64; 5] = [0.3, 0.4, 0.5, 0.6, 0.7];
    const FALLING: [f64; 5] = [0.7, 0.6, 0.5, 0.4, 0.3];
    const PEAK: [f64; 5] = [0.90, 0.92, 0.95, 0.93, 0.90];

    #[test]
    fn basins_grow_together_or_not() {
        let verdict = |s, w, direction| found_together(&swept(s, w, PEAK), direction).unwrap().0;
        assert_eq!(verdict(RISING, RISING, Direction::Either), Verdict::Held);
        assert_eq!(verdict(RISING, RISING, Direction::Smaller), Verdict::NotHeld);
        assert_eq!(verdict(FALLING, FALLING, Direction::Smaller), Verdict::Held);
        assert_eq!(verdict(RISING, FALLING, Direction::Either), Verdict::NotHeld);
        assert_eq!(verdict([0.5; 5], FALLING, Direction::Smaller), Verdict::Undecided);
        let untrained = swept(RISING, RISING, [0.1; 5]);
        assert!(found_together(&untrained, Direction::Either).is_none());
    }

    #[test]
    fn the_best_accuracy_may_lie_at_the_largest_basin() {
        assert_eq!(coincide(&swept(PEAK, RISING, PEAK)).unwrap().0, Verdict::Held);
        assert_eq!(coincide(&swept(RISING, RISING, PEAK)).unwrap().0, Verdict::NotHeld);
    }

    #[test]
    fn a_fall_breaks_monotony() {
        let dip = [0.3, 0.4, 0.35, 0.6, 0.7];
        assert_eq!(rises_throughout(&swept(PEAK, RISING, PEAK)).unwrap().0, Verdict::Held);
        assert_eq!(rises_throughout(&swept(PEAK, dip, PEAK)).unwrap().0, Verdict::NotHeld);
    }

    #[test]
    fn accuracy_falls_with_the_basin() {
        assert_eq!(falls_too(&swept(RISING, FALLING, FALLING)).unwrap().0, Verdict::Held);
        assert_eq!(falls_too(&swept(RISING, FALLING, RISING)).unwrap().0, Verdict::NotHeld);
        assert_eq!(falls_too(&swept(RISING, [0.5; 5], RISING)).unwrap().0, Verdict::Undecided);
    }

    #[test]
    fn a_fixed_range_shrinks_the_basin_beyond_some_width() {
        let verdict = |fixed| shrinks(&[curve(RISING, 0.01), curve(fixed, 0.01)]).unwrap().0;
        assert_eq!(verdict(PEAK.map(|y| 10.0 * y)), Verdict::Held);
        assert_eq!(verdict(RISING), Verdict::NotHeld);
    }
}
