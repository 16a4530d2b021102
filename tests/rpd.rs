//! Rank distributions against their definition: every sample of every neuron compared with every other.

use crate::common::assert_close;
use crate::host::{self, Pass};
use netdyn::Error;
use netdyn::analysis::{Detail, LayerRpd, Options, Rpd, rpd};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::{InputScale, Split};
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(
    f32_matches_the_definition,
    gradient_is_the_rank_statistic,
    options_choose_samples_and_layers,
    a_network_without_hidden_layers_has_none,
);
on_cpu!(ties_share_their_interval, f64_matches_the_definition, f64_ties_are_those_of_f32, f32_is_near_f64);

fn run<B: Backend, R: Real>(backend: &B, network: &Network, split: &Split, options: &Options) -> Rpd {
    let net = Net::<B, R>::new(backend, network).unwrap();
    rpd(&net, network, &Samples::new(backend, split).unwrap(), options).unwrap()
}

fn options(bn: BnMode, bins: usize) -> Options {
    let detail = Detail { per_neuron: true, ..Detail::default() };
    Options { bn, bins, detail, ..Options::default() }
}

/// Fields closer than this share of the largest may change places when they are rounded to f32.
const ROUNDING: f64 = 1e-5;

fn f64_matches_the_definition<B: Backend>(backend: &B) {
    matches_the_definition::<B, f64>(backend, 0.0);
}

fn f32_matches_the_definition<B: Backend>(backend: &B) {
    matches_the_definition::<B, f32>(backend, ROUNDING);
}

fn matches_the_definition<B: Backend, R: Real>(backend: &B, rounding: f64) {
    use Activation::*;
    let split = host::split(5, 61, 9, 3, 4); // class 3 has no sample, and 61 is prime
    let (mut layers, mut exact) = (0, 0);
    for (seed, activation) in
        [Relu, Tanh, Identity, Gaussian, LeakyRelu, Sigmoid, Gelu].into_iter().enumerate()
    {
        for (norm, bias, bn) in [
            (true, false, BnMode::Eval),
            (true, true, BnMode::Batch),
            (false, true, BnMode::Eval),
            (false, false, BnMode::Batch),
        ] {
            let network = host::network(seed as u64, &host::spec(&[9, 7, 6, 5, 4], activation, bias, norm));
            let got = run::<B, R>(backend, &network, &split, &options(bn, 7));
            let pass = host::forward(&network, &split, bn);
            assert_eq!(got.layers.iter().map(|l| l.layer).collect::<Vec<_>>(), [2, 3, 4]);
            for layer in &got.layers {
                layers += 1;
                exact += usize::from(check(layer, &network, &pass, &split.labels, 7, rounding));
            }
        }
    }
    assert!(2 * exact > layers, "only {exact} of {layers} layers could be judged");
}

/// A layer against the definition; integers as fields and zeros in the map included.
///
/// Only neurons whose fields lie at least `rounding` times the largest apart are judged, and sums over neurons only
/// if all are; answers whether they are.
fn check(got: &LayerRpd, network: &Network, pass: &Pass, labels: &[u8], bins: usize, rounding: f64) -> bool {
    let matrix = host::matrix(network, &pass.statistics, got.layer);
    let (neurons, classes) = (network.spec.widths[got.layer - 1], network.spec.classes());
    let fields = |i: usize| pass.h[got.layer - 2].iter().map(move |h| h[i]);
    let judged: Vec<bool> = (0..neurons).map(|i| apart(fields(i).collect(), rounding)).collect();
    let mut of_class = vec![vec![0.0; bins]; classes];
    let mut present = vec![false; classes];
    for k in 0..classes {
        present[k] = labels.contains(&(k as u8));
        for i in 0..neurons {
            let sign = if matrix[k][i] == 0.0 { 0.0 } else { matrix[k][i].signum() };
            let keys: Vec<f64> = fields(i).map(|h| h * sign).collect();
            let density = density(&keys, labels, k, bins);
            of_class[k].iter_mut().zip(&density).for_each(|(sum, d)| *sum += d / neurons as f64);
            let of_neuron = got.neuron_gradient.as_ref().unwrap()[i][k];
            assert_eq!(of_neuron.is_some(), present[k]);
            if judged[i] {
                let want = slope_down(&density);
                assert_close("neuron gradient", &[of_neuron.unwrap_or(0.0)], &[want], 0.0, 1e-11);
            }
        }
    }
    let all = judged.iter().all(|judged| *judged);
    let count = present.iter().filter(|p| **p).count() as f64;
    let mean: Vec<f64> = (0..bins).map(|b| of_class.iter().map(|d| d[b]).sum::<f64>() / count).collect();
    assert_eq!(got.neurons, neurons);
    assert_eq!(got.zero_signs, matrix.iter().flatten().filter(|m| **m == 0.0).count());
    // A sample that changes places with its neighbour moves the mean rank of its class by 1/P/P(k).
    assert_close("gradient", &[got.gradient], &[slope_down(&mean)], 0.0, if all { 1e-11 } else { 0.02 });
    assert!(got.class_density.iter().map(Option::is_some).eq(present.iter().copied()));
    assert!(got.class_gradient.iter().map(Option::is_some).eq(present.iter().copied()));
    if all {
        assert_close("density", &got.density, &mean, 0.0, 1e-11);
        for k in (0..classes).filter(|k| present[*k]) {
            assert_close("class density", got.class_density[k].as_ref().unwrap(), &of_class[k], 0.0, 1e-11);
            assert_close("class", &[got.class_gradient[k].unwrap()], &[slope_down(&of_class[k])], 0.0, 1e-11);
        }
    }
    all
}

