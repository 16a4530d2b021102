//! The linear perceptron against normal equations solved by elimination, and against what characterises a
//! least-squares solution of minimum norm.

use crate::common::assert_close;
use crate::host::{self, Table};
use netdyn::Error;
use netdyn::analysis::{LinearMap, Options, PruningCurve, linear_maps, lp, perceptrons};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::Split;
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(
    matches_the_normal_equations,
    each_set_has_its_own_statistics,
    a_linear_network_is_its_own_perceptron,
    the_solution_has_minimum_norm,
    the_limit_bounds_the_fit,
    large_f32_matches_numpy,
);
on_cpu!(f64_matches_the_normal_equations, f64_linear_network, f64_solution_has_minimum_norm);

fn fitted<B: Backend, R: Real>(
    backend: &B,
    network: &Network,
    split: &Split,
    layers: &[usize],
    options: &Options,
) -> Vec<LinearMap> {
    let net = Net::<B, R>::new(backend, network).unwrap();
    perceptrons(&net, &Samples::new(backend, split).unwrap(), layers, options).unwrap()
}

fn curve<B: Backend, R: Real>(
    backend: &B,
    network: &Network,
    [fit, measure]: [&Split; 2],
    options: &Options,
) -> PruningCurve {
    let net = Net::<B, R>::new(backend, network).unwrap();
    let [fit, measure] = [fit, measure].map(|split| Samples::new(backend, split).unwrap());
    lp(&net, &fit, &measure, options).unwrap()
}

fn matches_the_normal_equations<B: Backend>(backend: &B) {
    solves_the_normal_equations::<B, f32>(backend, 1e-3);
}

fn f64_matches_the_normal_equations<B: Backend>(backend: &B) {
    solves_the_normal_equations::<B, f64>(backend, 1e-7);
}

fn solves_the_normal_equations<B: Backend, R: Real>(backend: &B, tol: f64) {
    let split = host::split(3, 90, 7, 4, 4);
    for (activation, norm, bn) in [
        (Activation::Tanh, false, BnMode::Eval),
        (Activation::Gaussian, false, BnMode::Batch),
        (Activation::Sigmoid, true, BnMode::Batch),
        (Activation::Gelu, true, BnMode::Eval),
    ] {
        let network = host::network(4, &host::spec(&[7, 6, 5, 4], activation, true, norm));
        let network = without_zero_gammas(network);
        let options = Options { bn, ..Options::default() };
        let pass = host::forward(&network, &split, bn);
        let maps = fitted::<B, R>(backend, &network, &split, &[2, 3], &options);
        for (x, map) in pass.x.iter().zip(&maps) {
            let want = eliminate(x, pass.logits());
            assert_close("matrix", &map.matrix, &want.matrix, tol, tol);
            assert_close("offset", &map.offset, &want.offset, tol, tol);
        }
        let got = curve::<B, R>(backend, &network, [&split, &split], &options);
        for (layer, map) in got.layers.iter().zip(&maps) {
            let outputs = apply(map, &pass.x[layer.layer - 2]);
            assert_eq!(layer.accuracy, host::accuracy(&outputs, &split.labels));
            assert_eq!(layer.accuracy_matrix_only, None);
        }
        assert_eq!(got.unpruned, host::accuracy(pass.logits(), &split.labels));
    }
}

fn each_set_has_its_own_statistics<B: Backend>(backend: &B) {
    let (fit, measure) = (host::split(13, 80, 7, 3, 3), host::split(14, 57, 7, 3, 3));
    let network =
        without_zero_gammas(host::network(15, &host::spec(&[7, 6, 5, 3], Activation::Tanh, true, true)));
    let options = Options { bn: BnMode::Batch, ..Options::default() };
    let maps = fitted::<B, f32>(backend, &network, &fit, &[2, 3], &options);
    let pass = host::forward(&network, &measure, BnMode::Batch);
    let got = curve::<B, f32>(backend, &network, [&fit, &measure], &options);
    for (layer, map) in got.layers.iter().zip(&maps) {
        let outputs = apply(map, &pass.x[layer.layer - 2]);
        assert_eq!(layer.accuracy, host::accuracy(&outputs, &measure.labels));
    }
}

