//! What curves over a setting do: rise, fall, level off. Verdicts from points with errors.

use super::curves::Estimate;
use crate::experiment::claims::{above, all};
use crate::store::Verdict;

/// A value of a setting, and what was measured there.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The setting: a depth, a width, a rate.
    pub x: f64,
    /// What was measured.
    pub y: Estimate,
}

/// Points in ascending order of the setting.
pub type Curve = Vec<Point>;

/// How curves change from their first to their last point.
#[derive(Clone, Copy, Debug)]
pub struct Trend {
    /// Rank correlation with the setting, mean over the curves.
    pub correlation: Estimate,
    /// Last minus first value, mean over the curves.
    pub change: Estimate,
}

/// The rule of [`Trend::rises`] and [`Trend::falls`], for a reader.
pub const TREND_RULE: &str = "rank correlation with the setting beyond 0.5, and a change from the first to the last \
                              point that does not vanish, each by two standard errors";

impl Trend {
    /// Of curves with three points or more; none if there is no such curve.
    pub fn of(curves: &[Curve]) -> Option<Trend> {
        let curves: Vec<&Curve> = curves.iter().filter(|curve| curve.len() >= 3).collect();
        if curves.is_empty() {
            return None;
        }
        let correlations: Vec<f64> = curves.iter().map(|curve| rank_correlation(curve)).collect();
        let spread = |i: usize| (1.0 - correlations[i].powi(2)) / ((curves[i].len() - 1) as f64).sqrt();
        let correlation = with_errors(&correlations, &(0..curves.len()).map(spread).collect::<Vec<_>>());
        let ends = |curve: &Curve| (curve[0].y, curve[curve.len() - 1].y);
        let changes: Vec<f64> = curves.iter().map(|curve| ends(curve).1.mean - ends(curve).0.mean).collect();
        let errors: Vec<f64> = curves.iter().map(|curve| apart(ends(curve).0, ends(curve).1)).collect();
        Some(Trend { correlation, change: with_errors(&changes, &errors) })
    }

    /// Whether the curves rise.
    pub fn rises(&self) -> Verdict {
        all(&[above(self.correlation, 0.5), above(self.change, 0.0)])
    }

    /// Whether the curves fall.
    pub fn falls(&self) -> Verdict {
        Trend { correlation: negative(self.correlation), change: negative(self.change) }.rises()
    }

    /// `rank correlation 0.93 ± 0.04, change +0.123 ± 0.004`
    pub fn text(&self, digits: usize) -> String {
        let sign = if self.change.mean < 0.0 { "" } else { "+" };
        format!("rank correlation {}, change {sign}{}", self.correlation.text(2), self.change.text(digits))
    }
}

/// How much less a curve changes late than early.
#[derive(Clone, Copy, Debug)]
pub struct Levelling {
    /// Change per doubling of the setting, up to the knee.
    pub early: Estimate,
    /// The same beyond it.
    pub late: Estimate,
    /// How far the late change in the early direction is above half of the early one.
    excess: Estimate,
}

/// The rule of [`Levelling::levels`], for a reader.
pub const LEVELLING_RULE: &str = "change per doubling beyond the knee less than half of that before it, which does not vanish, by two standard errors";

impl Levelling {
    /// Of curves with points on both sides of `knee`, which has one itself; none if there is no such curve.
    pub fn of(curves: &[Curve], knee: f64) -> Option<Levelling> {
        let (mut early, mut late, mut excess) = (Parts::default(), Parts::default(), Parts::default());
        for curve in curves {
            let Some(middle) = curve.iter().find(|point| point.x == knee) else { continue };
            let (first, last) = (curve[0], curve[curve.len() - 1]);
            if !(first.x < knee && knee < last.x) {
                continue;
            }
            let [(before, before_error), (beyond, beyond_error)] =
                [per_doubling(first, *middle), per_doubling(*middle, last)];
            early.add(before, before_error);
            late.add(beyond, beyond_error);
            // A curve that turns back has levelled off too.
            let onward = beyond * before.signum();
            excess.add(onward - before.abs() / 2.0, beyond_error.hypot(before_error / 2.0));
        }
        (!excess.values.is_empty()).then(|| Levelling {
            early: early.estimate(),
            late: late.estimate(),
            excess: excess.estimate(),
        })
    }

    /// Whether the curves level off at the knee; undecided if they hardly change before it.
    pub fn levels(&self) -> Verdict {
        let early = Estimate { mean: self.early.mean.abs(), ..self.early };
        match above(early, 0.0) {
            Verdict::Held => above(negative(self.excess), 0.0),
            _ => Verdict::Undecided,
        }
    }