/// Whether any two fields are equal or at least `share` of the largest apart.
fn apart(mut fields: Vec<f64>, share: f64) -> bool {
    fields.sort_by(f64::total_cmp);
    let largest = fields.iter().fold(0.0, |largest: f64, h| largest.max(h.abs()));
    fields.windows(2).all(|pair| pair[0] == pair[1] || pair[1] - pair[0] >= share * largest)
}

/// The density of class k over descending ranks; zeros if it has no sample.
fn density(keys: &[f64], labels: &[u8], k: usize, bins: usize) -> Vec<f64> {
    let (samples, mut mass, mut count) = (keys.len() as f64, vec![0.0; bins], 0.0);
    for (key, _) in keys.iter().zip(labels).filter(|(_, label)| usize::from(**label) == k) {
        let above = keys.iter().filter(|other| *other > key).count() as f64;
        let equal = keys.iter().filter(|other| *other == key).count() as f64;
        let (low, high) = (above / samples, (above + equal) / samples);
        for (b, mass) in mass.iter_mut().enumerate() {
            let (left, right) = (b as f64 / bins as f64, (b + 1) as f64 / bins as f64);
            *mass += (high.min(right) - low.max(left)).max(0.0) / (high - low);
        }
        count += 1.0;
    }
    mass.iter().map(|m| if count > 0.0 { m * bins as f64 / count } else { 0.0 }).collect()
}

fn slope_down(density: &[f64]) -> f64 {
    let bins = density.len() as f64;
    let centre = |b: usize| (b as f64 + 0.5) / bins;
    let mean = density.iter().sum::<f64>() / bins;
    let product: f64 = density.iter().enumerate().map(|(b, d)| (centre(b) - 0.5) * (d - mean)).sum();
    let square: f64 = (0..density.len()).map(|b| (centre(b) - 0.5).powi(2)).sum();
    -product / square
}

/// Black and white pixels and small integers as weights: every field is an exact integer, most are tied.
fn tied() -> (Network, Split) {
    let mut split = host::split(8, 53, 6, 4, 4);
    split.images.iter_mut().for_each(|pixel| *pixel = if *pixel > 127 { 255 } else { 0 });
    let mut network = host::network(4, &host::spec(&[6, 5, 5, 4], Activation::Relu, true, false));
    network.input = InputScale::Unit;
    network.params.iter_mut().for_each(|p| *p = (*p * 2.0).round());
    (network, split)
}

/// On the CPU, whose fields of this network are whole numbers; `rank_mass` shares intervals on every backend.
fn ties_share_their_interval<B: Backend>(backend: &B) {
    let (network, split) = tied();
    for bins in [2, 5, 53, 100] {
        let pass = host::forward(&network, &split, BnMode::Eval);
        assert!(pass.h.iter().flatten().flatten().all(|h| h.fract() == 0.0));
        let got = run::<B, f32>(backend, &network, &split, &options(BnMode::Eval, bins));
        assert!(got.layers.iter().any(|layer| layer.zero_signs > 0));
        for layer in &got.layers {
            assert!(check(layer, &network, &pass, &split.labels, bins, 0.0));
        }
    }
}

