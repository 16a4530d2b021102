//! L-maps against unit vectors and samples sent through the linearised layers one by one.

use crate::common::assert_close;
use crate::host;
use netdyn::Error;
use netdyn::analysis::{Options, PruningCurve, linear_maps, lmap};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::Split;
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(
    f32_matches_the_definition,
    identity_activations_lose_nothing,
    steep_maps_stay_in_range,
    options_choose_samples_and_layers,
    a_network_without_hidden_layers_has_no_curve,
    large_f32_matches_numpy,
);
on_cpu!(f64_matches_the_definition, f64_identity_activations_lose_nothing, f64_steep_maps_stay_in_range);

const KINDS: [(bool, bool, BnMode); 5] = [
    (true, false, BnMode::Eval),
    (true, true, BnMode::Batch),
    (true, true, BnMode::Eval),
    (false, true, BnMode::Eval),
    (false, false, BnMode::Batch),
];

fn run<B: Backend, R: Real>(
    backend: &B,
    network: &Network,
    split: &Split,
    options: &Options,
) -> PruningCurve {
    let net = Net::<B, R>::new(backend, network).unwrap();
    lmap(&net, network, &Samples::new(backend, split).unwrap(), options).unwrap()
}

#[test]
fn maps_are_the_logits_of_unit_vectors() {
    for (seed, (norm, bias, _)) in KINDS.into_iter().enumerate() {
        let network = host::network(seed as u64, &host::spec(&[5, 7, 4, 6, 3], Activation::Tanh, bias, norm));
        let maps = linear_maps(&network, &network.running);
        assert_eq!(maps.len(), 4);
        for (l, map) in (1..).zip(&maps) {
            let matrix = host::matrix(&network, &network.running, l).concat();
            let zero = vec![0.0; network.spec.widths[l - 1]];
            let offset = host::linearised(&network, &network.running, l, &zero);
            assert_close("matrix", &map.matrix, &matrix, 1e-12, 1e-12);
            assert_close("offset", &map.offset, &offset, 1e-12, 1e-12);
        }
        assert_eq!(maps[3].matrix, network.weight(5));
    }
}

fn f32_matches_the_definition<B: Backend>(backend: &B) {
    // Rounding may turn one sample of the two hundred.
    curve_matches_the_definition::<B, f32>(backend, 0.0051);
}

fn f64_matches_the_definition<B: Backend>(backend: &B) {
    curve_matches_the_definition::<B, f64>(backend, 1e-12);
}

fn curve_matches_the_definition<B: Backend, R: Real>(backend: &B, tol: f64) {
    use Activation::*;
    let split = host::split(5, 200, 9, 4, 4);
    let activations = [Relu, Tanh, Identity, Gaussian, LeakyRelu, Sigmoid, Gelu];
    for (seed, activation) in activations.into_iter().enumerate() {
        for (norm, bias, bn) in KINDS {
            let network = host::network(seed as u64, &host::spec(&[9, 8, 7, 6, 4], activation, bias, norm));
            let pass = host::forward(&network, &split, bn);
            let (bare, bare_statistics) = host::without_shifts(&network, &pass.statistics);
            let options = Options { bn, ..Options::default() };
            let curve = run::<B, R>(backend, &network, &split, &options);
            let close = |what, got: f64, logits: &host::Table| {
                assert_close(what, &[got], &[host::accuracy(logits, &split.labels)], 0.0, tol);
            };
            close("unpruned", curve.unpruned, pass.logits());
            assert_eq!(curve.layers.iter().map(|l| l.layer).collect::<Vec<_>>(), [2, 3, 4]);
            for pruned in &curve.layers {
                let l = pruned.layer - 1;
                let through = |network: &Network, statistics: &[f64]| -> host::Table {
                    pass.x[l - 1].iter().map(|x| host::linearised(network, statistics, l, x)).collect()
                };
                close("accuracy", pruned.accuracy, &through(&network, &pass.statistics));
                let bare_accuracy = pruned.accuracy_matrix_only.unwrap();
                close("matrix only", bare_accuracy, &through(&bare, &bare_statistics));
            }
        }
    }
}

fn identity_activations_lose_nothing<B: Backend>(backend: &B) {
    // Rounding may turn one sample of the hundred and fifty.
    linear_networks_lose_nothing::<B, f32>(backend, 0.0067);
}

fn f64_identity_activations_lose_nothing<B: Backend>(backend: &B) {
    linear_networks_lose_nothing::<B, f64>(backend, 0.0);
}

