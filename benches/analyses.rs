//! Products, passes and analyses of the deep network.

use crate::inputs::{BINS, CLASSES, OF_GEMM_A, OF_GEMM_B, OF_SIGNS, deep_network, hashed, split, uniform};
use crate::{record_check, time};
use criterion::Criterion;
use netdyn::Result;
use netdyn::analysis::{self, Options, Space};
use netdyn::backend::cpu::Cpu;
use netdyn::backend::{Activation, Backend, Field, Input, Labels, Linear, Part, PartMut, RankMass, Rows};
use netdyn::model::{BnMode, Evaluator, Net, Network, Samples, Start, outcome};

const SAMPLES: usize = 60_000;
const WIDTH: usize = 512;

/// x Wᵀ without bias: the matrix product itself.
pub fn gemm(criterion: &mut Criterion, cpu: &Cpu) {
    let case = ("gemm", SAMPLES);
    let desc = Linear { rows: SAMPLES, inputs: WIDTH, outputs: WIDTH };
    let product = |(x, w, z): &mut (Vec<f32>, Vec<f32>, Vec<f32>)| {
        let field = Field { z: Part::new(x, 0, SAMPLES * WIDTH), noise: None, norm: None };
        let input = Input::Field { field, activation: Activation::Identity, dropout: None };
        let weight = Part::new(w, 0, WIDTH * WIDTH);
        cpu.linear(desc, &input, weight, None, PartMut::new(z, 0, SAMPLES * WIDTH), None)
    };
    let make = || {
        let x = uniform(SAMPLES * WIDTH, OF_GEMM_A, 0.5);
        let w = uniform(WIDTH * WIDTH, OF_GEMM_B, 0.5);
        let mut work = (x, w, vec![f32::NAN; SAMPLES * WIDTH]);
        product(&mut work)?;
        record_check(case, &[vec![mean_magnitude(&work.2)], wide(&work.2[..3])].concat());
        Ok(work)
    };
    time(criterion, case, (2 * SAMPLES * WIDTH * WIDTH) as u64, make, product);
}

/// Logits of all samples.
pub fn forward(criterion: &mut Criterion, cpu: &Cpu) {
    let case = ("forward", SAMPLES);
    let network = deep_network();
    let net = Net::<_, f32>::new(cpu, &network).unwrap();
    let chunk = Evaluator::chunk(&net, BnMode::Eval, SAMPLES);
    let logits = |evaluator: &mut Evaluator<'_, '_, _, f32>, samples: &Samples<_>| {
        let mut all = Vec::with_capacity(SAMPLES * CLASSES);
        for first in (0..SAMPLES).step_by(chunk) {
            let rows = chunk.min(SAMPLES - first);
            let start = Start::Samples(samples, Rows::From(first));
            evaluator.forward(&net.params, start, rows)?;
            all.extend(cpu.download(evaluator.logits(rows))?);
        }
        Ok(all)
    };
    let make = || {
        let samples = Samples::new(cpu, &split(SAMPLES))?;
        let mut evaluator = Evaluator::new(&net, BnMode::Eval, chunk)?;
        let all = logits(&mut evaluator, &samples)?;
        record_check(case, &[vec![mean_magnitude(&all)], wide(&all[..CLASSES])].concat());
        Ok((evaluator, samples))
    };
    let multiply_adds: usize = network.spec.widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    time(criterion, case, (2 * SAMPLES * multiply_adds) as u64, make, |(evaluator, samples)| {
        logits(evaluator, samples).map(drop)
    });
}

