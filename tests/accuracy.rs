//! Accuracy and losses against numpy.

use crate::common::assert_close;
use crate::host;
use netdyn::Error;
use netdyn::analysis::{Options, accuracy};
use netdyn::backend::{Activation, Backend};
use netdyn::data::Which;
use netdyn::model::{BnMode, Net, Samples};

on_each_backend!(f32_matches_numpy, absent_classes_are_null, no_samples_are_refused);

/// f64 is judged in `reference_analyses`.
fn f32_matches_numpy<B: Backend>(backend: &B) {
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
    let net = Net::<B, f64>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &host::split(2, 20, 6, 2, 4)).unwrap();
    let got = accuracy(&net, &samples, Which::Test, &Options::default()).unwrap();
    assert!(got.per_class[..2].iter().all(Option::is_some));
    assert_eq!(got.per_class[2..], [None, None]);
}

fn no_samples_are_refused<B: Backend>(backend: &B) {
    let network = host::network(1, &host::spec(&[6, 5, 4], Activation::Tanh, true, false));
    let net = Net::<B, f64>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &host::split(2, 20, 6, 2, 4)).unwrap();
    let options = Options { limit: Some(0), ..Options::default() };
    let error = accuracy(&net, &samples, Which::Test, &options).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}
