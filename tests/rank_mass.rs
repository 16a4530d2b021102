//! `rank_mass` on every backend, against ranking by comparison of all pairs.

use crate::common::assert_close;
use crate::reference::{PLAIN, Parts, Stored};
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::{Backend, Field, Input, Labels, Part, PartMut, RankMass, Real, Rows};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};

on_each_backend!(
    matches_all_pairs,
    exact_on_hard_fields,
    ties_cut_by_borders,
    zeros_of_either_sign_are_equal,
    ignores_the_order_of_samples,
    mirror_symmetric,
    ranks_the_local_field,
    takes_labels_of_listed_rows,
    slope_is_the_statistic_of_mann_and_whitney,
    names_the_neuron_with_nan,
    refuses_labels_that_are_no_class,
    refuses_wrong_lengths,
    large_batches_match,
    large_batches_of_hard_fields,
);
on_cpu!(f64_matches_all_pairs, f64_exact_on_hard_fields);

/// Odd on purpose: one sample, more bins than samples, bins that do not divide, several groups of columns, every label
/// there is.
const SHAPES: [RankMass; 13] = [
    RankMass { rows: 1, neurons: 1, classes: 1, bins: 1 },
    RankMass { rows: 3, neurons: 2, classes: 2, bins: 100 },
    RankMass { rows: 7, neurons: 17, classes: 3, bins: 4 },
    RankMass { rows: 31, neurons: 3, classes: 256, bins: 300 },
    RankMass { rows: 100, neurons: 33, classes: 10, bins: 10 },
    RankMass { rows: 200, neurons: 7, classes: 300, bins: 7 },
    RankMass { rows: 259, neurons: 16, classes: 10, bins: 100 },
    RankMass { rows: 259, neurons: 1, classes: 4, bins: 259 },
    RankMass { rows: 10, neurons: 63, classes: 2, bins: 10 },
    RankMass { rows: 63, neurons: 65, classes: 3, bins: 5 },
    RankMass { rows: 65, neurons: 2, classes: 10, bins: 63 },
    RankMass { rows: 127, neurons: 1, classes: 7, bins: 128 },
    RankMass { rows: 128, neurons: 2, classes: 4, bins: 127 },
];

/// Enough samples that buckets are cut and parted again.
const LARGE: [RankMass; 4] = [
    RankMass { rows: 1000, neurons: 5, classes: 4, bins: 7 },
    RankMass { rows: 3001, neurons: 2, classes: 10, bins: 100 },
    RankMass { rows: 3001, neurons: 2, classes: 10, bins: 1000 },
    RankMass { rows: 4999, neurons: 1, classes: 3, bins: 2 },
];

fn matches_all_pairs<B: Backend>(backend: &B) {
    SHAPES.into_iter().for_each(|desc| matches::<B, f32>(backend, desc));
}

fn f64_matches_all_pairs<B: Backend>(backend: &B) {
    SHAPES.into_iter().chain(LARGE).for_each(|desc| matches::<B, f64>(backend, desc));
}

fn large_batches_match<B: Backend>(backend: &B) {
    LARGE.into_iter().for_each(|desc| matches::<B, f32>(backend, desc));
}

fn matches<B: Backend, R: Real>(backend: &B, desc: RankMass) {
    let mut rng = SmallRng::seed_from_u64(desc.rows as u64);
    let labels = labels(desc, &mut rng);
    let z: Vec<f64> = (0..desc.rows * desc.neurons).map(|_| rng.random_range(-3.0..3.0)).collect();
    for z in [z.iter().map(|&z| R::of(z)).collect(), z.iter().map(|z| R::of(z.round())).collect::<Vec<R>>()] {
        let want = all_pairs(desc, &z, &labels);
        assert_close(&format!("{desc:?}"), &run(backend, desc, &z, &labels), &want, 0.0, 1e-11);
    }
}

fn exact_on_hard_fields<B: Backend>(backend: &B) {
    hard_fields::<B, f32>(backend, 259);
}

fn f64_exact_on_hard_fields<B: Backend>(backend: &B) {
    hard_fields::<B, f64>(backend, 3001);
}

fn large_batches_of_hard_fields<B: Backend>(backend: &B) {
    hard_fields::<B, f32>(backend, 3001);
}