/// A linear network is its own L-map from every layer on.
fn linear_networks_lose_nothing<B: Backend, R: Real>(backend: &B, tol: f64) {
    let split = host::split(9, 150, 8, 4, 4);
    for (norm, bias, bn) in KINDS {
        let network = host::network(10, &host::spec(&[8, 7, 9, 6, 4], Activation::Identity, bias, norm));
        let curve = run::<B, R>(backend, &network, &split, &Options { bn, ..Options::default() });
        for layer in &curve.layers {
            assert_close("accuracy", &[layer.accuracy], &[curve.unpruned], 0.0, tol);
        }
    }
}

fn steep_maps_stay_in_range<B: Backend>(backend: &B) {
    steep_maps::<B, f32>(backend);
}

fn f64_steep_maps_stay_in_range<B: Backend>(backend: &B) {
    steep_maps::<B, f64>(backend);
}

/// Dead neurons make D as large as γ/√ε; the products leave f32's range long before f64's.
fn steep_maps<B: Backend, R: Real>(backend: &B) {
    let split = host::split(11, 120, 6, 3, 3);
    let mut network = host::network(12, &host::spec(&[6, 8, 8, 8, 8, 8, 3], Activation::Tanh, false, true));
    for layer in network.layout().layers {
        if let Some((norm, [_, var])) = layer.norm.zip(layer.stats) {
            network.params[norm.gamma.range()].iter_mut().for_each(|gamma| *gamma *= 1e7);
            network.running[var.range()].fill(0.0);
        }
    }
    let steepest =
        linear_maps(&network, &network.running)[0].matrix.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    assert!(steepest > f64::from(f32::MAX));
    let pass = host::forward(&network, &split, BnMode::Eval);
    let curve = run::<B, R>(backend, &network, &split, &Options::default());
    for layer in &curve.layers {
        let l = layer.layer - 1;
        let logits = pass.x[l - 1].iter().map(|x| host::linearised(&network, &network.running, l, x));
        let want = host::accuracy(&logits.collect::<host::Table>(), &split.labels);
        assert_close("accuracy", &[layer.accuracy], &[want], 0.0, 0.01);
    }
}

fn options_choose_samples_and_layers<B: Backend>(backend: &B) {
    let split = host::split(31, 40, 6, 3, 3);
    let network = host::network(32, &host::spec(&[6, 5, 4, 4, 3], Activation::Tanh, true, true));
    for bn in [BnMode::Eval, BnMode::Batch] {
        let all = Options { bn, ..Options::default() };
        let few = Options { limit: Some(23), layers: Some(vec![4, 3]), ..all.clone() };
        let want = run::<B, f32>(backend, &network, &split.first(23), &all);
        let got = run::<B, f32>(backend, &network, &split, &few);
        assert_eq!(got, PruningCurve { unpruned: want.unpruned, layers: want.layers[1..].to_vec() });
    }
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &split).unwrap();
    let wrong = Options { layers: Some(vec![5]), ..Options::default() };
    let error = lmap(&net, &network, &samples, &wrong).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}

fn a_network_without_hidden_layers_has_no_curve<B: Backend>(backend: &B) {
    let network = host::network(1, &host::spec(&[6, 3], Activation::Relu, true, false));
    let curve = run::<B, f32>(backend, &network, &host::split(2, 9, 6, 3, 3), &Options::default());
    assert_eq!(curve.layers, []);
}

/// f64 is judged in `reference_analyses`.
fn large_f32_matches_numpy<B: Backend>(backend: &B) {
    let stored = host::stored();
    for bn in [BnMode::Eval, BnMode::Batch] {
        for (name, split) in [("train", &stored.train), ("test", &stored.test)] {
            let curve = run::<B, f32>(backend, &stored.network, split, &Options { bn, ..Options::default() });
            let want = &stored.results["lmap"][bn.name()][name];
            assert_close(name, &[curve.unpruned], &host::numbers(&want["unpruned"]), 0.0, 1e-5);
            for (layer, want) in curve.layers.iter().zip(want["layers"].as_array().unwrap()) {
                let got = [layer.accuracy, layer.accuracy_matrix_only.unwrap()];
                let want = [&want["accuracy"], &want["accuracy_matrix_only"]].map(|v| v.as_f64().unwrap());
                assert_close(name, &got, &want, 0.0, 1e-5);
            }
        }
    }
}
