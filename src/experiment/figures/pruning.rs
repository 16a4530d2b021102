//! Accuracy against the layer from which a network is pruned, at its best test accuracy: curves, and claim 7.

use super::curves::{Estimate, series};
use crate::Result;
use crate::analysis::{PruningCurve, trend};
use crate::experiment::claims::{Statement, of_seeds};
use crate::experiment::{Analysis, Measurement, Runs};
use crate::model::BnMode;
use crate::store::{Claim, Series, Style, Verdict};
use crate::train::Snapshot;

/// How far below the whole network counts as its accuracy.
const CLOSE: f64 = 0.005;
/// A network with a lower test accuracy has not learnt, and what its pruning does says nothing.
const LEARNT: f64 = 0.5;

/// These prunings of the best network, in both modes.
pub(super) fn measurements(prunings: &[Analysis]) -> Vec<Measurement> {
    let both = |what: &Analysis| [BnMode::Eval, BnMode::Batch].map(|mode| measurement(*what, mode));
    prunings.iter().flat_map(both).collect()
}

fn measurement(what: Analysis, mode: BnMode) -> Measurement {
    Measurement::new(what, Snapshot::Best).in_mode(mode)
}

/// The curve of one pruning in evaluation mode, the whole network dashed, and the bare matrix thin where there is one.
pub(super) fn drawn(
    runs: &Runs,
    run: &str,
    what: Analysis,
    label: &str,
    color: usize,
) -> Result<Vec<Series>> {
    let found: Vec<PruningCurve> = runs.found(run, &measurement(what, BnMode::Eval))?;
    let Some(first) = found.first() else { return Ok(vec![]) };
    let curve = |label: String, style, value: &dyn Fn(&PruningCurve, usize) -> Option<f64>| {
        let at = |i: usize| found.iter().filter_map(|curve| value(curve, i)).collect::<Vec<f64>>();
        let layers = first.layers.iter().enumerate();
        series(&label, color, style, &layers.map(|(i, l)| (l.layer as f64, at(i))).collect::<Vec<_>>())
    };
    let mut drawn = vec![
        curve(label.into(), Style::LinePoints, &|curve, i| Some(curve.layers.get(i)?.accuracy)),
        curve(format!("{label}, whole"), Style::Dashed, &|curve, _| Some(curve.unpruned)),
    ];
    if first.layers.iter().any(|layer| layer.accuracy_matrix_only.is_some()) {
        let bare = |curve: &PruningCurve, i: usize| curve.layers.get(i)?.accuracy_matrix_only;
        drawn.push(curve(format!("{label}, matrix only"), Style::Thin, &bare));
    }
    Ok(drawn)
}

/// The first layer from which on every pruning keeps the accuracy of the whole network.
fn first_close(curve: &PruningCurve) -> Option<usize> {
    let close = |accuracy: f64| accuracy >= curve.unpruned - CLOSE;
    curve.layers.iter().rev().take_while(|layer| close(layer.accuracy)).last().map(|layer| layer.layer)
}

/// Rank correlation of accuracy and starting layer.
fn rise(curve: &PruningCurve) -> f64 {
    trend(&curve.layers.iter().map(|layer| layer.accuracy).collect::<Vec<f64>>())
}

/// L-map pruning of one net: its accuracy rises with the starting layer and is the whole network's before the last.
pub(super) fn works(id: &'static str, net: &str, runs: &Runs, run: &str) -> Result<Claim> {
    let statement = Statement {
        id,
        text: "L-map pruning accuracy rises with the starting layer and reaches that of the whole network before the \
               last layer.",
        paper: Some("stabilises beyond a critical layer"),
    };
    let [eval, batch] = curves(runs, run, Analysis::Lmap)?;
    let good = |curve: &PruningCurve| {
        let last = curve.layers.last().map_or(0, |layer| layer.layer);
        rise(curve) > 0.5 && first_close(curve).is_some_and(|layer| layer < last)
    };
    let describe = |curves: &[PruningCurve]| {
        let rises: Vec<f64> = curves.iter().map(rise).collect();
        format!("{}, rank correlation {}", from(curves), Estimate::of(&rises).text(2))
    };
    let ours = format!("{net}: eval {}; batch {}", describe(&eval), describe(&batch));
    Ok(statement.decided(
        verdict(&eval, good),
        ours,
        "rank correlation of accuracy and layer above 0.5; within 0.5 % of the whole network from some layer before \
         the last hidden one on",
    ))
}