fn hard_fields<B: Backend, R: Real>(backend: &B, rows: usize) {
    let desc = RankMass { rows, neurons: 1, classes: 10, bins: 100 };
    let mut rng = SmallRng::seed_from_u64(1);
    let labels = labels(desc, &mut rng);
    let noise: Vec<f64> = (0..desc.rows).map(|_| rng.random_range(-1.0..1.0)).collect();
    for (name, field) in HARD {
        let z: Vec<R> = noise.iter().enumerate().map(|(i, &x)| R::of(field(i, x))).collect();
        assert_close(name, &run(backend, desc, &z, &labels), &all_pairs(desc, &z, &labels), 0.0, 1e-11);
    }
}

/// A field from the number of the sample and a number in (−1, 1).
type Hard = (&'static str, fn(usize, f64) -> f64);

pub const HARD: [Hard; 11] = [
    ("all equal", |_, _| 0.25),
    ("two values", |i, _| (i % 2) as f64),
    ("zeros of either sign", |i, x| if i % 3 > 0 { 0.0f64.copysign(x) } else { x * 1e-45 }),
    ("one outlier", |i, x| if i == 77 { 1e38 } else { x }),
    ("infinities", |i, x| [f64::INFINITY, f64::NEG_INFINITY, x][i % 3]),
    ("denormal", |_, x| x * 1e-40),
    ("below f32", |_, x| x * 1e-310),
    ("beyond f32", |_, x| x * 1e300),
    ("neighbouring numbers", |i, _| {
        let step = (i * 7919 % 3001) as u64;
        f64::from(f32::from_bits(1f32.to_bits() + step as u32)) + f64::EPSILON * step as f64
    }),
    ("tight clusters", |i, x| (i % 3) as f64 + 1e-6 * x),
    ("all magnitudes", |_, x| (300.0 * x).exp() * x.signum()),
];

/// Five samples in two bins, worked out by hand: the tie of three fills positions 2…4, which is 0.2…0.8.
fn ties_cut_by_borders<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 5, neurons: 1, classes: 2, bins: 2 };
    let got = run(backend, desc, &[1.0f32, 5.0, 1.0, 1.0, -2.0], &[0, 0, 1, 1, 1]);
    assert_close("mass", &got, &[1.5, 0.5, 1.0, 2.0], 0.0, 1e-15);
    // No tie: position 3 is cut in the middle all the same.
    let got = run(backend, desc, &[3.0f32, 5.0, 4.0, 2.0, -2.0], &[0, 0, 1, 1, 1]);
    assert_close("mass", &got, &[1.5, 0.5, 1.0, 2.0], 0.0, 1e-15);
}

fn zeros_of_either_sign_are_equal<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 4, neurons: 1, classes: 2, bins: 2 };
    let got = run(backend, desc, &[0.0f32, -0.0, 0.0, -0.0], &[0, 1, 0, 1]);
    assert_eq!(got, [1.0; 4]);
}

/// Bit for bit, with ties and without.
fn ignores_the_order_of_samples<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 259, neurons: 1, classes: 10, bins: 100 };
    let mut rng = SmallRng::seed_from_u64(2);
    for steps in [0.3, 3.0, 1e6] {
        let mut samples: Vec<(f32, u8)> = (0..desc.rows)
            .map(|_| ((rng.random_range(-1.0f32..1.0) * steps).round(), rng.random_range(0..10)))
            .collect();
        let mass_of = |samples: &[(f32, u8)]| {
            let (z, labels): (Vec<f32>, Vec<u8>) = samples.iter().copied().unzip();
            run(backend, desc, &z, &labels)
        };
        let first = mass_of(&samples);
        for _ in 0..3 {
            samples.shuffle(&mut rng);
            assert_eq!(mass_of(&samples), first);
        }
    }
}

/// The mass under −h is the mass under h reversed.
fn mirror_symmetric<B: Backend>(backend: &B) {
    for desc in SHAPES {
        let mut rng = SmallRng::seed_from_u64(desc.bins as u64);
        let labels = labels(desc, &mut rng);
        for steps in [2.0, 50.0, 1e6] {
            let draw = |_| (rng.random_range(-1.0f32..1.0) * steps).round();
            let z: Vec<f32> = (0..desc.rows * desc.neurons).map(draw).collect();
            let minus: Vec<f32> = z.iter().map(|z| -z).collect();
            let mut got = run(backend, desc, &minus, &labels);
            got.chunks_mut(desc.bins).for_each(|bins| bins.reverse());
            assert_close("mass", &got, &run(backend, desc, &z, &labels), 0.0, 1e-12);
        }
    }
}