/// Class mass by rank of one layer's field, and the classes' gradients of it.
pub fn rpd_layer(criterion: &mut Criterion, cpu: &Cpu) {
    let case = ("rpd_layer", SAMPLES);
    let desc = RankMass { rows: SAMPLES, neurons: WIDTH, classes: CLASSES, bins: BINS };
    let rank = |(z, labels, mass): &mut (Vec<f32>, Vec<u8>, Vec<f64>)| {
        let field = Field { z: Part::new(z, 0, SAMPLES * WIDTH), noise: None, norm: None };
        let labels = Labels { labels, rows: Rows::From(0) };
        let len = mass.len();
        cpu.rank_mass(desc, &field, labels, PartMut::new(mass, 0, len))
    };
    let make = || {
        let z = uniform(SAMPLES * WIDTH, OF_GEMM_A, 0.5);
        let mut work = (z, split(SAMPLES).labels, vec![f64::NAN; WIDTH * CLASSES * BINS]);
        rank(&mut work)?;
        record_check(case, &class_gradients(&work.1, &work.2));
        Ok(work)
    };
    time(criterion, case, (SAMPLES * WIDTH) as u64, make, rank);
}

/// Accuracy with the layers from l on replaced by their linear map, for every l, with and without offsets.
pub fn lmap_curve(criterion: &mut Criterion, cpu: &Cpu) {
    let case = ("lmap_curve", SAMPLES);
    let curve = |(network, net, samples): &mut Work<'_>| {
        let curve = analysis::lmap(net, network, samples, &Options::default())?;
        Ok(curve.layers.iter().map(|layer| layer.accuracy).collect())
    };
    whole_analysis(criterion, cpu, case, curve);
}

/// Accuracy under noise at 20 amplitudes, 10 trials each, and the basin size that it brackets.
pub fn basins(criterion: &mut Criterion, cpu: &Cpu) {
    let amplitudes: Vec<f64> = (1..=20).map(|i| 0.05 * f64::from(i)).collect();
    for (name, space) in [("basin_sample", Space::Sample), ("basin_weight", Space::Weight)] {
        let options = Options { space, amplitudes: amplitudes.clone(), trials: 10, ..Options::default() };
        let curve = |(network, net, samples): &mut Work<'_>| {
            let basin = analysis::basin(net, network, samples, &options, &mut analysis::no_progress)?;
            Ok(basin.curve.iter().map(|point| point.accuracy).collect())
        };
        whole_analysis(criterion, cpu, (name, 2_000), curve);
    }
}

/// A network and samples that it labelled itself, so that its own accuracy is one.
type Work<'b> = (Network, Net<'b, Cpu, f32>, Samples<Cpu>);

/// Times an analysis, whose curve is the check.
fn whole_analysis(
    criterion: &mut Criterion,
    cpu: &Cpu,
    case: (&str, usize),
    curve: impl Fn(&mut Work<'_>) -> Result<Vec<f64>>,
) {
    let make = || {
        let network = deep_network();
        let net = Net::new(cpu, &network)?;
        let mut split = split(case.1);
        split.labels = outcome(&net, &Samples::new(cpu, &split)?, case.1, BnMode::Eval)?.predicted;
        let mut work = (network, net, Samples::new(cpu, &split)?);
        record_check(case, &curve(&mut work)?);
        Ok(work)
    };
    time(criterion, case, case.1 as u64, make, |work| curve(work).map(drop));
}

/// Gradient of every class's density, under the signs the peers use.
fn class_gradients(labels: &[u8], mass: &[f64]) -> Vec<f64> {
    let centre = |bin: usize| (bin as f64 + 0.5) / BINS as f64 - 0.5;
    let spread: f64 = (0..BINS).map(|bin| centre(bin) * centre(bin)).sum();
    let gradient = |class: usize| {
        let of_class = labels.iter().filter(|&&label| usize::from(label) == class).count() as f64;
        let slope: f64 = (0..WIDTH)
            .map(|neuron| {
                let mass = &mass[(neuron * CLASSES + class) * BINS..][..BINS];
                let slope: f64 = mass.iter().enumerate().map(|(bin, mass)| mass * centre(bin)).sum();
                if hashed(class * WIDTH + neuron, OF_SIGNS) & 1 == 1 { -slope } else { slope }
            })
            .sum();
        -slope / spread * BINS as f64 / of_class / WIDTH as f64
    };
    (0..CLASSES).map(gradient).collect()
}

fn mean_magnitude(values: &[f32]) -> f64 {
    values.iter().map(|value| f64::from(value.abs())).sum::<f64>() / values.len() as f64
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
