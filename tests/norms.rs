//! Weight norms, tensor by tensor.

use crate::common::{assert_close, slow};
use netdyn::analysis::norms;
use netdyn::backend::Activation;
use netdyn::data::InputScale;

#[test]
fn norms_are_roots_of_sums_of_squares() {
    let network = slow::network(&[12, 7, 5, 3], Activation::Relu, true, InputScale::Unit, 3);
    let norms = norms(&network);
    let square = |values: &[f64]| values.iter().map(|v| v * v).sum::<f64>();
    let weights: Vec<f64> = (2..=4).map(|layer| square(network.weight(layer))).collect();
    // slow::network gives biases to W(2) and W(4): 7 and 3 of them.
    let biases: f64 =
        network.layout().layers.iter().flat_map(|l| l.bias).map(|b| square(&network.params[b.range()])).sum();
    assert!(biases > 0.0);
    let layers: Vec<f64> = weights.iter().map(|w| w.sqrt()).collect();
    assert_close("layers", &norms.layers, &layers, 1e-14, 0.0);
    let total: f64 = weights.iter().sum();
    assert_close("total", &[norms.total], &[total.sqrt()], 1e-14, 0.0);
    assert_close("with biases", &[norms.with_biases], &[(total + biases).sqrt()], 1e-14, 0.0);
    let json = serde_json::to_value(&norms).unwrap();
    assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["total", "layers", "with_biases"]);
}