fn f64_ties_are_those_of_f32<B: Backend>(backend: &B) {
    let (network, split) = tied();
    let options = options(BnMode::Eval, 53);
    let narrow = run::<B, f32>(backend, &network, &split, &options);
    assert_eq!(run::<B, f64>(backend, &network, &split, &options), narrow);
}

/// With one bin per rank the gradient of a neuron is exactly 6 (2 AUC − 1)(1 − π)/(1 − 1/B²).
fn gradient_is_the_rank_statistic<B: Backend>(backend: &B) {
    let split = host::split(15, 50, 9, 3, 3);
    let network = host::network(16, &host::spec(&[9, 6, 3], Activation::Tanh, true, false));
    let got = run::<B, f32>(backend, &network, &split, &options(BnMode::Eval, 50));
    let pass = host::forward(&network, &split, BnMode::Eval);
    let matrix = host::matrix(&network, &pass.statistics, 2);
    let judged: Vec<usize> =
        (0..6).filter(|&i| apart(pass.h[0].iter().map(|h| h[i]).collect(), ROUNDING)).collect();
    assert!(judged.len() >= 4, "only {judged:?} can be judged");
    for i in judged {
        for (k, map) in matrix.iter().enumerate() {
            let key = |row: &Vec<f64>| row[i] * map[i].signum();
            let of = |inside: bool| {
                let pairs = pass.h[0].iter().zip(&split.labels);
                pairs.filter(move |(_, y)| (usize::from(**y) == k) == inside).map(|(row, _)| key(row))
            };
            let wins: usize = of(true).map(|own| of(false).filter(|other| own > *other).count()).sum();
            let (own, rest) = (of(true).count() as f64, of(false).count() as f64);
            let auc = wins as f64 / (own * rest);
            let want = 6.0 * (2.0 * auc - 1.0) * (rest / 50.0) / (1.0 - 1.0 / 2500.0);
            let got = got.layers[0].neuron_gradient.as_ref().unwrap()[i][k].unwrap();
            assert_close("gradient", &[got], &[want], 0.0, 1e-11);
        }
    }
}

fn f32_is_near_f64<B: Backend>(backend: &B) {
    let split = host::split(21, 300, 12, 5, 5);
    let network = host::network(22, &host::spec(&[12, 20, 15, 5], Activation::Relu, false, true));
    for bn in [BnMode::Eval, BnMode::Batch] {
        let narrow = run::<B, f32>(backend, &network, &split, &options(bn, 100));
        let wide = run::<B, f64>(backend, &network, &split, &options(bn, 100));
        for (narrow, wide) in narrow.layers.iter().zip(&wide.layers) {
            assert_close("gradient", &[narrow.gradient], &[wide.gradient], 0.0, 1e-3);
            assert_eq!(narrow.zero_signs, wide.zero_signs);
        }
    }
}

fn options_choose_samples_and_layers<B: Backend>(backend: &B) {
    let split = host::split(31, 40, 6, 3, 3);
    let network = host::network(32, &host::spec(&[6, 5, 4, 4, 3], Activation::Tanh, true, true));
    let all = Options { bins: 10, ..Options::default() };
    let few = Options { limit: Some(23), layers: Some(vec![4, 2]), ..all.clone() };
    let want = run::<B, f32>(backend, &network, &split.first(23), &all);
    let got = run::<B, f32>(backend, &network, &split, &few);
    assert_eq!(got.layers, [want.layers[0].clone(), want.layers[2].clone()]);
    assert!(got.layers[0].neuron_gradient.is_none());

    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &split).unwrap();
    for wrong in [
        Options { layers: Some(vec![5]), ..all.clone() },
        Options { layers: Some(vec![1]), ..all.clone() },
        Options { limit: Some(0), ..all.clone() },
        Options { bins: 1, ..all.clone() },
    ] {
        let error = rpd(&net, &network, &samples, &wrong).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
}

fn a_network_without_hidden_layers_has_none<B: Backend>(backend: &B) {
    let network = host::network(1, &host::spec(&[6, 3], Activation::Relu, true, false));
    let got = run::<B, f32>(backend, &network, &host::split(2, 9, 6, 3, 3), &Options::default());
    assert_eq!(serde_json::to_string(&got).unwrap(), r#"{"bins":100,"layers":[]}"#);
}
