//! Small networks, their forward pass on the host loop by loop in f64, and the stored results of numpy:
//! the judges of the analyses. Nothing here uses the engine.
#![allow(dead_code)] // each module uses some of it

use netdyn::backend::Activation;
use netdyn::data::{InputScale, Source, Split, Which};
use netdyn::model::file::{self, ReadOptions};
use netdyn::model::{BnMode, BnSpec, Layout, Momentum, Network, Spec};

/// [samples][features]
pub type Table = Vec<Vec<f64>>;

/// A plain multiplicative generator: enough for test data, and nobody else's.
pub struct Random(pub u64);

impl Random {
    /// Uniform in (−1, 1).
    pub fn signed(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        (((self.signed() + 1.0) / 2.0 * end as f64) as usize).min(end - 1)
    }
}

pub fn spec(widths: &[usize], activation: Activation, bias: bool, norm: bool) -> Spec {
    let linears = widths.len() - 1;
    Spec {
        widths: widths.to_vec(),
        activation,
        bias: vec![bias; linears],
        norm: (0..linears).map(|i| norm && i + 1 < linears).collect(),
        bn: BnSpec { eps: 1e-5, momentum: Momentum::Fixed(0.1) },
        dropout: 0.0,
    }
}

/// A network with random everything; about a third of the γ are negative, and the first of every layer is 0.
pub fn network(seed: u64, spec: &Spec) -> Network {
    let layout = Layout::of(spec);
    let mut random = Random(seed);
    let mut params: Vec<f64> = (0..layout.params).map(|_| random.signed()).collect();
    let mut running: Vec<f64> = (0..layout.stats).map(|_| random.signed() * 0.3).collect();
    for layer in &layout.layers {
        if let Some((norm, [_, var])) = layer.norm.zip(layer.stats) {
            params[norm.gamma.range()].iter_mut().for_each(|gamma| *gamma += 0.3);
            params[norm.gamma.start] = 0.0;
            running[var.range()].iter_mut().for_each(|var| *var = 0.5 + var.abs());
        }
    }
    Network {
        spec: spec.clone(),
        params,
        running,
        input: InputScale::STANDARDIZED,
        step: Some(3),
        config: None,
    }
}

/// Random images whose labels come from the first `classes` classes, of `known` that the set could have.
pub fn split(seed: u64, samples: usize, pixels: usize, classes: usize, known: usize) -> Split {
    let mut random = Random(seed);
    Split {
        images: (0..samples * pixels).map(|_| random.below(256) as u8).collect(),
        labels: (0..samples).map(|_| random.below(classes) as u8).collect(),
        pixels,
        classes: known,
        sha256: Default::default(),
    }
}

/// Everything a pass computes.
pub struct Pass {
    /// x(l) at index l − 1, l = 1…L−1.
    pub x: Vec<Table>,
    /// h(l) at index l − 2, l = 2…L; the last are the logits.
    pub h: Vec<Table>,
    /// Mean and variance of every batch norm, by layout.
    pub statistics: Vec<f64>,
}

impl Pass {
    pub fn logits(&self) -> &Table {
        self.h.last().unwrap()
    }
}

pub fn forward(network: &Network, split: &Split, bn: BnMode) -> Pass {
    let (spec, layout) = (&network.spec, network.layout());
    let (scale, shift) = network.input.of_byte();
    let pixels = split.images.chunks(split.pixels);
    let mut x: Vec<Table> =
        vec![pixels.map(|row| row.iter().map(|&b| scale * b as f64 + shift).collect()).collect()];
    let (mut h, mut statistics) = (vec![], network.running.clone());
    for (i, spans) in layout.layers.iter().enumerate() {
        let mut field: Table = x[i].iter().map(|row| linear(network, i, row)).collect();
        if let Some((norm, [mean, var])) = spans.norm.zip(spans.stats) {
            for j in 0..spec.widths[i + 1] {
                let column: Vec<f64> = field.iter().map(|row| row[j]).collect();
                if bn == BnMode::Batch {
                    let m = column.iter().sum::<f64>() / column.len() as f64;
                    statistics[mean.start + j] = m;
                    statistics[var.start + j] =
                        column.iter().map(|z| (z - m) * (z - m)).sum::<f64>() / column.len() as f64;
                }
                let (gamma, beta) =
                    (network.params[norm.gamma.start + j], network.params[norm.beta.start + j]);
                let (m, v) = (statistics[mean.start + j], statistics[var.start + j]);
                for row in &mut field {
                    row[j] = gamma * (row[j] - m) / (v + spec.bn.eps).sqrt() + beta;
                }
            }
        }
        if i + 1 < spec.linears() {
            let f = |h: &f64| activation(spec.activation, *h);
            x.push(field.iter().map(|row| row.iter().map(f).collect()).collect());
        }
        h.push(field);
    }
    Pass { x, h, statistics }
}

