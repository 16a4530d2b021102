//! Passes and analyses of the deep network.

use crate::Bench;
use crate::inputs::{
    BINS, CLASSES, OF_GEMM_A, OF_SIGNS, deep_network, hashed, labels, mean_magnitude, narrowed, shrunk,
    split, uniform, wide,
};
use netdyn::Result;
use netdyn::analysis::{self, Options, Space};
use netdyn::backend::cuda::{Cuda, RankPlan};
use netdyn::backend::{Backend, Field, Labels, Part, PartMut, RankMass, Rows};
use netdyn::model::{BnMode, Evaluator, Net, Network, Samples, Start, outcome};

const SAMPLES: usize = 60_000;

/// Logits of all samples.
pub fn forward<B: Backend>(bench: &mut Bench<'_, B>) {
    let case = ("forward", SAMPLES);
    let checks = bench.checks(case);
    let (count, network) = (shrunk(SAMPLES), deep_network());
    let net = Net::<_, f32>::new(bench.backend, &network).unwrap();
    let chunk = Evaluator::chunk(&net, BnMode::Eval, count);
    let logits = |backend: &B, evaluator: &mut Evaluator<'_, '_, B, f32>, samples: &Samples<B>| {
        let mut all = Vec::with_capacity(count * CLASSES);
        for first in (0..count).step_by(chunk) {
            let rows = chunk.min(count - first);
            let start = Start::Samples(samples, Rows::From(first));
            evaluator.forward(&net.params, start, rows)?;
            all.extend(backend.download(evaluator.logits(rows))?);
        }
        Ok(all)
    };
    let make = |backend: &B| {
        let samples = Samples::new(backend, &split(count))?;
        let mut evaluator = Evaluator::new(&net, BnMode::Eval, chunk)?;
        let all = logits(backend, &mut evaluator, &samples)?;
        checks.record(&[vec![mean_magnitude(&all)], wide(&all[..CLASSES])].concat());
        Ok((evaluator, samples))
    };
    let multiply_adds: usize = network.spec.widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let amount = (2 * count * multiply_adds) as u64;
    bench.time(case, amount, make, |backend, (evaluator, samples)| {
        logits(backend, evaluator, samples).map(drop)
    });
}

/// One layer of the deep network.
fn layer() -> RankMass {
    RankMass { rows: shrunk(SAMPLES), neurons: narrowed(512), classes: CLASSES, bins: BINS }
}

/// Class mass by rank of one layer's field, and the classes' gradients of it.
pub fn rpd_layer<B: Backend>(bench: &mut Bench<'_, B>) {
    rank_layer(bench, "rpd_layer", |backend, field, labels, mass| {
        backend.rank_mass(layer(), field, labels, mass)
    });
}

/// The same from the ranks of all samples.
pub fn ranks_layer(bench: &mut Bench<'_, Cuda>) {
    rank_layer(bench, "ranks_layer", |card, field, labels, mass| {
        card.rank_mass_as(RankPlan::sorted(layer()), layer(), field, labels, mass).map(drop)
    });
}

