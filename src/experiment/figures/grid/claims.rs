//! What the papers claim about depth and width.

use super::super::Setting;
use super::super::basins::in_both_modes;
use super::super::curves::Estimate;
use super::super::trends::{Curve, LEVELLING_RULE, Levelling, Point, TREND_RULE, Trend, apart};
use super::panels::Grid;
use super::widths;
use crate::Result;
use crate::analysis::Space;
use crate::experiment::claims::{Statement, above, all, below, of_seeds};
use crate::model::BnMode;
use crate::store::{Claim, Verdict};

/// Test accuracy from which on a network counts.
pub(super) const LEARNED: f64 = 0.85;

/// The reason of a verdict on the grid: a rule, and which networks it was applied to.
fn rule(text: impl std::fmt::Display) -> String {
    format!("{text}; only networks with a test accuracy of at least {LEARNED} count")
}

type Finding = Option<(Verdict, String)>;

/// Claim 8: the best depth.
pub(super) fn peak(grid: impl Fn(BnMode) -> Result<Grid>) -> Result<Claim> {
    let statement = Statement {
        id: "8a",
        text: "At every width the test accuracy peaks at 6 to 8 layers.",
        paper: Some("6 to 8 layers, largely independent of width"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(peaks(&grid(mode)?.by_width)))?;
    Ok(statement.decided(
        verdict,
        ours,
        rule(
            "best accuracy at 6 to 8 layers against the best at any other depth, two standard errors (over seeds, \
             at least that of the test set), width by width",
        ),
    ))
}

fn peaks(by_width: &[(usize, Curve)]) -> Finding {
    const BEST: std::ops::RangeInclusive<f64> = 6.0..=8.0;
    let largest = |curve: &Curve, keep: &dyn Fn(&Point) -> bool| -> Option<Point> {
        let kept = curve.iter().copied().filter(|point| keep(point));
        kept.max_by(|a, b| a.y.mean.total_cmp(&b.y.mean))
    };
    let mut verdicts = Vec::new();
    let mut told = Vec::new();
    for (width, curve) in by_width {
        let inside = largest(curve, &|point| BEST.contains(&point.x))?;
        let outside = largest(curve, &|point| !BEST.contains(&point.x))?;
        let difference = inside.y.mean - outside.y.mean;
        verdicts.push(above(Estimate { mean: difference, error: Some(apart(inside.y, outside.y)) }, 0.0));
        let best = if difference >= 0.0 { inside } else { outside };
        told.push(format!("{width}: {} layers ({})", best.x, best.y.text(4)));
    }
    Some((all(&verdicts), told.join(", ")))
}

/// Claim 8: the gain from width.
pub(super) fn wider(setting: &Setting, grid: impl Fn(BnMode) -> Result<Grid>) -> Result<Claim> {
    let statement = Statement {
        id: "8b",
        text: "Wider networks are more accurate at every depth, and the gain saturates.",
        paper: Some("increases with width, eventually saturates"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(gains(&grid(mode)?.by_depth, middle(widths(setting)))))?;
    Ok(statement.decided(
        verdict,
        ours,
        rule(format_args!("{TREND_RULE}; {LEVELLING_RULE}, at the middle width")),
    ))
}

/// The width in the middle of the list: where a curve over widths has its knee, if it has one.
pub(super) fn middle(widths: &[usize]) -> f64 {
    widths[widths.len() / 2] as f64
}

fn gains(by_depth: &[Curve], knee: f64) -> Finding {
    let trend = Trend::of(by_depth)?;
    let levelling = Levelling::of(by_depth, knee)?;
    let verdict = all(&[trend.rises(), levelling.levels()]);
    Some((verdict, format!("{}; {}", trend.text(4), levelling.text(4))))
}

/// Claim 8: the first layer's gradient over width.
pub(super) fn falls_with_width(grid: impl Fn(BnMode) -> Result<Grid>) -> Result<Claim> {
    let statement = Statement {
        id: "8c",
        text: "The first layer's RPD gradient falls with width.",
        paper: Some("decreases, then saturates"),
    };
    let finding = |grid: Grid| Trend::of(&grid.by_depth).map(|trend| (trend.falls(), trend.text(3)));
    let (verdict, ours) = in_both_modes(|mode| Ok(finding(grid(mode)?)))?;
    Ok(statement.decided(verdict, ours, rule(format_args!("{TREND_RULE}, over all depths"))))
}

/// Claim 8: the first layer's gradient over depth.
pub(super) fn minimum(grid: impl Fn(BnMode) -> Result<Grid>) -> Result<Claim> {
    let statement = Statement {
        id: "8d",
        text: "Over depth the first layer's RPD gradient has a minimum near 6 layers.",
        paper: Some("pronounced minimum around 6 layers"),
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(minima(&grid(mode)?.by_width)))?;
    Ok(statement.decided(
        verdict,
        ours,
        rule("the lowest gradient of a width lies at 5 to 8 layers: held if at every width, not held if at none"),
    ))
}

fn minima(by_width: &[(usize, Curve)]) -> Finding {
    let mut near = Vec::new();
    let mut told = Vec::new();
    for (width, curve) in by_width {
        let lowest = curve.iter().min_by(|a, b| a.y.mean.total_cmp(&b.y.mean))?;
        near.push((5.0..=8.0).contains(&lowest.x));
        told.push(format!("{width}: {} layers ({})", lowest.x, lowest.y.text(3)));
    }
    Some((of_seeds(&near), told.join(", ")))
}

/// Rising in sample space, falling in weight space: what depth does according to the papers.
fn depth_finding(space: Space, curves: &[Curve]) -> Finding {
    let trend = Trend::of(curves)?;
    let verdict = match space {
        Space::Sample => trend.rises(),
        Space::Weight => trend.falls(),
    };
    Some((verdict, trend.text(3)))
}

/// Claim 9: what depth does to a basin at the width of the noise curves.
pub(super) fn with_depth(
    space: Space,
    width: usize,
    sizes: impl Fn(BnMode) -> Result<Curve>,
) -> Result<Claim> {
    let statement = match space {
        Space::Sample => Statement {
            id: "9a",
            text: "The basin in sample space grows with depth.",
            paper: Some("depth enlarges it"),
        },
        Space::Weight => Statement {
            id: "9b",
            text: "The basin in weight space shrinks with depth.",
            paper: Some("depth reduces it"),
        },
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(depth_finding(space, &[sizes(mode)?])))?;
    Ok(statement.decided(verdict, ours, rule(format_args!("{TREND_RULE}; width {width}"))))
}

/// Claim 9: the same at all widths.
pub(super) fn grid_with_depth(space: Space, curves: impl Fn(BnMode) -> Result<Vec<Curve>>) -> Result<Claim> {
    let statement = match space {
        Space::Sample => Statement {
            id: "9c",
            text: "At fixed width the basin in sample space grows with depth.",
            paper: Some("increases with depth"),
        },
        Space::Weight => Statement {
            id: "9d",
            text: "At fixed width the basin in weight space shrinks with depth.",
            paper: Some("shrinks with depth"),
        },
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(depth_finding(space, &curves(mode)?)))?;
    Ok(statement.decided(verdict, ours, rule(format_args!("{TREND_RULE}, over all widths"))))
}

/// Claim 9: what width does to a basin.
pub(super) fn with_width(space: Space, curves: impl Fn(BnMode) -> Result<Vec<Curve>>) -> Result<Claim> {
    let statement = match space {
        Space::Sample => Statement {
            id: "9e",
            text: "At fixed depth the basin in sample space grows with width.",
            paper: Some("expands with width"),
        },
        Space::Weight => Statement {
            id: "9f",
            text: "At fixed depth the basin in weight space grows with width.",
            paper: Some("rapid increase with width"),
        },
    };
    let finding = |curves: Vec<Curve>| Trend::of(&curves).map(|trend| (trend.rises(), trend.text(3)));
    let (verdict, ours) = in_both_modes(|mode| Ok(finding(curves(mode)?)))?;
    Ok(statement.decided(verdict, ours, rule(format_args!("{TREND_RULE}, over all depths"))))
}

/// Claim 9 of paper B: depth stops helping.
pub(super) fn levels_with_depth(width: usize, sizes: impl Fn(BnMode) -> Result<Curve>) -> Result<Claim> {
    let statement = Statement {
        id: "9g",
        text: "The basin in sample space stops growing with depth near 8 layers.",
        paper: Some("saturates at about 8 layers"),
    };
    let finding = |curve: Curve| {
        let levelling = Levelling::of(&[curve], 8.0)?;
        let grown = below(levelling.early, 0.0);
        let verdict = match grown {
            // Nothing that never grew can stop growing.
            Verdict::Held => Verdict::NotHeld,
            _ => levelling.levels(),
        };
        Some((verdict, levelling.text(3)))
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(finding(sizes(mode)?)))?;
    Ok(statement.decided(
        verdict,
        ours,
        rule(format_args!("{LEVELLING_RULE}, at 8 layers, having grown before; width {width}")),
    ))
}

/// Claim 9 of paper B: width stops helping.
pub(super) fn levels_with_width(
    space: Space,
    knee: f64,
    curves: impl Fn(BnMode) -> Result<Vec<Curve>>,
) -> Result<Claim> {
    let statement = match space {
        Space::Sample => Statement {
            id: "9h",
            text: "The basin in sample space saturates with width.",
            paper: Some("increases, eventually saturates"),
        },
        Space::Weight => Statement {
            id: "9i",
            text: "The basin in weight space saturates with width.",
            paper: Some("expands, eventually saturates"),
        },
    };
    let finding = |curves: Vec<Curve>| {
        let levelling = Levelling::of(&curves, knee)?;
        Some((levelling.levels(), levelling.text(3)))
    };
    let (verdict, ours) = in_both_modes(|mode| Ok(finding(curves(mode)?)))?;
    Ok(statement.decided(
        verdict,
        ours,
        rule(format_args!("{LEVELLING_RULE}, at width {knee}, over all depths")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Curve {
        let point = |&(x, mean)| Point { x, y: Estimate { mean, error: Some(0.001) } };
        points.iter().map(point).collect()
    }

    #[test]
    fn a_peak_must_stand_out_at_every_width() {
        let peaked = curve(&[(3.0, 0.92), (6.0, 0.95), (8.0, 0.94), (12.0, 0.93)]);
        let late = curve(&[(3.0, 0.92), (6.0, 0.93), (8.0, 0.94), (12.0, 0.95)]);
        let flat = curve(&[(3.0, 0.95), (6.0, 0.951), (8.0, 0.95), (12.0, 0.95)]);
        let verdict = |curves: &[&Curve]| {
            let family: Vec<_> = curves.iter().map(|curve| (64, (*curve).clone())).collect();
            peaks(&family).unwrap().0
        };
        assert_eq!(verdict(&[&peaked, &peaked]), Verdict::Held);
        assert_eq!(verdict(&[&peaked, &late]), Verdict::NotHeld);
        assert_eq!(verdict(&[&peaked, &flat]), Verdict::Undecided);
        assert!(peaks(&[(64, vec![])]).is_none());
    }

    #[test]
    fn a_minimum_must_be_near_six_layers() {
        let near = curve(&[(3.0, 1.2), (6.0, 1.0), (12.0, 1.1)]);
        let far = curve(&[(3.0, 1.2), (6.0, 1.1), (12.0, 1.0)]);
        let verdict = |curves: &[&Curve]| {
            let family: Vec<_> = curves.iter().map(|curve| (64, (*curve).clone())).collect();
            minima(&family).unwrap().0
        };
        assert_eq!(verdict(&[&near, &near]), Verdict::Held);
        assert_eq!(verdict(&[&near, &far]), Verdict::Undecided);
        assert_eq!(verdict(&[&far]), Verdict::NotHeld);
    }
}
