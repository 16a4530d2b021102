//! Accuracy and losses against numpy.

use crate::common::assert_close;
use crate::host;
use netdyn::Error;
use netdyn::analysis::{Options, accuracy};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::Which;
use netdyn::model::{BnMode, Net, Samples};

on_each_backend!(
    f32_matches_the_definition,
    large_f32_matches_numpy,
    absent_classes_are_null,
    no_samples_are_refused
);
on_cpu!(f64_matches_the_definition);

fn f32_matches_the_definition<B: Backend>(backend: &B) {
    matches_the_definition::<B, f32>(backend, 1e-5);
}

fn f64_matches_the_definition<B: Backend>(backend: &B) {
    matches_the_definition::<B, f64>(backend, 1e-12);
}

fn matches_the_definition<B: Backend, R: Real>(backend: &B, tol: f64) {
    let split = host::split(3, 150, 13, 4, 4);
    for (activation, bn) in [(Activation::Relu, BnMode::Eval), (Activation::Sigmoid, BnMode::Batch)] {
        let network = host::network(5, &host::spec(&[13, 9, 6, 4], activation, true, true));
        let net = Net::<B, R>::new(backend, &network).unwrap();
        let samples = Samples::new(backend, &split).unwrap();
        let options = Options { bn, limit: Some(131), ..Options::default() };
        let got = accuracy(&net, &samples, Which::Train, &options).unwrap();

        let split = split.first(131);
        let pass = host::forward(&network, &split, bn);
        let (mut loss, mut mse) = (0.0, 0.0);
        for (logits, &label) in pass.logits().iter().zip(&split.labels) {
            let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
            loss += sum.ln() - logits[usize::from(label)];
            for (k, logit) in logits.iter().enumerate() {
                mse += (logit - f64::from(k == usize::from(label))).powi(2);
            }
        }
        assert_close("losses", &[got.loss, got.mse], &[loss / 131.0, mse / 524.0], tol, tol);
        assert_eq!((got.train, got.test), (Some(host::accuracy(pass.logits(), &split.labels)), None));
        for (k, share) in got.per_class.iter().enumerate() {
            let own = pass.logits().iter().zip(&split.labels).filter(|(_, y)| usize::from(**y) == k);
            let right = own.clone().filter(|(logits, _)| host::argmax(logits) == k).count();
            assert_close("class", &[share.unwrap()], &[right as f64 / own.count() as f64], 1e-14, 0.0);
        }
    }
}

/// f64 is judged in `reference_analyses`.
fn large_f32_matches_numpy<B: Backend>(backend: &B) {
    let stored = host::stored();
    let net = Net::<B, f32>::new(backend, &stored.network).unwrap();
    for bn in [BnMode::Eval, BnMode::Batch] {
        for (which, split) in [(Which::Train, &stored.train), (Which::Test, &stored.test)] {
            let samples = Samples::new(backend, split).unwrap();
            let got = accuracy(&net, &samples, which, &Options { bn, ..Options::default() }).unwrap();
            let got = serde_json::to_value(got).unwrap();
            let want = &stored.results["accuracy"][bn.name()][which.to_string()];
            assert_eq!(got.as_object().unwrap().len(), 4); // the other split is not there
            for (key, other) in [
                (&*which.to_string(), "accuracy"),
                ("loss", "loss"),
                ("mse", "mse"),
                ("per_class", "per_class"),
            ] {
                assert_close(key, &host::numbers(&got[key]), &host::numbers(&want[other]), 0.0, 1e-5);
            }
        }
    }
}

fn absent_classes_are_null<B: Backend>(backend: &B) {
    let network = host::network(1, &host::spec(&[6, 5, 4], Activation::Tanh, true, false));
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &host::split(2, 20, 6, 2, 4)).unwrap();
    let got = accuracy(&net, &samples, Which::Test, &Options::default()).unwrap();
    assert!(got.per_class[..2].iter().all(Option::is_some));
    assert_eq!(got.per_class[2..], [None, None]);
}

fn no_samples_are_refused<B: Backend>(backend: &B) {
    let network = host::network(1, &host::spec(&[6, 5, 4], Activation::Tanh, true, false));
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &host::split(2, 20, 6, 2, 4)).unwrap();
    let options = Options { limit: Some(0), ..Options::default() };
    let error = accuracy(&net, &samples, Which::Test, &options).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}