/// z(i + 2) of one sample.
fn linear(network: &Network, i: usize, x: &[f64]) -> Vec<f64> {
    let spans = &network.layout().layers[i];
    let weight = &network.params[spans.weight.range()];
    let row = |j: usize| &weight[j * x.len()..(j + 1) * x.len()];
    (0..network.spec.widths[i + 1])
        .map(|j| {
            let bias = spans.bias.map_or(0.0, |bias| network.params[bias.start + j]);
            row(j).iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias
        })
        .collect()
}

fn activation(kind: Activation, h: f64) -> f64 {
    match kind {
        Activation::Relu => h.max(0.0),
        Activation::Tanh => h.tanh(),
        Activation::Identity => h,
        Activation::Gaussian => (-h * h).exp(),
        Activation::LeakyRelu => {
            if h > 0.0 {
                h
            } else {
                0.01 * h
            }
        }
        Activation::Sigmoid => 1.0 / (1.0 + (-h).exp()),
        Activation::Gelu => h * 0.5 * (1.0 + libm::erf(h / 2.0_f64.sqrt())),
    }
}

/// Logits of x(l) with identity activations above layer l, one layer after the other.
pub fn linearised(network: &Network, statistics: &[f64], l: usize, x: &[f64]) -> Vec<f64> {
    let layout = network.layout();
    let mut x = x.to_vec();
    for i in l - 1..network.spec.linears() {
        x = linear(network, i, &x);
        let Some((norm, [mean, var])) = layout.layers[i].norm.zip(layout.layers[i].stats) else { continue };
        for (j, h) in x.iter_mut().enumerate() {
            let std = (statistics[var.start + j] + network.spec.bn.eps).sqrt();
            let (gamma, beta) = (network.params[norm.gamma.start + j], network.params[norm.beta.start + j]);
            *h = gamma * (*h - statistics[mean.start + j]) / std + beta;
        }
    }
    x
}

/// The same network and statistics without what shifts a field: biases, β and means.
pub fn without_shifts(network: &Network, statistics: &[f64]) -> (Network, Vec<f64>) {
    let (mut network, mut statistics) = (network.clone(), statistics.to_vec());
    for layer in network.layout().layers {
        for span in layer.bias.into_iter().chain(layer.norm.map(|norm| norm.beta)) {
            network.params[span.range()].fill(0.0);
        }
        if let Some([mean, _]) = layer.stats {
            statistics[mean.range()].fill(0.0);
        }
    }
    (network, statistics)
}

/// M(l) as [K][N_l]: the logits of the unit vectors.
pub fn matrix(network: &Network, statistics: &[f64], l: usize) -> Table {
    let (network, statistics) = without_shifts(network, statistics);
    let width = network.spec.widths[l - 1];
    let columns: Table = (0..width)
        .map(|i| {
            let unit: Vec<f64> = (0..width).map(|j| if i == j { 1.0 } else { 0.0 }).collect();
            linearised(&network, &statistics, l, &unit)
        })
        .collect();
    (0..network.spec.classes()).map(|k| columns.iter().map(|column| column[k]).collect()).collect()
}

/// The first of the largest.
pub fn argmax(logits: &[f64]) -> usize {
    (0..logits.len()).fold(0, |best, k| if logits[k] > logits[best] { k } else { best })
}

pub fn accuracy<'a>(logits: impl IntoIterator<Item = &'a Vec<f64>>, labels: &[u8]) -> f64 {
    let right = logits.into_iter().zip(labels).filter(|(row, y)| argmax(row) == usize::from(**y)).count();
    right as f64 / labels.len() as f64
}

/// The trained network of `fixtures/analysis.py`, its samples, and what numpy says about it.
pub struct Stored {
    pub network: Network,
    pub train: Split,
    pub test: Split,
    pub results: serde_json::Value,
}

pub fn stored() -> Stored {
    // Cargo runs tests in the package's folder, and so does whoever carries them to another machine.
    let folder = std::path::Path::new("tests/fixtures/analysis");
    let options = ReadOptions { activation: Some(Activation::Relu), ..Default::default() };
    let (network, _) = file::read(&folder.join("net.safetensors"), &options).unwrap();
    let text = std::fs::read_to_string(folder.join("results.json")).unwrap();
    let sample =
        |which, len| netdyn::data::load(&Source::Named("sample".into()), which, &()).unwrap().first(len);
    let (train, test) = (sample(Which::Train, 500), sample(Which::Test, 300));
    Stored { network, train, test, results: serde_json::from_str(&text).unwrap() }
}

/// The numbers of a JSON array of any depth, in order.
pub fn numbers(value: &serde_json::Value) -> Vec<f64> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap_or_else(|| panic!("{other} is no number"))],
    }
}
