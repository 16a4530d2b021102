//! `class_sums` and `class_cosines` on every backend, against sums written out in f64.

use crate::common::{assert_close, cpu};
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::{Activation, Backend, ClassSums, Field, Input, Labels, Part, PartMut, Rows};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

on_each_backend!(
    sums_match_the_definition,
    cosines_match_the_definition,
    adds_to_what_is_there,
    chunks_do_not_matter,
    reads_listed_pixels,
    zero_vectors_have_cosine_zero,
    refuses_labels_that_are_no_class,
    refuses_wrong_lengths
);

/// Either side of a panel, of a task and of a group of lanes; classes without a sample.
const SHAPES: [ClassSums; 6] = [
    ClassSums { rows: 1, features: 1, classes: 1 },
    ClassSums { rows: 5, features: 7, classes: 10 },
    ClassSums { rows: 17, features: 8, classes: 3 },
    ClassSums { rows: 100, features: 33, classes: 10 },
    ClassSums { rows: 513, features: 20, classes: 10 },
    ClassSums { rows: 1025, features: 3, classes: 2 },
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

fn relu<B: Backend>(z: Part<'_, B, f32>) -> Input<'_, B, f32> {
    Input::Field { field: Field { z, noise: None, norm: None }, activation: Activation::Relu, dropout: None }
}

fn sums_match_the_definition<B: Backend>(backend: &B) {
    for case in SHAPES.map(Case::new) {
        let features = case.desc.features;
        let mut want = vec![0.0; case.centres.len()];
        for (x, class) in case.samples() {
            want[class * features..][..features].iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
        }
        assert_close("sums", &case.all_sums(backend), &want, 1e-13, 0.0);
    }
}

fn cosines_match_the_definition<B: Backend>(backend: &B) {
    for case in SHAPES.map(Case::new) {
        let features = case.desc.features;
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |(x, class): (Vec<f64>, usize)| {
            let centre = &case.centres[class * features..][..features];
            let lengths = dot(&x, &x).sqrt() * dot(centre, centre).sqrt();
            if lengths > 0.0 { dot(&x, centre) / lengths } else { 0.0 }
        };
        let want: Vec<f64> = case.samples().map(cosine).collect();
        assert_close("cosines", &case.cosines(backend), &want, 0.0, 1e-14);
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
    let case = Case::new(SHAPES[4]);
    let mut sums = vec![0.0; case.centres.len()];
    for (first, rows) in [(0, 1), (1, 16), (17, 496)] {
        sums = case.sums(backend, first, rows, sums);
    }
    assert_eq!(sums, case.all_sums(backend));
}

fn reads_listed_pixels<B: Backend>(backend: &B) {
    let desc = ClassSums { rows: 3, features: 2, classes: 2 };
    let pixels = backend.upload(&[1u8, 2, 3, 4, 5, 6, 255, 0]).unwrap();
    let labels = backend.upload(&[0u8, 1, 1, 9]).unwrap();
    let index = backend.upload(&[3u32, 2, 0, 1]).unwrap();
    let rows = Rows::Listed { index: &index, start: 1 };
    let input = Input::Pixels { pixels: &pixels, rows, scale: 2.0f64, shift: -1.0 };
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

fn zero_vectors_have_cosine_zero<B: Backend>(backend: &B) {
    let mut case = Case::new(SHAPES[3]);
    case.z[33..66].fill(-0.5); // x of row 1 is zero
    case.labels[2] = 4;
    case.centres[4 * 33..5 * 33].fill(0.0);
    let cosines = case.cosines(backend);
    assert_eq!(cosines[1..3], [0.0, 0.0]);
    assert!(cosines[0] != 0.0);
}

fn refuses_labels_that_are_no_class<B: Backend>(backend: &B) {
    let desc = ClassSums { rows: 2, features: 1, classes: 2 };
    let z = backend.upload(&[1.0f32, 2.0]).unwrap();
    let labels = backend.upload(&[1u8, 2]).unwrap();
    let mut sums = backend.zeros(2).unwrap();
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    let out = PartMut::new(&mut sums, 0, 2);
    let err = backend.class_sums(desc, &relu(Part::new(&z, 0, 2)), labels, out).unwrap_err();
    assert!(matches!(&err, Error::Failed(what) if what.contains("label 2 of sample 1")), "{err}");
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