fn a_linear_network_is_its_own_perceptron<B: Backend>(backend: &B) {
    // Rounding may turn one sample of the seventy.
    linear_network::<B, f32>(backend, 1e-4, 0.0143);
}

fn f64_linear_network<B: Backend>(backend: &B) {
    linear_network::<B, f64>(backend, 1e-9, 0.0);
}

fn linear_network<B: Backend, R: Real>(backend: &B, tol: f64, lost: f64) {
    let (fit, measure) = (host::split(23, 100, 6, 3, 3), host::split(24, 70, 6, 3, 3));
    let network = host::network(25, &host::spec(&[6, 8, 5, 3], Activation::Identity, true, true));
    let got = curve::<B, R>(backend, &network, [&fit, &measure], &Options::default());
    for layer in &got.layers {
        assert_close("accuracy", &[layer.accuracy], &[got.unpruned], 0.0, lost);
    }
    let from_input = &fitted::<B, R>(backend, &network, &fit, &[2], &Options::default())[0];
    let exact = &linear_maps(&network, &network.running)[0];
    assert_close("matrix", &from_input.matrix, &exact.matrix, tol, tol);
    assert_close("offset", &from_input.offset, &exact.offset, tol, tol);
}

fn the_solution_has_minimum_norm<B: Backend>(backend: &B) {
    has_minimum_norm::<B, f32>(backend, 1e-4);
}

fn f64_solution_has_minimum_norm<B: Backend>(backend: &B) {
    has_minimum_norm::<B, f64>(backend, 1e-9);
}

/// Pixels that are constant, equal or fewer than the samples can tell: many maps fit equally well.
fn has_minimum_norm<B: Backend, R: Real>(backend: &B, tol: f64) {
    let mut split = host::split(33, 30, 8, 3, 3);
    for image in split.images.chunks_mut(8) {
        image[2] = 77;
        image[5] = image[1];
    }
    let network = host::network(34, &host::spec(&[8, 6, 3], Activation::Tanh, true, false));
    let map = &fitted::<B, R>(backend, &network, &split, &[2], &Options::default())[0];
    let pass = host::forward(&network, &split, BnMode::Eval);
    for weights in map.matrix.chunks(8) {
        assert_close("constant pixel", &[weights[2]], &[0.0], 0.0, 1e-9);
        assert_close("equal pixels", &[weights[5]], &[weights[1]], 1e-9, 1e-9);
    }
    // The residual of a least-squares fit is orthogonal to the constant and to every feature.
    let fit = apply(map, &pass.x[0]).concat();
    let residual: Vec<f64> = fit.iter().zip(pass.logits().concat()).map(|(fit, logit)| fit - logit).collect();
    let along = |feature: &dyn Fn(usize) -> f64| -> Vec<f64> {
        (0..3).map(|k| (0..30).map(|row| residual[row * 3 + k] * feature(row)).sum()).collect()
    };
    assert_close("mean residual", &along(&|_| 1.0), &[0.0; 3], 0.0, tol);
    for feature in 0..8 {
        let along = along(&|row| pass.x[0][row][feature]);
        assert_close("residual along a feature", &along, &[0.0; 3], 0.0, 10.0 * tol);
    }

    // Fewer samples than features: the fit is exact, and lies in the span of the centred samples.
    let few = split.first(4);
    let map = &fitted::<B, R>(backend, &network, &few, &[2], &Options::default())[0];
    let pass = host::forward(&network, &few, BnMode::Eval);
    assert_close("exact fit", &apply(map, &pass.x[0]).concat(), &pass.logits().concat(), 0.0, tol);
    let mean = |j: usize| pass.x[0].iter().map(|row| row[j]).sum::<f64>() / 4.0;
    let mut span: Table = vec![];
    for row in &pass.x[0][..3] {
        let mut direction: Vec<f64> = (0..8).map(|j| row[j] - mean(j)).collect();
        remove(&mut direction, &span);
        let length = dot(&direction, &direction).sqrt();
        span.push(direction.iter().map(|d| d / length).collect());
    }
    for weights in map.matrix.chunks(8) {
        let mut rest = weights.to_vec();
        remove(&mut rest, &span);
        assert_close("outside the samples", &rest, &[0.0; 8], 0.0, tol);
    }
}

