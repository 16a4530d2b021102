//! `class_sums` and `class_cosines` on every backend, against sums written out in f64.

use crate::common::{assert_close, cpu};
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

on_each_backend!(
    sums_match_the_definition,
    cosines_match_the_definition,
    large_shapes,
    sums_are_the_cpus,
    adds_to_what_is_there,
    chunks_do_not_matter,
    large_chunks_do_not_matter,
    reads_listed_pixels,
    forms_the_input,
    zero_vectors_have_cosine_zero,
    lengths_do_not_matter,
    only_rows_with_a_nan_are_lost,
    refuses_labels_that_are_no_class,
    refuses_wrong_lengths
);
on_cpu!(f64_reads_listed_pixels);

/// Either side of a panel, of a task, of a block of rows and of a group of lanes; classes without a sample.
const SHAPES: [ClassSums; 14] = [
    ClassSums { rows: 1, features: 1, classes: 1 },
    ClassSums { rows: 5, features: 7, classes: 10 },
    ClassSums { rows: 17, features: 8, classes: 3 },
    ClassSums { rows: 100, features: 33, classes: 10 },
    ClassSums { rows: 259, features: 10, classes: 1 },
    ClassSums { rows: 31, features: 63, classes: 7 },
    ClassSums { rows: 255, features: 65, classes: 10 },
    ClassSums { rows: 257, features: 100, classes: 10 },
    ClassSums { rows: 1, features: 127, classes: 200 },
    ClassSums { rows: 200, features: 128, classes: 255 },
    ClassSums { rows: 65, features: 129, classes: 2 },
    ClassSums { rows: 31, features: 200, classes: 10 },
    ClassSums { rows: 129, features: 31, classes: 1 },
    ClassSums { rows: 256, features: 32, classes: 3 },
];

const LARGE: [ClassSums; 8] = [
    ClassSums { rows: 513, features: 20, classes: 10 },
    ClassSums { rows: 1025, features: 3, classes: 2 },
    ClassSums { rows: 1000, features: 784, classes: 10 },
    ClassSums { rows: 1000, features: 512, classes: 200 },
    ClassSums { rows: 200, features: 1280, classes: 10 },
    ClassSums { rows: 31, features: 2048, classes: 10 },
    ClassSums { rows: 59_999, features: 65, classes: 10 },
    ClassSums { rows: 60_000, features: 100, classes: 3 },
];

/// A ReLU layer without a norm: x = max(0, z).
struct Case {
    desc: ClassSums,
    z: Vec<f32>,
    labels: Vec<u8>,
    centres: Vec<f64>,
}

impl Case {
    fn new(desc: ClassSums) -> Case {
        let mut rng = SmallRng::seed_from_u64(desc.rows as u64);
        let ClassSums { rows, features, classes } = desc;
        Case {
            desc,
            z: (0..rows * features).map(|_| rng.random_range(-1.0..1.0)).collect(),
            labels: (0..rows).map(|_| rng.random_range(0..classes as u8)).collect(),
            centres: (0..classes * features).map(|_| rng.random_range(-1.0..1.0)).collect(),
        }
    }

    /// x of every row with its class.
    fn samples(&self) -> impl Iterator<Item = (Vec<f64>, usize)> {
        let x = self.z.chunks(self.desc.features).map(|z| z.iter().map(|&z| f64::from(z.max(0.0))).collect());
        x.zip(self.labels.iter().map(|&label| usize::from(label)))
    }

    /// Adds the rows from `first` on to `sums`.
    fn sums<B: Backend>(&self, backend: &B, first: usize, rows: usize, sums: Vec<f64>) -> Vec<f64> {
        let desc = ClassSums { rows, ..self.desc };
        let z = backend.upload(&self.z).unwrap();
        let labels = backend.upload(&self.labels).unwrap();
        let mut buffer = backend.upload(&sums).unwrap();
        let input = relu(Part::new(&z, first * desc.features, rows * desc.features));
        let labels = Labels { labels: &labels, rows: Rows::From(first) };
        backend.class_sums(desc, &input, labels, PartMut::new(&mut buffer, 0, sums.len())).unwrap();
        backend.download(Part::new(&buffer, 0, sums.len())).unwrap()
    }

