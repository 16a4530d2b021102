//! Claim 11: which digits stand out, and whether single samples keep apart.

use super::super::basins::{MODES, in_both_modes};
use super::super::curves::Estimate;
use super::super::trends::{Curve, Point, TREND_RULE, Trend, rank_correlation};
use super::classes::ByClass;
use crate::Result;
use crate::analysis::{Cone, Cones, NoisyCopy};
use crate::experiment::claims::{Statement, above, all, below, of_seeds, over_seeds};
use crate::model::BnMode;
use crate::store::{Claim, Verdict};

/// Digits that paper A finds above and below the others.
const HIGH: [usize; 2] = [0, 2];
const LOW: [usize; 1] = [9];
/// The amplitude at which cones are to keep apart: a tenth of a usual basin size.
const SMALL: f64 = 0.05;
/// The largest basin is so many times the smallest, or more, where classes differ.
const APART: f64 = 1.2;

pub const BASINS: Statement = Statement {
    id: "11b",
    text: "0 and 2 have larger basins than most digits, 9 a smaller one.",
    paper: Some("0 and 2 relatively large, 9 much smaller"),
};
pub const RANKS: Statement = Statement {
    id: "11c",
    text: "0 and 2 have steeper RPDs in the first hidden layer than most digits, 9 a flatter one.",
    paper: Some("0 and 2 significantly higher on the left, 9 noticeably lower"),
};
pub const SEPARABILITY: Statement = Statement {
    id: "11d",
    text: "0 and 2 are more linearly separable than most digits, 9 less.",
    paper: Some("0 and 2 higher, 9 lower linear separability"),
};
pub const TOGETHER: Statement =
    Statement { id: "11e", text: "Digits that are more linearly separable have larger basins.", paper: None };

/// Whether the basins of the classes differ.
pub fn differ(sizes: impl Fn(BnMode) -> Result<ByClass>) -> Result<Claim> {
    let statement = Statement {
        id: "11a",
        text: "The attraction basins of the digits differ significantly.",
        paper: Some("significant differences"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(ratio(&sizes(mode)?)))?;
    let reason = "size of the largest basin of a digit over that of the smallest above 1.2 by two standard errors \
                  (noise draws, number of samples, seeds); a digit for which noise itself is taken has no edge within \
                  the amplitudes drawn and is left out";
    Ok(statement.decided(verdict, ours, reason))
}

fn ratio(sizes: &ByClass) -> Option<(Verdict, String)> {
    let there = || sizes.within();
    let endless: String = (0..sizes.values.len())
        .filter(|&class| sizes.values[class].is_some_and(|size| size.mean >= sizes.end))
        .map(|class| format!(", digit {class} without an edge up to {}", sizes.end))
        .collect();
    let (most, large) = there().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean))?;
    let (least, small) = there().min_by(|a, b| a.1.mean.total_cmp(&b.1.mean))?;
    let relative = |size: Estimate| size.error.unwrap_or(0.0) / size.mean;
    let mean = large.mean / small.mean;
    let ratio = Estimate { mean, error: Some(mean * relative(large).hypot(relative(small))) };
    let text = format!(
        "digit {most} {} over digit {least} {} = {}{endless}",
        large.text(3),
        small.text(3),
        ratio.text(2)
    );
    (most != least).then(|| (above(ratio, APART), text))
}

/// Whether the digits that paper A names stand where it says.
pub fn stand(statement: &Statement, values: impl Fn(BnMode) -> Result<ByClass>) -> Result<Claim> {
    let (verdict, ours) = in_both_modes(|mode| Ok(standing(&values(mode)?)))?;
    let reason = "0 and 2 above the median of the ten digits and 9 below it, each by two standard errors of its own \
                  value, where it has one (gradients: from two seeds on)";
    Ok(statement.decided(verdict, ours, reason))
}

fn standing(by_class: &ByClass) -> Option<(Verdict, String)> {
    let all_there: Option<Vec<Estimate>> = by_class.values.iter().copied().collect();
    let values = all_there.filter(|values| values.len() == 10)?;
    let mut sorted: Vec<f64> = values.iter().map(|value| value.mean).collect();
    sorted.sort_by(f64::total_cmp);
    let median = (sorted[4] + sorted[5]) / 2.0;
    let verdicts: Vec<Verdict> = HIGH
        .iter()
        .map(|&digit| over_seeds(values[digit], |value| above(value, median)))
        .chain(LOW.iter().map(|&digit| over_seeds(values[digit], |value| below(value, median))))
        .collect();
    let told = HIGH.iter().chain(&LOW).map(|&digit| {
        let rank = 1 + values.iter().filter(|other| other.mean > values[digit].mean).count();
        format!("{digit}: {} (rank {rank} of 10)", by_class.text(values[digit], 3))
    });
    Some((all(&verdicts), format!("{}, median {median:.3}", told.collect::<Vec<_>>().join(", "))))
}

