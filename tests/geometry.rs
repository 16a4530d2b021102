//! Class geometry, sample by sample and pair by pair.

use crate::common::{assert_close, slow};
use netdyn::analysis::{Options, distances, geometry};
use netdyn::backend::{Activation, Backend, Real};
use netdyn::data::InputScale;
use netdyn::model::{BnMode, Net, Samples};

on_each_backend!(f32_matches_the_definition, chosen_layers_only);
on_cpu!(f64_matches_the_definition);

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot: f64 = (0..a.len()).map(|i| a[i] * b[i]).sum();
    let lengths = a.iter().map(|v| v * v).sum::<f64>().sqrt() * b.iter().map(|v| v * v).sum::<f64>().sqrt();
    if lengths > 0.0 { dot / lengths } else { 0.0 }
}

fn matches<B: Backend, R: Real>(backend: &B, bn: BnMode, tol: f64) {
    let network = slow::network(&[13, 9, 5, 4], Activation::Relu, true, InputScale::STANDARDIZED, 3);
    let mut split = slow::split(40, 13, 4, 2);
    split.labels.iter_mut().for_each(|label| *label = if *label == 2 { 3 } else { *label }); // none of class 2
    let options = Options { bn, limit: Some(37), ..Options::default() };
    let net = Net::<B, R>::new(backend, &network).unwrap();
    let got = geometry(&net, &Samples::new(backend, &split).unwrap(), &options).unwrap();

    let split = split.first(37);
    let passed = slow::forward(&network, &network.params, &slow::inputs(&split, network.input), bn);
    assert_eq!(got.layers.iter().map(|l| l.layer).collect::<Vec<_>>(), [1, 2, 3]);
    for (got, x) in got.layers.iter().zip(&passed.x) {
        let own = |class: usize| -> Vec<&Vec<f64>> {
            x.iter().zip(&split.labels).filter(|(_, y)| usize::from(**y) == class).map(|(x, _)| x).collect()
        };
        let centre = |class: usize| -> Vec<f64> {
            let own = own(class);
            (0..x[0].len()).map(|i| own.iter().map(|x| x[i]).sum::<f64>() / own.len() as f64).collect()
        };
        let far = |class: usize| -> Vec<f64> {
            let centre = centre(class);
            own(class).iter().map(|x| 1.0 - cosine(x, &centre)).collect()
        };
        let what = format!("layer {}", got.layer);
        let present = [0, 1, 3];
        let all: Vec<f64> = present.iter().flat_map(|&class| far(class)).collect();
        assert_eq!(all.len(), 37);
        assert_close(&what, &[got.within_cosine_distance], &[all.iter().sum::<f64>() / 37.0], tol, tol);
        let pairs = [(0, 1), (0, 3), (1, 3)].map(|(a, b)| cosine(&centre(a), &centre(b)));
        let between = got.between_cosine_similarity.unwrap();
        assert_close(&what, &[between], &[pairs.iter().sum::<f64>() / 3.0], tol, tol);
        assert_eq!(got.per_class.len(), 4);
        assert!(got.per_class[2].is_none());
        for class in present {
            let far = far(class);
            let mean = far.iter().sum::<f64>() / far.len() as f64;
            assert_close(&what, &[got.per_class[class].unwrap()], &[mean], tol, tol);
        }
    }
}

fn f32_matches_the_definition<B: Backend>(backend: &B) {
    [BnMode::Eval, BnMode::Batch].into_iter().for_each(|bn| matches::<B, f32>(backend, bn, 1e-5));
}

fn f64_matches_the_definition<B: Backend>(backend: &B) {
    [BnMode::Eval, BnMode::Batch].into_iter().for_each(|bn| matches::<B, f64>(backend, bn, 1e-12));
}

fn chosen_layers_only<B: Backend>(backend: &B) {
    let network = slow::network(&[13, 9, 5, 4], Activation::Tanh, false, InputScale::Unit, 3);
    let mut split = slow::split(20, 13, 4, 2);
    let net = Net::<B, f32>::new(backend, &network).unwrap();
    let samples = Samples::new(backend, &split).unwrap();
    let options = Options { layers: Some(vec![3, 1]), ..Options::default() };
    let got = distances(&net, &samples, &options).unwrap();
    assert_eq!(got.iter().map(|l| (l.layer, l.distances.len())).collect::<Vec<_>>(), [(1, 20), (3, 20)]);
    let wrong = Options { layers: Some(vec![4]), ..Options::default() };
    assert_eq!(geometry(&net, &samples, &wrong).unwrap_err().exit_code(), 2);

    // One class: no pair of centres.
    split.labels.fill(1);
    let samples = Samples::new(backend, &split).unwrap();
    let got = geometry(&net, &samples, &options).unwrap();
    assert!(got.layers.iter().all(|l| l.between_cosine_similarity.is_none()));
}
