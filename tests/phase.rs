//! The rule for learning phases, branch by branch.

use crate::common::assert_close;
use crate::host;
use netdyn::analysis::{LearningPhase, Options, Phase, learning_phase, phase};
use netdyn::backend::{Backend, Real};
use netdyn::model::{BnMode, Net, Samples};

on_each_backend!(f32_judges_a_network_by_all_its_layers);
on_cpu!(f64_judges_a_network_by_all_its_layers);

#[test]
fn every_branch() {
    let cases: [(&[f64], Option<Phase>); 13] = [
        (&[], None),
        (&[1.0, 2.0], None),
        (&[0.0, 0.1, 0.19], Some(Phase::Unsorted)),
        (&[-0.9, -0.8, -0.7], Some(Phase::Unsorted)),
        (&[0.1, 0.2, 0.3], Some(Phase::II)),
        (&[0.3, 0.2, 0.1], Some(Phase::I)),
        (&[0.3, 0.1, 0.3], Some(Phase::Mixed)),
        // All equal: no trend, and with six layers level.
        (&[0.3, 0.3, 0.3], Some(Phase::Mixed)),
        (&[0.3; 6], Some(Phase::III)),
        // Level but for the last three; five layers are too few for III.
        (&[1.0, 1.1, 1.0, 2.0, 3.0, 4.0], Some(Phase::III)),
        (&[1.0, 1.2, 1.0, 2.0, 3.0, 4.0], Some(Phase::II)),
        (&[1.0, 1.0, 1.0, 1.0, 1.0], Some(Phase::Mixed)),
        // Correlation exactly ½ is no trend: ranks 0 2 1 against 0 1 2.
        (&[0.1, 0.3, 0.2], Some(Phase::Mixed)),
    ];
    for (gradients, want) in cases {
        assert_eq!(phase(gradients), want, "{gradients:?}");
    }
}

#[test]
fn ties_share_their_mean_rank() {
    // Ranks ½ 2½ ½ 2½: correlation 2/√(5 · 4) = 0.447. Ties broken by index would give 0.8 or −0.8.
    assert_eq!(phase(&[0.2, 0.3, 0.2, 0.3]), Some(Phase::Mixed));
    assert_eq!(phase(&[0.3, 0.2, 0.3, 0.2]), Some(Phase::Mixed));
}

fn f32_judges_a_network_by_all_its_layers<B: Backend>(backend: &B) {
    // A few samples of a few neurons change places when fields are rounded.
    judges_by_all_layers::<B, f32>(backend, 1e-3);
}

fn f64_judges_a_network_by_all_its_layers<B: Backend>(backend: &B) {
    judges_by_all_layers::<B, f64>(backend, 1e-5);
}

/// The phase is that of all layers, whichever are named.
fn judges_by_all_layers<B: Backend, R: Real>(backend: &B, atol: f64) {
    let stored = host::stored();
    let net = Net::<B, R>::new(backend, &stored.network).unwrap();
    let samples = Samples::new(backend, &stored.train).unwrap();
    for bn in [BnMode::Eval, BnMode::Batch] {
        let options = Options { bn, layers: Some(vec![3]), ..Options::default() };
        let LearningPhase { phase, gradients } =
            learning_phase(&net, &stored.network, &samples, &options).unwrap();
        let want = &stored.results["phase"][bn.name()];
        assert_eq!(serde_json::to_value(phase).unwrap(), want["phase"]);
        assert_close("gradients", &gradients, &host::numbers(&want["gradients"]), 0.0, atol);
    }
}