/// Whether two values of the classes go together.
pub fn together(
    statement: &Statement,
    first: impl Fn(BnMode) -> Result<ByClass>,
    second: impl Fn(BnMode) -> Result<ByClass>,
) -> Result<Claim> {
    let (verdict, ours) = in_both_modes(|mode| {
        let (first, second) = (first(mode)?, second(mode)?);
        let x = |class: usize| first.within().find(|found| found.0 == class).map(|found| found.1.mean);
        let pairs = second.within().filter_map(|(class, y)| Some(Point { x: x(class)?, y }));
        Ok(correlated(&pairs.collect()))
    })?;
    let reason = "rank correlation over the digits above 0 by two standard errors (1 − r²)/√(digits − 1); a digit whose \
                  basin has no edge within the amplitudes drawn is left out";
    Ok(statement.decided(verdict, ours, reason))
}

fn correlated(pairs: &Curve) -> Option<(Verdict, String)> {
    if pairs.len() < 3 {
        return None;
    }
    let mean = rank_correlation(pairs);
    let error = Some((1.0 - mean * mean) / (pairs.len() as f64 - 1.0).sqrt());
    let correlation = Estimate { mean, error };
    let told = format!("rank correlation {} over {} digits", correlation.text(2), pairs.len());
    Some((above(correlation, 0.0), told))
}

/// Whether the cones keep apart while the noise is small, and how many copies go over to other classes.
pub fn cones(by_mode: &[Vec<Cones>; 2]) -> Result<Vec<Claim>> {
    let of_mode = |mode: BnMode| &by_mode[usize::from(mode == MODES[1])];
    let (apart, told) = in_both_modes(|mode| Ok(keep_apart(of_mode(mode))))?;
    let (drawn, shares) = in_both_modes(|mode| Ok(drawn_away(of_mode(mode))))?;
    let touch = Statement {
        id: "11f",
        text: "At small amplitude the basins of most of the 20 samples touch no other, not even of their own digit.",
        paper: Some("most samples … non-contiguous, even of the same class"),
    };
    let share = Statement {
        id: "11g",
        text: "The share of copies drawn to other classes rises with the noise amplitude.",
        paper: Some("increases"),
    };
    Ok(vec![
        touch.decided(
            apart,
            told,
            "at σ = 0.05, a tenth of a usual basin size, in the three dimensions of the figure: two samples touch \
             unless the nearest two of their copies are farther apart than any copy is from its own sample; more than half \
             of the samples touch no other, for every seed",
        ),
        share.decided(drawn, shares, format!("against the class without noise, over the 20 samples: {TREND_RULE}")),
    ])
}

fn keep_apart(found: &[Cones]) -> Option<(Verdict, String)> {
    let first = touching(found.first()?);
    let told: Vec<String> = first
        .iter()
        .filter(|(amplitude, _)| *amplitude <= SMALL)
        .map(|(amplitude, touched)| {
            let alone = touched.iter().filter(|touched| !**touched).count();
            format!("{alone} of {} touch no other at σ = {amplitude}", touched.len())
        })
        .collect();
    let most = |cones: &Cones| {
        let (_, touched) = touching(cones).into_iter().rfind(|(amplitude, _)| *amplitude <= SMALL)?;
        Some(2 * touched.iter().filter(|touched| !**touched).count() > touched.len())
    };
    let verdicts: Option<Vec<bool>> = found.iter().map(most).collect();
    Some((of_seeds(&verdicts?), told.join(", ")))
}

/// At each amplitude, which cones touch another.
fn touching(cones: &Cones) -> Vec<(f64, Vec<bool>)> {
    let by_amplitude: Vec<Vec<&[NoisyCopy]>> =
        cones.samples.iter().map(|cone| at_amplitudes(cone).collect()).collect();
    let amplitudes = by_amplitude.first().map_or(0, Vec::len);
    let at = |level: usize| {
        let mut touched = vec![false; cones.samples.len()];
        for (i, a) in cones.samples.iter().enumerate() {
            for (j, b) in cones.samples.iter().enumerate().take(i) {
                let (of_a, of_b) = (by_amplitude[i][level], by_amplitude[j][level]);
                let gaps = of_a.iter().flat_map(|p| of_b.iter().map(|q| distance(p.point, q.point)));
                let gap = gaps.fold(f64::INFINITY, f64::min);
                if gap <= radius(a, of_a).max(radius(b, of_b)) {
                    (touched[i], touched[j]) = (true, true);
                }
            }
        }
        (by_amplitude[0][level][0].amplitude, touched)
    };
    (0..amplitudes).map(at).collect()
}

/// The copies of one amplitude after the other.
fn at_amplitudes(cone: &Cone) -> impl Iterator<Item = &[NoisyCopy]> {
    cone.copies.chunk_by(|a, b| a.amplitude == b.amplitude)
}