/// With noise and a norm whose γ is negative for some neurons, the ranks are those of h, rounded as in the forward
/// pass.
fn ranks_the_local_field<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 259, neurons: 39, classes: 3, bins: 10 };
    let labels = labels(desc, &mut SmallRng::seed_from_u64(3));
    let stored = Stored::<f32>::new(4, desc.rows, desc.neurons);
    let h = |at: usize| {
        let (row, i) = (at / desc.neurons, at % desc.neurons);
        let [mean, inv_std, gamma, beta] = stored.norm.each_ref().map(|part| part[i]);
        gamma * ((stored.z[at] + stored.amplitude[row] * stored.xi[at] - mean) * inv_std) + beta
    };
    let h: Vec<f32> = (0..stored.z.len()).map(h).collect();
    let want = all_pairs(desc, &h, &labels);

    let uploaded = stored.upload(backend);
    let input = uploaded.whole(Parts { noise: true, norm: true, ..PLAIN });
    let Input::Field { field, .. } = input else { unreachable!() };
    let labels = backend.upload(&labels).unwrap();
    let got = run_field(backend, desc, &field, Labels { labels: &labels, rows: Rows::From(0) }).unwrap();
    assert_close("mass", &got, &want, 0.0, 1e-11);
}

fn takes_labels_of_listed_rows<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 4, neurons: 1, classes: 3, bins: 4 };
    let stored = backend.upload(&[9u8, 0, 1, 2, 9]).unwrap();
    let index = backend.upload(&[4u32, 3, 1, 2, 1]).unwrap();
    let z = backend.upload(&[4.0f32, 3.0, 2.0, 1.0]).unwrap();
    let field = Field { z: Part::new(&z, 0, 4), noise: None, norm: None };
    let listed = Labels { labels: &stored, rows: Rows::Listed { index: &index, start: 1 } };
    let got = run_field(backend, desc, &field, listed).unwrap();
    assert_eq!(got, [0., 1., 0., 1., 0., 0., 1., 0., 1., 0., 0., 0.]);
}

/// Minus the least-squares slope of a class's density is 6 (2 AUC − 1)(1 − π) in the limit of many bins; with
/// one bin a sample it is that times 1/(1 − 1/B²) exactly.
fn slope_is_the_statistic_of_mann_and_whitney<B: Backend>(backend: &B) {
    let strategy = (2usize..80, 1usize..4, any::<u64>());
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&strategy, |(rows, shift, seed)| {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut z: Vec<f32> = (0..rows).map(|i| i as f32).collect();
            z.shuffle(&mut rng);
            let labels: Vec<u8> = (0..rows).map(|i| u8::from(i % (shift + 1) > 0)).collect();
            let desc = RankMass { rows, neurons: 1, classes: 2, bins: rows };
            let mass = run(backend, desc, &z, &labels);

            for class in 0..2u8 {
                let labels = &labels;
                let of = |own: bool| (0..rows).filter(move |&i| (labels[i] == class) == own);
                let (own, rest) = (of(true).count() as f64, of(false).count() as f64);
                let wins = of(true).flat_map(|i| of(false).map(move |j| (i, j)));
                let auc = wins.filter(|&(i, j)| z[i] > z[j]).count() as f64 / (own * rest);
                let bins = rows as f64;
                let want = 6.0 * (2.0 * auc - 1.0) * (rest / bins) / (1.0 - 1.0 / (bins * bins));

                let density = mass[usize::from(class) * rows..][..rows].iter().map(|m| m * bins / own);
                let points = density.enumerate().map(|(j, d)| ((j as f64 + 0.5) / bins - 0.5, d));
                let (xy, xx) = points.fold((0.0, 0.0), |(xy, xx), (x, d)| (xy + x * d, xx + x * x));
                prop_assert!((-xy / xx - want).abs() <= 1e-9, "{} for {want}", -xy / xx);
            }
            Ok(())
        })
        .unwrap();
}

fn names_the_neuron_with_nan<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 40, neurons: 70, classes: 1, bins: 10 };
    let mut z = vec![0.5f32; desc.rows * desc.neurons];
    for neuron in [69, 41, 45] {
        z[17 * desc.neurons + neuron] = f32::NAN;
    }
    let z = backend.upload(&z).unwrap();
    let labels = backend.upload(&[0u8; 40]).unwrap();
    let field = Field { z: Part::new(&z, 0, desc.rows * desc.neurons), noise: None, norm: None };
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    let err = run_field(backend, desc, &field, labels).unwrap_err();
    assert!(matches!(&err, Error::Failed(what) if what.contains("neuron 41 ")), "{err}");
}