    fn judge_sums<B: Backend>(&self, backend: &B) {
        let features = self.desc.features;
        let mut want = vec![0.0; self.centres.len()];
        for (x, class) in self.samples() {
            want[class * features..][..features].iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
        assert_close("sums", &self.all_sums(backend), &want, 1e-13, 0.0);
    }

    fn judge_cosines<B: Backend>(&self, backend: &B) {
        let features = self.desc.features;
        let cosine = |(x, class): (Vec<f64>, usize)| {
            let centre = &self.centres[class * features..][..features];
            let lengths = dot(&x, &x).sqrt() * dot(centre, centre).sqrt();
            if lengths > 0.0 { dot(&x, centre) / lengths } else { 0.0 }
        };
        let want: Vec<f64> = self.samples().map(cosine).collect();
        assert_close("cosines", &self.cosines(backend), &want, 0.0, 1e-14);
    }

    fn all_sums<B: Backend>(&self, backend: &B) -> Vec<f64> {
        self.sums(backend, 0, self.desc.rows, vec![0.0; self.centres.len()])
    }

    fn cosines<B: Backend>(&self, backend: &B) -> Vec<f64> {
        let ClassSums { rows, features, .. } = self.desc;
        let z = backend.upload(&self.z).unwrap();
        let labels = backend.upload(&self.labels).unwrap();
        let centres = backend.upload(&self.centres).unwrap();
        let mut cosines = backend.upload(&vec![f64::NAN; rows]).unwrap();
        let input = relu(Part::new(&z, 0, rows * features));
        let labels = Labels { labels: &labels, rows: Rows::From(0) };
        let centres = Part::new(&centres, 0, self.centres.len());
        let out = PartMut::new(&mut cosines, 0, rows);
        backend.class_cosines(self.desc, &input, labels, centres, out).unwrap();
        backend.download(Part::new(&cosines, 0, rows)).unwrap()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn relu<B: Backend>(z: Part<'_, B, f32>) -> Input<'_, B, f32> {
    Input::Field { field: Field { z, noise: None, norm: None }, activation: Activation::Relu, dropout: None }
}

fn sums_match_the_definition<B: Backend>(backend: &B) {
    SHAPES.map(Case::new).iter().for_each(|case| case.judge_sums(backend));
}

fn cosines_match_the_definition<B: Backend>(backend: &B) {
    SHAPES.map(Case::new).iter().for_each(|case| case.judge_cosines(backend));
}

fn large_shapes<B: Backend>(backend: &B) {
    for case in LARGE.map(Case::new) {
        case.judge_sums(backend);
        case.judge_cosines(backend);
    }
}

/// Rows are added one after the other on every processor.
fn sums_are_the_cpus<B: Backend>(backend: &B) {
    for case in [SHAPES[3], SHAPES[7], SHAPES[9]].map(Case::new) {
        let got = case.all_sums(backend);
        cpu(|cpu| assert_eq!(case.all_sums(cpu), got));
    }
}

fn adds_to_what_is_there<B: Backend>(backend: &B) {
    let case = Case::new(SHAPES[1]);
    let got = case.sums(backend, 0, 5, vec![100.0; case.centres.len()]);
    let want: Vec<f64> = case.all_sums(backend).iter().map(|sum| sum + 100.0).collect();
    assert_close("sums", &got, &want, 1e-14, 0.0);
}

/// However the caller cuts a set into calls, a class is summed in order of rows.
fn chunks_do_not_matter<B: Backend>(backend: &B) {
    same_in_chunks(backend, SHAPES[7], &[1, 16, 111, 129]);
}

fn large_chunks_do_not_matter<B: Backend>(backend: &B) {
    same_in_chunks(backend, LARGE[0], &[1, 16, 496]);
    same_in_chunks(backend, LARGE[6], &[31, 20_000, 39_967, 1]);
}

fn same_in_chunks<B: Backend>(backend: &B, desc: ClassSums, chunks: &[usize]) {
    let case = Case::new(desc);
    let (mut sums, mut first) = (vec![0.0; case.centres.len()], 0);
    for &rows in chunks {
        sums = case.sums(backend, first, rows, sums);
        first += rows;
    }
    assert_eq!(first, desc.rows);
    assert_eq!(sums, case.all_sums(backend));
}

fn reads_listed_pixels<B: Backend>(backend: &B) {
    sums_listed_pixels::<B, f32>(backend);
}

fn f64_reads_listed_pixels<B: Backend>(backend: &B) {
    sums_listed_pixels::<B, f64>(backend);
}

fn sums_listed_pixels<B: Backend, R: Real>(backend: &B) {
    let desc = ClassSums { rows: 3, features: 2, classes: 2 };
    let pixels = backend.upload(&[1u8, 2, 3, 4, 5, 6, 255, 0]).unwrap();
    let labels = backend.upload(&[0u8, 1, 1, 9]).unwrap();
    let index = backend.upload(&[3u32, 2, 0, 1]).unwrap();
    let rows = Rows::Listed { index: &index, start: 1 };
    let input = Input::Pixels { pixels: &pixels, rows, scale: R::of(2.0), shift: R::of(-1.0) };
    let labels = Labels { labels: &labels, rows };
    let mut sums = backend.zeros(4).unwrap();
    backend.class_sums(desc, &input, labels, PartMut::new(&mut sums, 0, 4)).unwrap();
    assert_eq!(backend.download(Part::new(&sums, 0, 4)).unwrap(), [1.0, 3.0, 14.0, 18.0]);

    let centres = backend.upload(&[1.0, 0.0, 0.0, -1.0]).unwrap();
    let mut cosines = backend.upload(&[f64::NAN; 3]).unwrap();
    let (centres, out) = (Part::new(&centres, 0, 4), PartMut::new(&mut cosines, 0, 3));
    backend.class_cosines(desc, &input, labels, centres, out).unwrap();
    let want = [-11.0 / 202f64.sqrt(), 1.0 / 10f64.sqrt(), -7.0 / 74f64.sqrt()];
    assert_close("cosines", &backend.download(Part::new(&cosines, 0, 3)).unwrap(), &want, 1e-15, 0.0);
}

/// Noise, norm, activation and dropout; parts that begin inside their buffers.
fn forms_the_input<B: Backend>(backend: &B) {
    let desc = ClassSums { rows: 70, features: 37, classes: 4 };
    let ClassSums { rows, features, classes } = desc;
    let stored = Stored::<f32>::new(8, rows, features);
    let parts = Parts { noise: true, norm: true, activation: Activation::Tanh, dropout: Some(DROPOUT) };
    let classes_of: Vec<u8> = bytes(3, rows).iter().map(|b| b % classes as u8).collect();
    let labels = backend.upload(&classes_of).unwrap();
    let mut sums = backend.upload(&vec![f64::NAN; classes * features + 2]).unwrap();
    let zeros = vec![0.0; classes * features];
    backend.write(&zeros, PartMut::new(&mut sums, 1, zeros.len())).unwrap();
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    let out = PartMut::new(&mut sums, 1, zeros.len());
    backend.class_sums(desc, &stored.upload(backend).whole(parts), labels, out).unwrap();
    let mut want = zeros;
    for (x, &class) in stored.x(parts).chunks(features).zip(&classes_of) {
        want[usize::from(class) * features..][..features].iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }
    let got = all(backend, &sums);
    assert!(got[0].is_nan() && got[got.len() - 1].is_nan());
    assert_close("sums", &got[1..got.len() - 1], &want, 0.0, 1e-5 * rows as f64);
}

fn zero_vectors_have_cosine_zero<B: Backend>(backend: &B) {
    let mut case = Case::new(SHAPES[3]);
    case.z[33..66].fill(-0.5); // x of row 1 is zero
    case.labels[2] = 4;
    case.centres[4 * 33..5 * 33].fill(0.0);
    let cosines = case.cosines(backend);
    assert_eq!(cosines[1..3], [0.0, 0.0]);
    assert!(cosines[0] != 0.0);
}

/// Denormal and huge vectors have the cosines of ordinary ones: squares are taken in f64.
fn lengths_do_not_matter<B: Backend>(backend: &B) {
    let mut case = Case::new(SHAPES[3]);
    // Powers of two from a few bits, so that scaling is exact down to the smallest numbers.
    case.z.iter_mut().for_each(|z| *z = (*z * 8.0).round() / 8.0);
    let want = case.cosines(backend);
    for scale in [-146, 124] {
        let mut scaled = Case::new(SHAPES[3]);
        scaled.z = case.z.iter().map(|&z| (f64::from(z) * 2f64.powi(scale)) as f32).collect();
        assert_close("cosines", &scaled.cosines(backend), &want, 0.0, 1e-14);
    }
}

fn only_rows_with_a_nan_are_lost<B: Backend>(backend: &B) {
    let mut case = Case::new(SHAPES[3]);
    case.z[2 * 33 + 7] = f32::NAN;
    let cosines = case.cosines(backend);
    assert!(cosines.iter().enumerate().all(|(row, cosine)| cosine.is_nan() == (row == 2)), "{cosines:?}");
    let lost = usize::from(case.labels[2]) * 33 + 7;
    let sums = case.all_sums(backend);
    assert!(sums.iter().enumerate().all(|(i, sum)| sum.is_nan() == (i == lost)), "{sums:?}");
}

/// The first of them in order of rows is named, and nothing is written.
fn refuses_labels_that_are_no_class<B: Backend>(backend: &B) {
    let (rows, classes) = (600, 3);
    let desc = ClassSums { rows, features: 1, classes };
    let z = backend.upload(&vec![1.0f32; rows]).unwrap();
    let mut of_samples = vec![1u8; rows + 2];
    (of_samples[40], of_samples[301], of_samples[555]) = (3, 255, 4);
    let labels = backend.upload(&of_samples).unwrap();
    let index: Vec<u32> = (0..rows as u32 + 2).rev().collect();
    let index = backend.upload(&index).unwrap();
    for (which, what) in [
        (Rows::From(2), "label 3 of sample 40 is none of the network's 3 classes"),
        (Rows::Listed { index: &index, start: 1 }, "label 4 of sample 555 is none"),
    ] {
        let labels = Labels { labels: &labels, rows: which };
        let input = relu(Part::new(&z, 0, rows));
        let mut out = backend.upload(&vec![7.0; rows]).unwrap();
        let err = backend.class_sums(desc, &input, labels, PartMut::new(&mut out, 0, classes)).unwrap_err();
        assert!(matches!(&err, Error::Failed(says) if says.contains(what)), "{err}");
        let centres = backend.upload(&vec![1.0; classes]).unwrap();
        let (centres, to) = (Part::new(&centres, 0, classes), PartMut::new(&mut out, 0, rows));
        let err = backend.class_cosines(desc, &input, labels, centres, to).unwrap_err();
        assert!(matches!(&err, Error::Failed(says) if says.contains(what)), "{err}");
        assert!(all(backend, &out).iter().all(|&sum| sum == 7.0));
    }
}

fn refuses_wrong_lengths<B: Backend>(backend: &B) {
    let z = backend.upload(&[1.0f32; 6]).unwrap();
    let labels = backend.upload(&[0u8; 3]).unwrap();
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    let mut sums = backend.zeros(4).unwrap();
    for (rows, features, classes) in [(2, 2, 2), (3, 2, 3), (6, 1, 4)] {
        let desc = ClassSums { rows, features, classes };
        let out = PartMut::new(&mut sums, 0, 4);
        let err = backend.class_sums(desc, &relu(Part::new(&z, 0, 6)), labels, out).unwrap_err();
        assert!(matches!(err, Error::Shape { op: "class_sums", .. }), "{err}");
    }
}

#[test]
fn threads_do_not_matter() {
    let case = Case::new(ClassSums { rows: 1300, features: 21, classes: 10 });
    let both = |cpu: &Cpu| Ok((case.all_sums(cpu), case.cosines(cpu)));
    let one = Cpu::new(1).unwrap().install(both).unwrap();
    assert_eq!(Cpu::new(3).unwrap().install(both).unwrap(), one);
    cpu(|cpu| assert_eq!(both(cpu).unwrap(), one));
}
