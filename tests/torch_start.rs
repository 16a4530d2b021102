//! Initial weights and the order of samples against PyTorch's own, bit for bit, as `fixtures/torch_rng.py` recorded them.

use netdyn::backend::{Activation, Real, Span};
use netdyn::data::InputScale;
use netdyn::model::{self, BnSpec, Init, InitKind, Layout, Momentum, RngKind, Spec};
use netdyn::train::{Order, Shuffler};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

#[test]
fn weights_and_biases_are_pytorchs_bits() {
    for net in record().nets {
        match net.dtype.as_str() {
            "f32" => same_start::<f32>(&net, |value| (value as f32).to_le_bytes().to_vec()),
            "f64" => same_start::<f64>(&net, |value| value.to_le_bytes().to_vec()),
            other => panic!("dtype {other}"),
        }
    }
}

fn same_start<R: Real>(want: &SeededNet, bytes: impl Fn(f64) -> Vec<u8>) {
    let spec = spec();
    let init = Init { kind: InitKind::Kaiming, gain: 1.0, range: 0.0, rng: RngKind::Torch };
    let network = model::network::<R>(&spec, init, InputScale::Unit, want.seed);
    for (i, (spans, layer)) in Layout::of(&spec).layers.iter().zip(&want.layers).enumerate() {
        let check = |what: &str, span: Span, digest: &Digest<f64>| {
            let got = &network.params[span.range()];
            let at = format!("{what} {i} of seed {}, {}", want.seed, want.dtype);
            // The values first: they show how a start differs, the hash only that it does.
            assert_eq!(got[..digest.first.len()], digest.first, "{at}");
            assert_eq!(sha256(got.iter().flat_map(|&value| bytes(value))), digest.sha256, "{at}");
        };
        check("weight", spans.weight, &layer.weight);
        check("bias", spans.bias.unwrap(), &layer.bias);
    }
}

#[test]
fn samples_come_in_the_order_of_pytorchs_loader() {
    for loader in record().loaders {
        let (seed, samples) = (loader.seed, loader.samples);
        let shuffler = match loader.dtype.as_deref() {
            None => Shuffler::new::<f32>(Order::Torch, seed, samples, &spec(), RngKind::Counter),
            Some("f32") => Shuffler::new::<f32>(Order::Torch, seed, samples, &spec(), RngKind::Torch),
            Some("f64") => Shuffler::new::<f64>(Order::Torch, seed, samples, &spec(), RngKind::Torch),
            Some(other) => panic!("dtype {other}"),
        };
        for (epoch, want) in loader.epochs.iter().enumerate() {
            let got = shuffler.epoch(epoch as u64);
            let at = format!("epoch {epoch} of {samples} samples, seed {seed}, {:?}", loader.dtype);
            assert_eq!(got[..want.first.len()], want.first, "{at}");
            assert_eq!(sha256(got.iter().flat_map(|sample| sample.to_le_bytes())), want.sha256, "{at}");
        }
    }
}

fn spec() -> Spec {
    Spec {
        widths: record().widths,
        activation: Activation::Relu,
        bias: vec![true; 2],
        norm: vec![false; 2],
        bn: BnSpec { eps: 1e-5, momentum: Momentum::Fixed(0.1) },
        dropout: 0.0,
    }
}

fn sha256(bytes: impl Iterator<Item = u8>) -> String {
    let hash = Sha256::digest(bytes.collect::<Vec<u8>>());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record() -> Record {
    serde_json::from_str(include_str!("fixtures/torch_rng.json")).unwrap()
}

#[derive(Deserialize)]
struct Record {
    widths: Vec<usize>,
    nets: Vec<SeededNet>,
    loaders: Vec<Loader>,
}

#[derive(Deserialize)]
struct SeededNet {
    seed: u64,
    dtype: String,
    layers: Vec<SeededLayer>,
}

#[derive(Deserialize)]
struct SeededLayer {
    weight: Digest<f64>,
    bias: Digest<f64>,
}

#[derive(Deserialize)]
struct Loader {
    seed: u64,
    dtype: Option<String>,
    samples: usize,
    epochs: Vec<Digest<u32>>,
}

/// SHA-256 of a whole tensor, and its first values.
#[derive(Deserialize)]
struct Digest<T> {
    sha256: String,
    first: Vec<T>,
}
