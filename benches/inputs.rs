//! Pixels, labels and weights that `scripts/peers/inputs.py` makes too, bit for bit, from a hash of the index.
//!
//! With `NETDYN_BENCH_SHRINK=100` a hundredth of the samples is taken, and a tenth of the width of hidden layers: a
//! rehearsal, which shows that every workload runs and agrees with its peers. Their names stay as they are.

use netdyn::backend::Activation;
use netdyn::data::{InputScale, Split};
use netdyn::model::{BnSpec, Layout, Momentum, Network, Spec};

pub const CLASSES: usize = 10;
pub const PIXELS: usize = 784;
pub const BINS: usize = 100;

/// Which numbers are drawn: the second argument of [`hashed`]. Layer i uses two after the last.
const OF_PIXELS: u32 = 1;
const OF_LABELS: u32 = 2;
pub const OF_SIGNS: u32 = 3;
pub const OF_GEMM_A: u32 = 4;
pub const OF_GEMM_B: u32 = 5;
pub const OF_GEMM_DZ: u32 = 6;
const OF_FIRST_LAYER: u32 = 16;

/// As many samples instead of `full` ones.
pub fn shrunk(full: usize) -> usize {
    (full / shrink()).max(2)
}

/// A hidden layer of this width instead of one of `full`.
pub fn narrowed(full: usize) -> usize {
    full / shrink().isqrt()
}

fn shrink() -> usize {
    std::env::var("NETDYN_BENCH_SHRINK").map_or(1, |text| text.parse().unwrap())
}

/// A word that looks random: the mixer lowbias32 on index + what · golden ratio.
pub fn hashed(index: usize, what: u32) -> u32 {
    let mut x = (index as u32).wrapping_add(what.wrapping_mul(0x9E37_79B9));
    x ^= x >> 16;
    x = x.wrapping_mul(0x7FEB_352D);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846C_A68B);
    x ^ x >> 16
}

/// `count` numbers in (−bound, bound), rounded to f32.
pub fn uniform(count: usize, what: u32, bound: f64) -> Vec<f32> {
    let unit = |i| (f64::from(hashed(i, what)) + 0.5) / 4_294_967_296.0;
    (0..count).map(|i| ((2.0 * unit(i) - 1.0) * bound) as f32).collect()
}

/// Images with as many zeros as MNIST has.
pub fn split(samples: usize) -> Split {
    let pixel = |x: u32| if x & 255 < 49 { (x >> 8) as u8 } else { 0 };
    Split {
        images: (0..samples * PIXELS).map(|i| pixel(hashed(i, OF_PIXELS))).collect(),
        labels: labels(samples),
        pixels: PIXELS,
        classes: CLASSES,
        sha256: Default::default(),
    }
}

/// The labels alone.
pub fn labels(samples: usize) -> Vec<u8> {
    (0..samples).map(|i| (hashed(i, OF_LABELS) % CLASSES as u32) as u8).collect()
}

/// 784-512x8-10 with batch norm, ReLU and biases.
pub fn deep_spec() -> Spec {
    normalised_spec(512, 8)
}

/// So many hidden layers of one width, with batch norm, ReLU and biases.
pub fn normalised_spec(width: usize, hidden: usize) -> Spec {
    let widths = [vec![PIXELS], vec![narrowed(width); hidden], vec![CLASSES]].concat();
    Spec { norm: [vec![true; hidden], vec![false]].concat(), ..plain_spec(widths, Activation::Relu) }
}

/// A network with biases and without batch norm.
pub fn plain_spec(widths: Vec<usize>, activation: Activation) -> Spec {
    let linears = widths.len() - 1;
    Spec {
        widths,
        activation,
        bias: vec![true; linears],
        norm: vec![false; linears],
        bn: BnSpec { eps: 1e-5, momentum: Momentum::Fixed(0.1) },
        dropout: 0.0,
    }
}

/// The deep network of the analyses. The gain keeps activations of one size from layer to layer, as training
/// would, though nothing is trained.
pub fn deep_network() -> Network {
    network(deep_spec(), 6.0_f64.sqrt())
}

/// Weights and biases uniform in ±gain/√fan_in, batch norms as they start.
pub fn network(spec: Spec, gain: f64) -> Network {
    let layout = Layout::of(&spec);
    let mut params = vec![1.0; layout.params];
    let mut running = vec![0.0; layout.stats];
    for (i, layer) in layout.layers.iter().enumerate() {
        let bound = gain / (spec.widths[i] as f64).sqrt();
        for (part, span) in [Some(layer.weight), layer.bias].into_iter().flatten().enumerate() {
            let drawn = uniform(span.len, OF_FIRST_LAYER + 2 * i as u32 + part as u32, bound);
            params[span.range()].iter_mut().zip(drawn).for_each(|(p, drawn)| *p = f64::from(drawn));
        }
        if let Some(norm) = layer.norm {
            params[norm.beta.range()].fill(0.0);
        }
        if let Some([_, var]) = layer.stats {
            running[var.range()].fill(1.0);
        }
    }
    Network { spec, params, running, input: InputScale::Unit, step: None, config: None }
}

pub fn mean_magnitude(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(value.abs())).sum::<f64>() / values.len() as f64
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