fn the_limit_bounds_the_fit<B: Backend>(backend: &B) {
    let (fit, measure) = (host::split(43, 60, 6, 3, 3), host::split(44, 50, 6, 3, 3));
    let network = host::network(45, &host::spec(&[6, 8, 5, 3], Activation::Relu, true, true));
    for bn in [BnMode::Eval, BnMode::Batch] {
        let all = Options { bn, ..Options::default() };
        let few = Options { limit: Some(20), layers: Some(vec![3]), ..all.clone() };
        let want = curve::<B, f32>(backend, &network, [&fit.first(20), &measure], &all);
        let got = curve::<B, f32>(backend, &network, [&fit, &measure], &few);
        assert_eq!(got, PruningCurve { unpruned: want.unpruned, layers: want.layers[1..].to_vec() });
    }
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &fit).unwrap();
    let wrong = Options { limit: Some(0), ..Options::default() };
    let error = lp(&net, &samples, &samples, &wrong).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}

/// f64 is judged in `reference_analyses`.
fn large_f32_matches_numpy<B: Backend>(backend: &B) {
    let stored = host::stored();
    for bn in [BnMode::Eval, BnMode::Batch] {
        let options = Options { bn, ..Options::default() };
        for (name, measure) in [("train", &stored.train), ("test", &stored.test)] {
            let want: Vec<f64> = stored.results["lp"][bn.name()]["layers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|layer| layer[name].as_f64().unwrap())
                .collect();
            let accuracies =
                |curve: PruningCurve| curve.layers.iter().map(|l| l.accuracy).collect::<Vec<_>>();
            let narrow = curve::<B, f32>(backend, &stored.network, [&stored.train, measure], &options);
            assert_close(name, &accuracies(narrow), &want, 0.0, 0.005);
        }
    }
}

/// A neuron with γ = 0 is constant, and the normal equations singular.
fn without_zero_gammas(mut network: Network) -> Network {
    for layer in network.layout().layers {
        layer.norm.iter().for_each(|norm| network.params[norm.gamma.start] = 0.7);
    }
    network
}

/// Least squares with a column of ones, by Gaussian elimination with pivoting.
fn eliminate(x: &Table, y: &Table) -> LinearMap {
    let (features, targets) = (x[0].len(), y[0].len());
    let size = features + 1;
    let with_one = |row: &Vec<f64>| [row.as_slice(), &[1.0]].concat();
    let mut system = vec![vec![0.0; size + targets]; size];
    for (x, y) in x.iter().zip(y) {
        let x = with_one(x);
        for i in 0..size {
            for (j, value) in x.iter().chain(y).enumerate() {
                system[i][j] += x[i] * value;
            }
        }
    }
    for i in 0..size {
        let pivot = (i..size).max_by(|a, b| system[*a][i].abs().total_cmp(&system[*b][i].abs())).unwrap();
        system.swap(i, pivot);
        for j in (0..size).filter(|j| *j != i) {
            let factor = system[j][i] / system[i][i];
            let pivot = system[i].clone();
            system[j].iter_mut().zip(&pivot).for_each(|(value, above)| *value -= factor * above);
        }
    }
    let solution = |i: usize, k: usize| system[i][size + k] / system[i][i];
    LinearMap {
        matrix: (0..targets)
            .flat_map(|k| (0..features).map(move |i| (i, k)))
            .map(|(i, k)| solution(i, k))
            .collect(),
        offset: (0..targets).map(|k| solution(features, k)).collect(),
    }
}

fn apply(map: &LinearMap, x: &Table) -> Table {
    let of = |x: &Vec<f64>| {
        map.matrix.chunks(x.len()).zip(&map.offset).map(|(row, offset)| dot(row, x) + offset).collect()
    };
    x.iter().map(of).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Takes away what lies along an orthonormal set, twice for accuracy.
fn remove(vector: &mut [f64], span: &Table) {
    for direction in span.iter().chain(span) {
        let along = dot(vector, direction);
        vector.iter_mut().zip(direction).for_each(|(v, d)| *v -= along * d);
    }
}