fn refuses_labels_that_are_no_class<B: Backend>(backend: &B) {
    let desc = RankMass { rows: 3, neurons: 1, classes: 2, bins: 1 };
    let z = backend.upload(&[0.0f32; 3]).unwrap();
    let labels = backend.upload(&[0u8, 1, 2]).unwrap();
    let field = Field { z: Part::new(&z, 0, 3), noise: None, norm: None };
    let err = run_field(backend, desc, &field, Labels { labels: &labels, rows: Rows::From(0) }).unwrap_err();
    assert!(matches!(&err, Error::Failed(what) if what.contains("label 2 of sample 2")), "{err}");
}

fn refuses_wrong_lengths<B: Backend>(backend: &B) {
    let z = backend.upload(&[0.0f32; 6]).unwrap();
    let labels = backend.upload(&[0u8; 3]).unwrap();
    let field = Field { z: Part::new(&z, 0, 6), noise: None, norm: None };
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    let good = RankMass { rows: 3, neurons: 2, classes: 2, bins: 2 };
    assert!(run_field(backend, good, &field, labels).is_ok());
    for desc in [
        RankMass { rows: 2, ..good },
        RankMass { neurons: 3, ..good },
        RankMass { bins: 0, ..good },
        RankMass { rows: 6, neurons: 1, ..good },
    ] {
        let err = run_field(backend, desc, &field, labels).unwrap_err();
        assert!(matches!(err, Error::Shape { op: "rank_mass", .. }), "{err}");
    }
}

/// More threads, the same bits.
#[test]
fn threads_do_not_matter() {
    let desc = RankMass { rows: 999, neurons: 50, classes: 10, bins: 100 };
    let mut rng = SmallRng::seed_from_u64(4);
    let labels = labels(desc, &mut rng);
    let z: Vec<f32> =
        (0..desc.rows * desc.neurons).map(|_| (rng.random_range(-9.0f32..9.0)).round()).collect();
    let work = |cpu: &Cpu| Ok(run(cpu, desc, &z, &labels));
    let with = |threads| Cpu::new(threads).unwrap().install(work).unwrap();
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(3), one);
}

/// The definition, one pair of samples at a time.
fn all_pairs<R: Real>(desc: RankMass, z: &[R], labels: &[u8]) -> Vec<f64> {
    let RankMass { rows, neurons, classes, bins } = desc;
    let mut mass = vec![0.0; neurons * classes * bins];
    for neuron in 0..neurons {
        let key = |i: usize| z[i * neurons + neuron];
        for (i, &label) in labels.iter().enumerate() {
            let above = (0..rows).filter(|&j| key(j) > key(i)).count();
            let equal = (0..rows).filter(|&j| key(j) == key(i)).count();
            let (start, end) = (above as f64 / rows as f64, (above + equal) as f64 / rows as f64);
            for bin in 0..bins {
                let (low, high) = (bin as f64 / bins as f64, (bin + 1) as f64 / bins as f64);
                let overlap = (end.min(high) - start.max(low)).max(0.0);
                let class = usize::from(label);
                mass[(neuron * classes + class) * bins + bin] += overlap / (end - start);
            }
        }
    }
    mass
}

fn labels(desc: RankMass, rng: &mut SmallRng) -> Vec<u8> {
    (0..desc.rows).map(|_| rng.random_range(0..desc.classes.min(256)) as u8).collect()
}

fn run<R: Real, B: Backend>(backend: &B, desc: RankMass, z: &[R], labels: &[u8]) -> Vec<f64> {
    let (z, labels) = (backend.upload(z).unwrap(), backend.upload(labels).unwrap());
    let field = Field { z: Part::new(&z, 0, desc.rows * desc.neurons), noise: None, norm: None };
    run_field(backend, desc, &field, Labels { labels: &labels, rows: Rows::From(0) }).unwrap()
}

fn run_field<R: Real, B: Backend>(
    backend: &B,
    desc: RankMass,
    field: &Field<'_, B, R>,
    labels: Labels<'_, B>,
) -> netdyn::Result<Vec<f64>> {
    let len = desc.neurons * desc.classes * desc.bins;
    let mut mass = backend.upload(&vec![f64::NAN; len]).unwrap();
    backend.rank_mass(desc, field, labels, PartMut::new(&mut mass, 0, len))?;
    backend.download(Part::new(&mass, 0, len))
}