fn rank_layer<B: Backend>(
    bench: &mut Bench<'_, B>,
    group: &'static str,
    rank_mass: impl Fn(&B, &Field<'_, B, f32>, Labels<'_, B>, PartMut<'_, B, f64>) -> Result<()>,
) {
    let case = (group, SAMPLES);
    let checks = bench.checks(case);
    let RankMass { rows, neurons, .. } = layer();
    type Work<B> = (<B as Backend>::Buf<f32>, <B as Backend>::Buf<u8>, <B as Backend>::Buf<f64>);
    let rank = |backend: &B, (z, labels, mass): &mut Work<B>| {
        let field = Field { z: Part::new(z, 0, rows * neurons), noise: None, norm: None };
        let labels = Labels { labels, rows: Rows::From(0) };
        rank_mass(backend, &field, labels, PartMut::new(mass, 0, neurons * CLASSES * BINS))
    };
    let make = |backend: &B| {
        let labels = labels(rows);
        let mass = backend.upload(&vec![f64::NAN; neurons * CLASSES * BINS])?;
        let z = backend.upload(&uniform(rows * neurons, OF_GEMM_A, 0.5))?;
        let mut work: Work<B> = (z, backend.upload(&labels)?, mass);
        rank(backend, &mut work)?;
        let mass = backend.download(Part::new(&work.2, 0, neurons * CLASSES * BINS))?;
        checks.record(&class_gradients(&labels, &mass));
        Ok(work)
    };
    bench.time(case, (rows * neurons) as u64, make, rank);
}

/// Accuracy with the layers from l on replaced by their linear map, for every l, with and without offsets.
pub fn lmap_curve<B: Backend>(bench: &mut Bench<'_, B>) {
    let case = ("lmap_curve", SAMPLES);
    whole_analysis(bench, case, |(network, net, samples)| {
        let curve = analysis::lmap(net, network, samples, &Options::default())?;
        Ok(curve.layers.iter().map(|layer| layer.accuracy).collect())
    });
}

/// Accuracy under noise at 20 amplitudes, 10 trials each, and the basin size that it brackets.
pub fn basins<B: Backend>(bench: &mut Bench<'_, B>, samples: usize) {
    for (name, space) in [("basin_sample", Space::Sample), ("basin_weight", Space::Weight)] {
        whole_analysis(bench, (name, samples), |work| basin(work, space));
    }
}

/// What a probe of everything takes: rank distributions of all layers, both basins, the L-map's pruning curve.
pub fn full<B: Backend>(bench: &mut Bench<'_, B>, samples: usize) {
    whole_analysis(bench, ("analysis_full", samples), |work| {
        let (network, net, samples) = &*work;
        analysis::rpd(net, network, samples, &Options::default())?;
        let curve = analysis::lmap(net, network, samples, &Options::default())?;
        let mut found: Vec<f64> = curve.layers.iter().map(|layer| layer.accuracy).collect();
        for space in [Space::Sample, Space::Weight] {
            found.extend(basin(work, space)?);
        }
        Ok(found)
    });
}

fn basin<B: Backend>((network, net, samples): &mut Work<'_, B>, space: Space) -> Result<Vec<f64>> {
    let amplitudes = (1..=20).map(|i| 0.05 * f64::from(i)).collect();
    let options = Options { space, amplitudes, trials: 10, ..Options::default() };
    let basin = analysis::basin(net, network, samples, &options, &mut analysis::no_progress)?;
    Ok(basin.curve.iter().map(|point| point.accuracy).collect())
}

/// A network and samples that it labelled itself, so that its own accuracy is one.
type Work<'b, B> = (Network, Net<'b, B, f32>, Samples<B>);

/// Times an analysis, whose curve is the check.
fn whole_analysis<'b, B: Backend>(
    bench: &mut Bench<'b, B>,
    case: (&str, usize),
    curve: impl Fn(&mut Work<'b, B>) -> Result<Vec<f64>>,
) {
    let checks = bench.checks(case);
    let make = |backend: &'b B| {
        let network = deep_network();
        let net = Net::new(backend, &network)?;
        let mut split = split(shrunk(case.1));
        let samples = Samples::new(backend, &split)?;
        split.labels = outcome(&net, &samples, samples.len, BnMode::Eval)?.predicted;
        let mut work = (network, net, Samples::new(backend, &split)?);
        checks.record(&curve(&mut work)?);
        Ok(work)
    };
    bench.time(case, shrunk(case.1) as u64, make, |_, work| curve(work).map(drop));
}

/// Gradient of every class's density, under the signs the peers use.
fn class_gradients(labels: &[u8], mass: &[f64]) -> Vec<f64> {
    let centre = |bin: usize| (bin as f64 + 0.5) / BINS as f64 - 0.5;
    let spread: f64 = (0..BINS).map(|bin| centre(bin) * centre(bin)).sum();
    let neurons = layer().neurons;
    let gradient = |class: usize| {
        let of_class = labels.iter().filter(|&&label| usize::from(label) == class).count() as f64;
        let slope: f64 = (0..neurons)
            .map(|neuron| {
                let mass = &mass[(neuron * CLASSES + class) * BINS..][..BINS];
                let slope: f64 = mass.iter().enumerate().map(|(bin, mass)| mass * centre(bin)).sum();
                if hashed(class * neurons + neuron, OF_SIGNS) & 1 == 1 { -slope } else { slope }
            })
            .sum();
        -slope / spread * BINS as f64 / of_class / neurons as f64
    };
    (0..CLASSES).map(gradient).collect()
}
