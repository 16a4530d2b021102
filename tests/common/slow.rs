//! The definitions written out sample by sample in f64: data, networks, noise, passes.

use netdyn::analysis::Scaling;
use netdyn::backend::Activation;
use netdyn::data::{InputScale, Split};
use netdyn::model::{BnMode, BnSpec, Layout, Momentum, Network, Spec};

/// Uniform numbers in [0, 1) for making up data: splitmix64.
pub struct Made(pub u64);

impl Made {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Samples of `classes` classes: a pattern of each class and bytes of noise on it.
pub fn split(samples: usize, pixels: usize, classes: usize, seed: u64) -> Split {
    let mut patterns = Made(7); // the same for every split, so that train and test belong together
    let patterns: Vec<f64> = (0..classes * pixels).map(|_| patterns.next() * 200.0).collect();
    let mut made = Made(seed);
    let labels: Vec<u8> = (0..samples).map(|_| (made.next() * classes as f64) as u8).collect();
    let images = labels
        .iter()
        .flat_map(|&k| patterns[usize::from(k) * pixels..][..pixels].to_vec())
        .map(|p| (p + made.next() * 55.0) as u8)
        .collect();
    Split { images, labels, pixels, classes, sha256: [String::new(), String::new()] }
}

/// A network that knows something of the patterns: its first matrix looks at the data, the others are random.
pub fn network(
    widths: &[usize],
    activation: Activation,
    norm: bool,
    input: InputScale,
    seed: u64,
) -> Network {
    let linears = widths.len() - 1;
    let hidden = |i: usize| i + 1 < linears;
    let spec = Spec {
        widths: widths.to_vec(),
        activation,
        bias: (0..linears).map(|i| i % 2 == 0).collect(),
        norm: (0..linears).map(|i| norm && hidden(i)).collect(),
        bn: BnSpec { eps: 1e-5, momentum: Momentum::Fixed(0.1) },
        dropout: 0.0,
    };
    let layout = Layout::of(&spec);
    let mut made = Made(seed);
    // Exact in f32, so that both precisions hold the same network.
    let mut draw = |low: f64, high: f64| f64::from((low + (high - low) * made.next()) as f32);
    let mut params = vec![0.0; layout.params];
    let mut running = vec![0.0; layout.stats];
    for (i, layer) in layout.layers.iter().enumerate() {
        let bound = 2.0 / (widths[i] as f64).sqrt();
        layer.weight.range().for_each(|e| params[e] = draw(-bound, bound));
        layer.bias.into_iter().flat_map(|b| b.range()).for_each(|e| params[e] = draw(-0.2, 0.2));
        if let (Some(norm), Some([mean, var])) = (layer.norm, layer.stats) {
            norm.gamma.range().for_each(|e| params[e] = draw(-0.5, 1.5));
            norm.beta.range().for_each(|e| params[e] = draw(-0.3, 0.3));
            mean.range().for_each(|e| running[e] = draw(-0.3, 0.3));
            var.range().for_each(|e| running[e] = draw(0.2, 1.0));
        }
    }
    Network { spec, params, running, input, step: None, config: None }
}

/// The same with the labels that it predicts for most samples, so that there is an accuracy to lose.
pub fn relabel(split: &mut Split, network: &Network) {
    let all = forward(network, &network.params, &inputs(split, network.input), BnMode::Eval);
    for (i, label) in split.labels.iter_mut().enumerate() {
        if i % 7 != 3 {
            *label = all.predicted[i] as u8;
        }
    }
}

/// x(1) of every sample.
pub fn inputs(split: &Split, scale: InputScale) -> Vec<Vec<f64>> {
    let unit = |&byte: &u8| f64::from(byte) / 255.0;
    split
        .images
        .chunks(split.pixels)
        .map(|image| image.iter().map(|b| ranged(unit(b), scale)).collect())
        .collect()
}

/// From [0, 1] to the network's range.
pub fn ranged(value: f64, scale: InputScale) -> f64 {
    match scale {
        InputScale::Unit => value,
        InputScale::Affine { mean, std } => (value - mean) / std,
    }
}

/// What a pass makes of all samples.
pub struct Passed {
    /// x(l), by layer from 1 to L − 1.
    pub x: Vec<Vec<Vec<f64>>>,
    pub predicted: Vec<usize>,
}

/// All samples through the network, layer by layer.
pub fn forward(network: &Network, params: &[f64], x: &[Vec<f64>], bn: BnMode) -> Passed {
    let spec = &network.spec;
    let mut all = vec![x.to_vec()];
    for (i, layer) in network.layout().layers.iter().enumerate() {
        let below = &all[i];
        let (inputs, outputs) = (spec.widths[i], spec.widths[i + 1]);
        let weight = &params[layer.weight.range()];
        let mut z = vec![vec![0.0; outputs]; below.len()];
        for (z, x) in z.iter_mut().zip(below) {
            for o in 0..outputs {
                z[o] = layer.bias.map_or(0.0, |b| params[b.start + o]);
                for j in 0..inputs {
                    z[o] += weight[o * inputs + j] * x[j];
                }
            }
        }
        if let (Some(norm), Some([mean, var])) = (layer.norm, layer.stats) {
            for o in 0..outputs {
                let n = z.len() as f64;
                let own = z.iter().map(|z| z[o]).sum::<f64>() / n;
                let (mean, var) = match bn {
                    BnMode::Eval => (network.running[mean.start + o], network.running[var.start + o]),
                    BnMode::Batch => (own, z.iter().map(|z| (z[o] - own) * (z[o] - own)).sum::<f64>() / n),
                };
                let (gamma, beta) = (params[norm.gamma.start + o], params[norm.beta.start + o]);
                z.iter_mut().for_each(|z| z[o] = gamma * (z[o] - mean) / (var + spec.bn.eps).sqrt() + beta);
            }
        }
        if i + 1 < spec.linears() {
            z.iter_mut().flatten().for_each(|h| *h = activate(spec.activation, *h));
        }
        all.push(z);
    }
    let logits = all.pop().unwrap();
    let largest =
        |logits: &Vec<f64>| (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
    Passed { predicted: logits.iter().map(largest).collect(), x: all }
}

fn activate(activation: Activation, h: f64) -> f64 {
    match activation {
        Activation::Relu => h.max(0.0),
        Activation::Tanh => h.tanh(),
        Activation::Identity => h,
        other => panic!("{other:?} is not used here"),
    }
}

/// Element `col` of row `row` of the noise of a trial.
pub fn normal(seed: u64, row: usize, col: usize, trial: usize, stream: usize) -> f64 {
    let word = philox(seed, [row as u32, (col / 4) as u32, trial as u32, stream as u32]);
    let unit = |w: u32| (f64::from(w) + 0.5) / 2f64.powi(32);
    let pair = col % 4 / 2 * 2;
    let (radius, angle) =
        ((-2.0 * unit(word[pair]).ln()).sqrt(), 2.0 * std::f64::consts::PI * unit(word[pair + 1]));
    if col.is_multiple_of(2) { radius * angle.cos() } else { radius * angle.sin() }
}

fn philox(key: u64, mut x: [u32; 4]) -> [u32; 4] {
    let mut key = [key as u32, (key >> 32) as u32];
    for _ in 0..10 {
        let a = 0xD251_1F53u64 * u64::from(x[0]);
        let b = 0xCD9E_8D57u64 * u64::from(x[2]);
        x = [(b >> 32) as u32 ^ x[1] ^ key[0], b as u32, (a >> 32) as u32 ^ x[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    x
}

/// x(1) of every sample with pixel noise of one trial, σ in units of [0, 1].
pub fn noisy_inputs(split: &Split, scale: InputScale, seed: u64, trial: usize, sigma: f64) -> Vec<Vec<f64>> {
    let images = split.images.chunks(split.pixels).enumerate();
    images
        .map(|(row, image)| {
            let pixel = |(col, &byte): (usize, &u8)| {
                ranged(f64::from(byte) / 255.0 + sigma * normal(seed, row, col, trial, 0), scale)
            };
            image.iter().enumerate().map(pixel).collect()
        })
        .collect()
}

/// Parameters with weight noise of one trial: W + σ·unit·ξ, the unit being std(W) or 1.
pub fn noisy_params(network: &Network, seed: u64, trial: usize, sigma: f64, scaling: Scaling) -> Vec<f64> {
    let mut params = network.params.clone();
    for (i, layer) in network.layout().layers.iter().enumerate() {
        let cols = network.spec.widths[i];
        let w = &network.params[layer.weight.range()];
        let mean = w.iter().sum::<f64>() / w.len() as f64;
        let std = (w.iter().map(|w| (w - mean) * (w - mean)).sum::<f64>() / w.len() as f64).sqrt();
        let unit = if scaling == Scaling::Absolute { 1.0 } else { std };
        for e in 0..w.len() {
            params[layer.weight.start + e] += sigma * unit * normal(seed, e / cols, e % cols, trial, i + 2);
        }
    }
    params
}