    /// `per doubling 0.050 ± 0.004, then 0.010 ± 0.006`
    pub fn text(&self, digits: usize) -> String {
        format!("per doubling {}, then {}", self.early.text(digits), self.late.text(digits))
    }
}

/// Values with their errors.
#[derive(Default)]
struct Parts {
    values: Vec<f64>,
    errors: Vec<f64>,
}

impl Parts {
    fn add(&mut self, value: f64, error: f64) {
        self.values.push(value);
        self.errors.push(error);
    }

    fn estimate(&self) -> Estimate {
        with_errors(&self.values, &self.errors)
    }
}

/// Change per doubling of the setting, with its error.
fn per_doubling(from: Point, to: Point) -> (f64, f64) {
    let doublings = (to.x / from.x).log2();
    ((to.y.mean - from.y.mean) / doublings, apart(from.y, to.y) / doublings)
}

/// Standard error of the difference of two values.
pub fn apart(a: Estimate, b: Estimate) -> f64 {
    a.error.unwrap_or(0.0).hypot(b.error.unwrap_or(0.0))
}

/// Mean of values with errors of their own. Its error is that of their scatter, at least that which theirs imply.
fn with_errors(values: &[f64], errors: &[f64]) -> Estimate {
    let scatter = Estimate::of(values);
    let own = errors.iter().map(|error| error * error).sum::<f64>().sqrt() / values.len() as f64;
    Estimate { error: Some(own.max(scatter.error.unwrap_or(0.0))), ..scatter }
}

fn negative(value: Estimate) -> Estimate {
    Estimate { mean: -value.mean, ..value }
}

/// Spearman's rank correlation of values and settings; equal values share their mean rank; 0 for a constant curve.
pub fn rank_correlation(curve: &Curve) -> f64 {
    let ranks = |of: &dyn Fn(&Point) -> f64| -> Vec<f64> {
        let rank = |value: f64| {
            let below = curve.iter().filter(|point| of(point) < value).count();
            let equal = curve.iter().filter(|point| of(point) == value).count();
            below as f64 + (equal as f64 - 1.0) / 2.0
        };
        curve.iter().map(|point| rank(of(point))).collect()
    };
    let middle = (curve.len() as f64 - 1.0) / 2.0;
    let (x, y) = (ranks(&|point| point.x), ranks(&|point| point.y.mean));
    let product =
        |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum() };
    let norm = (product(&x, &x) * product(&y, &y)).sqrt();
    if norm > 0.0 { product(&x, &y) / norm } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64], error: f64) -> Curve {
        let point = |(i, mean): (usize, &f64)| Point {
            x: f64::powi(2.0, i as i32),
            y: Estimate { mean: *mean, error: Some(error) },
        };
        values.iter().enumerate().map(point).collect()
    }

    #[test]
    fn a_trend_is_decided_by_order_and_size() {
        let of = |values: &[f64], error| Trend::of(&[curve(values, error)]).unwrap();
        assert_eq!(of(&[1.0, 2.0, 4.0, 8.0], 0.1).rises(), Verdict::Held);
        assert_eq!(of(&[1.0, 2.0, 4.0, 8.0], 0.1).falls(), Verdict::NotHeld);
        assert_eq!(of(&[1.0, 2.0, 4.0, 8.0], 10.0).rises(), Verdict::Undecided);
        assert_eq!(of(&[3.0, 1.0, 4.0, 2.0], 0.1).rises(), Verdict::NotHeld);
        assert!(Trend::of(&[curve(&[1.0, 2.0], 0.1)]).is_none());
    }

    #[test]
    fn a_curve_levels_off_where_its_second_half_is_flat() {
        let levels = |values: &[f64], error| Levelling::of(&[curve(values, error)], 2.0).unwrap().levels();
        assert_eq!(levels(&[0.0, 1.0, 1.1], 0.01), Verdict::Held);
        assert_eq!(levels(&[0.0, 1.0, 2.0], 0.01), Verdict::NotHeld);
        assert_eq!(levels(&[0.0, 1.0, 0.2], 0.01), Verdict::Held);
        assert_eq!(levels(&[0.0, 1.0, 1.1], 1.0), Verdict::Undecided);
        assert!(Levelling::of(&[curve(&[0.0, 1.0], 0.1)], 2.0).is_none());
    }

    #[test]
    fn equal_values_share_their_rank() {
        assert_eq!(rank_correlation(&curve(&[1.0, 1.0, 1.0], 0.0)), 0.0);
        assert!((rank_correlation(&curve(&[1.0, 1.0, 2.0], 0.0)) - 0.75f64.sqrt()).abs() < 1e-12);
    }
}
