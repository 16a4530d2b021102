//! 2-D projections and what is measured in them, by power iteration and by looking at every pair.

use crate::common::{assert_close, slow};
use netdyn::analysis::{Options, Projection, project, region_overlap, test_train_distance};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::{InputScale, Split};
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(f32_matches_the_definition, a_plane_needs_two_directions);
on_cpu!(f64_matches_the_definition);

/// The leading eigenvectors of WᵀW by power iteration and deflation.
fn axes(network: &Network) -> Vec<Vec<f64>> {
    let layer = network.spec.output_layer();
    let (rows, cols) = (network.spec.classes(), network.spec.widths[layer - 2]);
    let weight = network.weight(layer);
    let mut found: Vec<Vec<f64>> = vec![];
    for _ in 0..2 {
        let mut v: Vec<f64> = (0..cols).map(|i| 1.0 + (i as f64).sin()).collect();
        for _ in 0..20_000 {
            for u in &found {
                let along: f64 = u.iter().zip(&v).map(|(u, v)| u * v).sum();
                v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
            }
            let up: Vec<f64> =
                (0..rows).map(|r| (0..cols).map(|c| weight[r * cols + c] * v[c]).sum()).collect();
            v = (0..cols).map(|c| (0..rows).map(|r| weight[r * cols + c] * up[r]).sum()).collect();
            let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            v.iter_mut().for_each(|v| *v /= length);
        }
        let largest = v.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        found.push(v.iter().map(|v| v * largest.signum()).collect());
    }
    found
}

fn matches<B: Backend, R: Real>(backend: &B, widths: &[usize], bn: BnMode, tol: f64) {
    let network = slow::network(widths, Activation::Tanh, true, InputScale::Unit, 8);
    let split = slow::split(40, widths[0], 4, 2);
    let options = Options { bn, limit: Some(33), classes: Some(vec![3, 0]), ..Options::default() };
    let net = Net::<B, R>::new(backend, &network).unwrap();
    let got = project(&net, &network, &Samples::new(backend, &split).unwrap(), &options).unwrap();

    let first = split.first(33);
    let passed = slow::forward(&network, &network.params, &slow::inputs(&first, network.input), bn);
    let axes = axes(&network);
    let (mut coordinates, mut labels, mut predicted) = (vec![], vec![], vec![]);
    for (i, &label) in first.labels.iter().enumerate().filter(|(_, y)| [0, 3].contains(*y)) {
        let x = &passed.x.last().unwrap()[i];
        coordinates.extend(axes.iter().map(|v| v.iter().zip(x).map(|(v, x)| v * x).sum::<f64>()));
        labels.push(label);
        predicted.push(passed.predicted[i] as u8);
    }
    assert_eq!((&got.labels, &got.predicted), (&labels, &predicted));
    assert_close("coordinates", got.coordinates.as_flattened(), &coordinates, tol, tol);
}

fn f32_matches_the_definition<B: Backend>(backend: &B) {
    matches_with_and_without_hidden_layers::<B, f32>(backend, 1e-5);
}

fn f64_matches_the_definition<B: Backend>(backend: &B) {
    matches_with_and_without_hidden_layers::<B, f64>(backend, 1e-9);
}

fn matches_with_and_without_hidden_layers<B: Backend, R: Real>(backend: &B, tol: f64) {
    for bn in [BnMode::Eval, BnMode::Batch] {
        matches::<B, R>(backend, &[13, 9, 6, 4], bn, tol);
    }
    matches::<B, R>(backend, &[13, 4], BnMode::Eval, tol);
}

fn a_plane_needs_two_directions<B: Backend>(backend: &B) {
    let network = slow::network(&[13, 1, 4], Activation::Tanh, false, InputScale::Unit, 8);
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &slow::split(5, 13, 4, 2)).unwrap();
    let error = project(&net, &network, &samples, &Options::default()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
}

fn points(coordinates: &[[f64; 2]], labels: &[u8]) -> Projection {
    Projection { coordinates: coordinates.to_vec(), labels: labels.to_vec(), predicted: labels.to_vec() }
}

#[test]
fn overlap_of_known_points() {
    let train = points(&[[0.0, 0.0], [2.0, 0.0], [10.0, 0.0], [10.0, 4.0]], &[1, 1, 5, 5]);
    let test = points(&[[1.9, 0.1], [9.0, 0.0], [10.0, 2.0], [0.0, 0.0]], &[1, 1, 5, 7]);
    let got = region_overlap(&train, &test);
    assert_eq!(got.iter().map(|o| o.class).collect::<Vec<_>>(), [1, 5, 7]);
    assert_eq!(got.iter().map(|o| o.overlap).collect::<Vec<_>>(), [Some(0.5), Some(1.0), Some(0.0)]);
    // Class 1: centres (1, 0) and (5.45, 0.05), points 1 from their centre.
    let off = (4.45f64.powi(2) + 0.05f64.powi(2)).sqrt();
    assert_close("class 1", &[got[0].centre_distance.unwrap()], &[off], 1e-12, 0.0);
    assert_close("class 5", &[got[1].centre_distance.unwrap()], &[0.0], 0.0, 1e-12);
    assert!(got[2].centre_distance.is_none());
    // A test set without points of a class, and a class of one training point.
    let got = region_overlap(&points(&[[0.0, 0.0]], &[2]), &points(&[], &[]));
    assert!(got.len() == 1 && got[0].overlap.is_none() && got[0].centre_distance.is_none());
}

#[test]
fn distance_to_the_nearest_of_the_class() {
    let train = slow::split(50, 5000, 4, 1);
    for tests in [1, 8, 9] {
        let test = slow::split(tests, 5000, 4, 2);
        let pixels = |s: &Split, i: usize| -> Vec<f64> {
            s.images[i * 5000..][..5000].iter().map(|&b| f64::from(b) / 255.0).collect()
        };
        let rms = |i, j| {
            let (a, b) = (pixels(&test, i), pixels(&train, j));
            (a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / 5000.0).sqrt()
        };
        let mut nearest: Vec<f64> = (0..tests)
            .map(|i| {
                let own = (0..50).filter(|&j| train.labels[j] == test.labels[i]);
                own.map(|j| rms(i, j)).fold(f64::INFINITY, f64::min)
            })
            .collect();
        nearest.sort_by(f64::total_cmp);
        let want = (nearest[(tests - 1) / 2] + nearest[tests / 2]) / 2.0;
        assert_close("median", &[test_train_distance(&train, &test).unwrap()], &[want], 1e-12, 0.0);
    }
    assert!(test_train_distance(&train, &train.first(0)).is_none());
    assert!(test_train_distance(&train.first(0), &train).is_none());
}
