//! Pruned networks against the linearised one, and the choice of the layer.

use crate::common::assert_close;
use crate::host;
use netdyn::Error;
use netdyn::analysis::{Method, Options, PruneFrom, Pruned, linear_maps, lmap, lp, perceptrons, prune};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::Split;
use netdyn::model::{BnMode, Net, Network, Samples};

on_each_backend!(
    the_small_network_is_the_linearised_one,
    a_perceptron_can_replace_the_end,
    large_network_loses_its_end_from_the_earliest_good_layer,
    a_linear_network_loses_all_hidden_layers,
    refusals,
);
on_cpu!(f64_small_network_is_the_linearised_one);

fn run<B: Backend, R: Real>(
    backend: &B,
    network: &Network,
    split: &Split,
    from: PruneFrom,
    options: &Options,
) -> Result<Pruned, Error> {
    let net = Net::<B, R>::new(backend, network)?;
    let samples = Samples::new(backend, split)?;
    prune(&net, network, Method::Lmap, from, &samples, options)
}

fn the_small_network_is_the_linearised_one<B: Backend>(backend: &B) {
    // Rounding may turn one sample of the sixty-four.
    small_network_is_linearised::<B, f32>(backend, 1e-5, 0.016);
}

fn f64_small_network_is_the_linearised_one<B: Backend>(backend: &B) {
    small_network_is_linearised::<B, f64>(backend, 1e-9, 0.0);
}

fn small_network_is_linearised<B: Backend, R: Real>(backend: &B, tol: f64, turned: f64) {
    let split = host::split(5, 64, 7, 3, 3);
    for (bias, norm, bn) in [
        (true, true, BnMode::Eval),
        (false, true, BnMode::Batch),
        (true, false, BnMode::Eval),
        (false, false, BnMode::Eval),
    ] {
        let network = host::network(6, &host::spec(&[7, 6, 5, 4, 3], Activation::Tanh, bias, norm));
        let pass = host::forward(&network, &split, bn);
        for from in 2..=4 {
            let options = Options { bn, ..Options::default() };
            let Pruned { network: small, summary } =
                run::<B, R>(backend, &network, &split, PruneFrom::Layer(from), &options).unwrap();
            assert_eq!(small.spec.widths, [&[7, 6, 5, 4][..from - 1], &[3]].concat());
            assert_eq!(small.spec.norm.len(), from - 1);
            let layout = small.layout();
            assert_eq!((small.params.len(), small.running.len()), (layout.params, layout.stats));
            let want: host::Table = pass.x[from - 2]
                .iter()
                .map(|x| host::linearised(&network, &pass.statistics, from - 1, x))
                .collect();
            let got = host::forward(&small, &split, bn);
            // The linear layer is rounded to f32.
            assert_close("logits", &got.logits().concat(), &want.concat(), 1e-4, 1e-4);
            let maps = linear_maps(&network, &pass.statistics);
            assert_close("layer", small.weight(from), &maps[from - 2].matrix, 1e-6 + tol, tol);
            assert!(small.weight(from).iter().all(|w| *w == f64::from(*w as f32)));

            assert_eq!(summary.from, from);
            let accuracies =
                [pass.logits(), got.logits()].map(|logits| host::accuracy(logits, &split.labels));
            let told = [summary.before.accuracy, summary.after.accuracy];
            assert_close("accuracy", &told, &accuracies, 0.0, turned);
            assert_eq!(
                (summary.before.parameters, summary.after.parameters),
                (network.params.len(), layout.params)
            );
            assert!(summary.before.seconds_per_sample > 0.0 && summary.after.seconds_per_sample > 0.0);
            assert_eq!((small.input, small.step), (network.input, network.step));
        }
    }
}

fn a_perceptron_can_replace_the_end<B: Backend>(backend: &B) {
    let (fit, measure) = (host::split(15, 80, 7, 3, 3), host::split(16, 50, 7, 3, 3));
    let network = host::network(17, &host::spec(&[7, 6, 5, 3], Activation::Relu, true, true));
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let [fit, samples] = [&fit, &measure].map(|split| Samples::new(backend, split).unwrap());
    let options = Options { limit: Some(60), ..Options::default() };
    let method = Method::Lp { fit: &fit };
    let got = prune(&net, &network, method, PruneFrom::Layer(3), &samples, &options).unwrap();
    let map = &perceptrons(&net, &fit, &[3], &options).unwrap()[0];
    assert_close("weights", got.network.weight(3), &map.matrix, 1e-6, 1e-9);
    let curve = lp(&net, &fit, &samples, &options).unwrap();
    assert_close("accuracy", &[got.summary.after.accuracy], &[curve.layers[1].accuracy], 0.0, 1e-9);
}

fn large_network_loses_its_end_from_the_earliest_good_layer<B: Backend>(backend: &B) {
    let stored = host::stored();
    let net = Net::<B, f32>::new(backend, &stored.network).unwrap();
    let samples = Samples::new(backend, &stored.test).unwrap();
    let options = Options::default();
    let curve = lmap(&net, &stored.network, &samples, &options).unwrap();
    for layer in &curve.layers {
        let loss = curve.unpruned - layer.accuracy;
        let first = curve.layers.iter().find(|other| curve.unpruned - other.accuracy <= loss + 1e-9).unwrap();
        let got =
            prune(&net, &stored.network, Method::Lmap, PruneFrom::Loss(loss), &samples, &options).unwrap();
        assert_eq!(got.summary.from, first.layer);
        assert_close("accuracy", &[got.summary.after.accuracy], &[first.accuracy], 0.0, 1e-9);
    }
}

fn a_linear_network_loses_all_hidden_layers<B: Backend>(backend: &B) {
    let split = host::split(25, 40, 7, 3, 3);
    let network = host::network(26, &host::spec(&[7, 6, 5, 3], Activation::Identity, true, true));
    // Rounding may turn one sample of the forty.
    let got = run::<B, f32>(backend, &network, &split, PruneFrom::Loss(0.026), &Options::default()).unwrap();
    assert_eq!(got.network.spec.shape(), "7-3");
}

fn refusals<B: Backend>(backend: &B) {
    let split = host::split(35, 40, 7, 3, 3);
    let network = host::network(36, &host::spec(&[7, 6, 5, 3], Activation::Gaussian, true, false));
    let options = Options::default();
    for from in [0, 1, 4, 9] {
        let error = run::<B, f32>(backend, &network, &split, PruneFrom::Layer(from), &options).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
    // Nothing gains a whole unit of accuracy.
    let error = run::<B, f32>(backend, &network, &split, PruneFrom::Loss(-1.1), &options).unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error}");
    assert!(error.to_string().contains("--max-loss"), "{error}");
    let flat = host::network(37, &host::spec(&[7, 3], Activation::Tanh, true, false));
    let error = run::<B, f32>(backend, &flat, &split, PruneFrom::Loss(0.1), &options).unwrap_err();
    assert!(matches!(error, Error::Failed(_)), "{error}");
}