fn radius(cone: &Cone, copies: &[NoisyCopy]) -> f64 {
    copies.iter().map(|copy| distance(copy.point, cone.point)).fold(0.0, f64::max)
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

fn drawn_away(found: &[Cones]) -> Option<(Verdict, String)> {
    let curves: Vec<Curve> = found.iter().map(shares).collect();
    let trend = Trend::of(&curves)?;
    let ends = [curves[0].first()?, curves[0].last()?]
        .map(|point| format!("{} at σ = {}", point.y.text(3), point.x));
    Some((trend.rises(), format!("{}; {}", ends.join(", "), trend.text(3))))
}

/// Share of the copies at each amplitude whose class is not that of their sample. Errors are over samples, whose
/// copies are no independent draws.
fn shares(cones: &Cones) -> Curve {
    let lost = |cone: &Cone, copies: &[NoisyCopy]| {
        let lost = copies.iter().filter(|copy| copy.predicted != cone.predicted).count();
        (copies[0].amplitude, lost as f64 / copies.len() as f64)
    };
    let by_sample: Vec<Vec<(f64, f64)>> = cones
        .samples
        .iter()
        .map(|cone| at_amplitudes(cone).map(|copies| lost(cone, copies)).collect())
        .collect();
    let point = |(level, &(x, _)): (usize, &(f64, f64))| {
        let y = Estimate::of(&by_sample.iter().map(|shares| shares[level].1).collect::<Vec<_>>());
        Point { x, y }
    };
    by_sample.first().map_or(vec![], |first| first.iter().enumerate().map(point).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::View;

    fn exact(values: &[f64]) -> ByClass {
        ByClass::new(values.iter().map(|&mean| Some(Estimate { mean, error: Some(0.01) })))
    }

    #[test]
    fn digits_stand_out_against_the_median() {
        let verdict = |values: &[f64]| standing(&exact(values)).map(|found| found.0);
        let [high, low] = [0.9, 0.1];
        assert_eq!(verdict(&[high, 0.5, high, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, low]), Some(Verdict::Held));
        assert_eq!(verdict(&[high, 0.5, low, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, low]), Some(Verdict::NotHeld));
        assert_eq!(verdict(&[high, 0.5, high, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.49]), Some(Verdict::Undecided));
        assert_eq!(verdict(&[high, 0.5, high]), None);
        assert_eq!(ratio(&exact(&[0.5, 0.4, 0.6])).map(|found| found.0), Some(Verdict::Held));
        assert_eq!(ratio(&exact(&[0.5, 0.5, 0.5])).map(|found| found.0), Some(Verdict::NotHeld));
        assert!(ratio(&exact(&[0.5])).is_none() && ratio(&exact(&[])).is_none());
        // A basin without an edge is above the median, but no number.
        let endless = |values: &[f64]| ByClass { end: 1.5, ..exact(values) };
        let found = standing(&endless(&[1.5, 0.5, 0.9, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.1])).unwrap();
        assert!(
            found.0 == Verdict::Held && found.1.starts_with("0: no edge up to 1.5 (rank 1 of 10)"),
            "{found:?}"
        );
        let found = ratio(&endless(&[1.5, 0.4, 0.6])).unwrap();
        assert!(
            found.1.starts_with("digit 2 0.600") && found.1.ends_with("digit 0 without an edge up to 1.5"),
            "{found:?}"
        );
        let point = |i: u8| Point { x: f64::from(i), y: Estimate::of(&[f64::from(i * i)]) };
        assert_eq!(correlated(&(0..10).map(point).collect()).map(|found| found.0), Some(Verdict::Held));
        assert!(correlated(&(0..2).map(point).collect()).is_none());
    }

    /// Samples on a line, one apart, with two copies each that move away by `reach` times the amplitude.
    fn line(reach: f64) -> Cones {
        let cone = |i: usize| {
            let at = |shift: f64| [i as f64 + shift, 0.0, 0.0];
            let copies = [0.025, 0.05, 0.1].into_iter().flat_map(|amplitude: f64| {
                [-1.0, 1.0].map(|side| NoisyCopy {
                    amplitude,
                    trial: usize::from(side > 0.0),
                    point: at(side * reach * amplitude),
                    predicted: u8::from(amplitude > 0.03 && side > 0.0) + u8::from(amplitude > 0.07),
                })
            });
            let label = (i / 2) as u8;
            Cone {
                index: i,
                label,
                predicted: 0,
                size: None,
                lost_to: None,
                point: at(0.0),
                copies: copies.collect(),
            }
        };
        Cones {
            view: View::Features,
            trials: 2,
            variance: [1.0, 0.0, 0.0],
            samples: (0..4).map(cone).collect(),
        }
    }

    #[test]
    fn cones_touch_where_copies_meet() {
        // The gap between neighbours is 1 − 2·reach·σ, the radius reach·σ.
        let touched = |reach| touching(&line(reach)).into_iter().map(|(_, touched)| touched.contains(&true));
        assert_eq!(touched(4.0).collect::<Vec<bool>>(), [false, false, true]);
        assert_eq!(keep_apart(&[line(4.0)]).map(|found| found.0), Some(Verdict::Held));
        assert_eq!(keep_apart(&[line(16.0)]).map(|found| found.0), Some(Verdict::NotHeld));
        assert!(keep_apart(&[]).is_none() && drawn_away(&[]).is_none());
        let shares: Vec<f64> = shares(&line(1.0)).iter().map(|point| point.y.mean).collect();
        assert_eq!(shares, [0.0, 0.5, 1.0]);
        assert_eq!(drawn_away(&[line(1.0)]).map(|found| found.0), Some(Verdict::Held));
    }
}