/// The linear perceptron replaces more layers than the L-map.
pub(super) fn earlier(id: &'static str, runs: &Runs, run: &str) -> Result<Claim> {
    let [maps, perceptrons] = [Analysis::Lmap, Analysis::Lp].map(|what| curves(runs, run, what));
    let ([eval, batch], [eval_lp, batch_lp]) = (maps?, perceptrons?);
    let pairs: Vec<(&PruningCurve, &PruningCurve)> = eval.iter().zip(&eval_lp).collect();
    let found: Vec<bool> = pairs
        .iter()
        .map(|(map, lp)| first_close(lp).unwrap_or(usize::MAX) < first_close(map).unwrap_or(usize::MAX))
        .collect();
    let verdict = match eval.iter().all(|curve| curve.unpruned >= LEARNT) && !found.is_empty() {
        true => of_seeds(&found),
        false => Verdict::Undecided,
    };
    Ok(Statement {
        id,
        text: "The linear perceptron reaches the accuracy of the whole network at an earlier layer than the L-map.",
        paper: Some("LP enables pruning at earlier layers"),
    }
    .decided(
        verdict,
        format!(
            "eval: LP {}, L-map {}; batch: LP {}, L-map {}",
            from(&eval_lp),
            from(&eval),
            from(&batch_lp),
            from(&batch)
        ),
        "first layer from which on pruning stays within 0.5 % of the whole network",
    ))
}

/// Curves of one pruning in both modes, one per repetition.
pub(super) fn curves(runs: &Runs, run: &str, what: Analysis) -> Result<[Vec<PruningCurve>; 2]> {
    let of = |mode| runs.found(run, &measurement(what, mode));
    Ok([of(BnMode::Eval)?, of(BnMode::Batch)?])
}

/// From which layer on pruning works, for every repetition.
pub(super) fn first_layers(curves: &[PruningCurve]) -> Vec<Option<usize>> {
    curves.iter().map(first_close).collect()
}

fn from(curves: &[PruningCurve]) -> String {
    let text =
        |layer: Option<usize>| layer.map_or("from no layer".into(), |layer| format!("from layer {layer}"));
    match curves {
        [] => "not measured".into(),
        curves => first_layers(curves).into_iter().map(text).collect::<Vec<String>>().join(", "),
    }
}

fn verdict(curves: &[PruningCurve], good: impl Fn(&PruningCurve) -> bool) -> Verdict {
    let learnt = !curves.is_empty() && curves.iter().all(|curve| curve.unpruned >= LEARNT);
    match learnt {
        true => of_seeds(&curves.iter().map(good).collect::<Vec<bool>>()),
        false => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::{first_close, rise};
    use crate::analysis::{PrunedAccuracy, PruningCurve};

    #[test]
    fn where_pruning_works() {
        let curve = |accuracies: &[f64]| PruningCurve {
            unpruned: 0.9,
            layers: accuracies
                .iter()
                .zip(2..)
                .map(|(&accuracy, layer)| PrunedAccuracy { layer, accuracy, accuracy_matrix_only: None })
                .collect(),
        };
        let rising = curve(&[0.3, 0.2, 0.897, 0.899, 0.9]);
        assert_eq!(first_close(&rising), Some(4));
        assert!(rise(&rising) > 0.8);
        assert_eq!(first_close(&curve(&[0.9, 0.9, 0.2])), None);
        // A single good layer among bad ones is not where pruning begins to work.
        assert_eq!(first_close(&curve(&[0.9, 0.2, 0.9])), Some(4));
    }
}
