//! `gram` on every backend, against sums of products written out in f64.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rand_distr::StandardNormal;

on_each_backend!(
    matches_the_definition,
    large_shapes,
    adds_to_what_is_there,
    reads_listed_pixels,
    forms_the_input,
    ranges_do_not_matter,
    a_nan_stays_in_its_column,
    refuses_wrong_lengths
);
on_cpu!(f64_reads_listed_pixels);

/// Either side of a panel of rows, of a task, of a strip and of a tile of the result; no targets.
const SHAPES: [Gram; 12] = [
    Gram { rows: 1, features: 1, targets: 1 },
    Gram { rows: 7, features: 5, targets: 0 },
    Gram { rows: 16, features: 31, targets: 3 },
    Gram { rows: 17, features: 33, targets: 10 },
    Gram { rows: 259, features: 32, targets: 1 },
    Gram { rows: 31, features: 63, targets: 65 },
    Gram { rows: 200, features: 65, targets: 10 },
    Gram { rows: 15, features: 10, targets: 100 },
    Gram { rows: 31, features: 100, targets: 7 },
    Gram { rows: 63, features: 127, targets: 1 },
    Gram { rows: 33, features: 129, targets: 10 },
    Gram { rows: 7, features: 200, targets: 128 },
];

const LARGE: [Gram; 8] = [
    Gram { rows: 512, features: 65, targets: 10 },
    Gram { rows: 1025, features: 32, targets: 1 },
    Gram { rows: 1000, features: 784, targets: 10 },
    Gram { rows: 1000, features: 512, targets: 10 },
    Gram { rows: 200, features: 1280, targets: 7 },
    Gram { rows: 31, features: 2048, targets: 10 },
    Gram { rows: 59_999, features: 65, targets: 10 },
    Gram { rows: 60_000, features: 129, targets: 10 },
];

struct Case {
    desc: Gram,
    z: Vec<f32>,
    targets: Vec<f32>,
    centre: Vec<f64>,
}

impl Case {
    fn new(desc: Gram) -> Case {
        let mut rng = SmallRng::seed_from_u64(desc.rows as u64);
        let Gram { rows, features, targets } = desc;
        Case {
            desc,
            // Far from zero: products that are not centred first lose what is looked for.
            z: (0..rows * features).map(|_| 1000.0 + rng.random_range(-1.0f32..1.0)).collect(),
            targets: (0..rows * targets).map(|_| rng.sample(StandardNormal)).collect(),
            centre: (0..features + targets).map(|i| if i < features { 1000.0 } else { 0.25 }).collect(),
        }
    }

    fn run<B: Backend>(&self, backend: &B, products: f64) -> Vec<f64> {
        let Gram { rows, features, targets } = self.desc;
        let len = features * (features + targets);
        let z = backend.upload(&self.z).unwrap();
        let y = backend.upload(&self.targets).unwrap();
        let centre = backend.upload(&self.centre).unwrap();
        let mut buffer = backend.upload(&vec![products; len]).unwrap();
        let field = Field { z: Part::new(&z, 0, rows * features), noise: None, norm: None };
        let input = Input::Field { field, activation: Activation::Identity, dropout: None };
        let y = Part::new(&y, 0, rows * targets);
        let centre = Part::new(&centre, 0, features + targets);
        backend.gram(self.desc, &input, y, centre, PartMut::new(&mut buffer, 0, len)).unwrap();
        backend.download(Part::new(&buffer, 0, len)).unwrap()
    }

    /// Product (i, j).
    fn definition(&self, i: usize, j: usize) -> f64 {
        let Gram { rows, features, targets } = self.desc;
        let centred = |row: usize, i: usize| {
            let value = if i < features {
                self.z[row * features + i]
            } else {
                self.targets[row * targets + i - features]
            };
            f64::from(value) - self.centre[i]
        };
        (0..rows).map(|row| centred(row, i) * centred(row, j)).sum()
    }

    /// Every product of row i of the result for which `chosen(i)`, added to `before`.
    fn judge<B: Backend>(&self, backend: &B, before: f64, chosen: impl Fn(usize) -> bool) {
        let Gram { rows, features, targets } = self.desc;
        let got = self.run(backend, before);
        let tol = 1e-16 * (rows as f64 + 10.0 + 10.0 * before);
        for (i, got) in got.chunks(features + targets).enumerate().filter(|(i, _)| chosen(*i)) {
            let want: Vec<f64> = (0..got.len()).map(|j| before + self.definition(i, j)).collect();
            assert_close(&format!("{:?}, products of {i}", self.desc), got, &want, 1e-13, tol);
        }
    }
}

fn matches_the_definition<B: Backend>(backend: &B) {
    SHAPES.map(Case::new).iter().for_each(|case| case.judge(backend, 0.0, |_| true));
}

fn large_shapes<B: Backend>(backend: &B) {
    for case in LARGE.map(Case::new) {
        let features = case.desc.features;
        case.judge(backend, 0.0, |i| [0, 63, features - 1].contains(&i));
    }
}

fn adds_to_what_is_there<B: Backend>(backend: &B) {
    Case::new(SHAPES[3]).judge(backend, 7.0, |_| true);
}

fn reads_listed_pixels<B: Backend>(backend: &B) {
    multiplies_listed_pixels::<B, f32>(backend);
}

fn f64_reads_listed_pixels<B: Backend>(backend: &B) {
    multiplies_listed_pixels::<B, f64>(backend);
}

fn multiplies_listed_pixels<B: Backend, R: Real>(backend: &B) {
    let desc = Gram { rows: 2, features: 2, targets: 1 };
    let pixels = backend.upload(&[1u8, 2, 3, 4, 5, 7]).unwrap();
    let index = backend.upload(&[9u32, 2, 0]).unwrap();
    let rows = Rows::Listed { index: &index, start: 1 };
    let input = Input::Pixels { pixels: &pixels, rows, scale: R::one(), shift: R::zero() };
    let y = backend.upload(&[R::of(2.0), R::of(4.0)]).unwrap();
    let centre = backend.upload(&[3.0, 4.0, 1.0]).unwrap();
    let mut products = backend.zeros(6).unwrap();
    let (y, centre) = (Part::new(&y, 0, 2), Part::new(&centre, 0, 3));
    backend.gram(desc, &input, y, centre, PartMut::new(&mut products, 0, 6)).unwrap();
    // Centred rows: (2, 3 | 1) and (−2, −2 | 3).
    assert_eq!(backend.download(Part::new(&products, 0, 6)).unwrap(), [8.0, 10.0, -4.0, 10.0, 13.0, -3.0]);
}

/// Noise, norm, activation and dropout; parts that begin inside their buffers.
fn forms_the_input<B: Backend>(backend: &B) {
    let desc = Gram { rows: 70, features: 37, targets: 3 };
    let Gram { rows, features, targets } = desc;
    let width = features + targets;
    let stored = Stored::<f32>::new(8, rows, features);
    let parts = Parts { noise: true, norm: true, activation: Activation::Tanh, dropout: Some(DROPOUT) };
    let (y, centre) = (values::<f32>(20, rows * targets + 1), values::<f64>(21, width + 2));
    let (y_buf, centre_buf) = (backend.upload(&y).unwrap(), backend.upload(&centre).unwrap());
    let mut host = vec![0.0; features * width + 2];
    (host[0], host[features * width + 1]) = (f64::NAN, f64::NAN);
    let mut products = backend.upload(&host).unwrap();
    let uploaded = stored.upload(backend);
    let input = uploaded.whole(parts);
    let (y_part, centre_part) = (Part::new(&y_buf, 1, rows * targets), Part::new(&centre_buf, 2, width));
    let out = PartMut::new(&mut products, 1, features * width);
    backend.gram(desc, &input, y_part, centre_part, out).unwrap();

    let x = stored.x(parts);
    let joined = |row: usize, i: usize| match i.checked_sub(features) {
        None => x[row * features + i],
        Some(k) => f64::from(y[1 + row * targets + k]),
    };
    let centred = |row: usize, i: usize| joined(row, i) - centre[2 + i];
    let pairs = (0..features).flat_map(|i| (0..width).map(move |j| (i, j)));
    let want: Vec<f64> =
        pairs.map(|(i, j)| (0..rows).map(|row| centred(row, i) * centred(row, j)).sum()).collect();
    let got = all(backend, &products);
    assert!(got[0].is_nan() && got[got.len() - 1].is_nan());
    assert_close("products", &got[1..got.len() - 1], &want, 0.0, 1e-5 * rows as f64);
}

/// From denormals to the end of f32's range: f64 holds all products.
fn ranges_do_not_matter<B: Backend>(backend: &B) {
    let desc = Gram { rows: 3, features: 4, targets: 1 };
    let mut case = Case::new(desc);
    case.centre.fill(0.0);
    case.z = [1e-45f32, -3e38, 0.0, 1.0, -1e-40, 3e38, -0.0, -2.0, 7e-45, f32::MAX, 0.0, 4.0].to_vec();
    let got = case.run(backend, 0.0);
    let want: Vec<f64> =
        (0..4).flat_map(|i| (0..5).map(move |j| (i, j))).map(|(i, j)| case.definition(i, j)).collect();
    assert_close("products", &got, &want, 1e-13, 0.0);
}

fn a_nan_stays_in_its_column<B: Backend>(backend: &B) {
    let mut case = Case::new(SHAPES[3]);
    let Gram { features, targets, .. } = case.desc;
    case.z[5 * features + 7] = f32::NAN;
    for (i, products) in case.run(backend, 0.0).chunks(features + targets).enumerate() {
        let lost = |(j, product): (usize, &f64)| product.is_nan() == (i == 7 || j == 7);
        assert!(products.iter().enumerate().all(lost), "products of {i}: {products:?}");
    }
}

fn refuses_wrong_lengths<B: Backend>(backend: &B) {
    let z = backend.upload(&[1.0f32; 6]).unwrap();
    let centre = backend.upload(&[0.0; 3]).unwrap();
    let mut products = backend.zeros(6).unwrap();
    let field = Field { z: Part::new(&z, 0, 6), noise: None, norm: None };
    let input = Input::Field { field, activation: Activation::Identity, dropout: None };
    for (rows, features, targets) in [(2, 2, 1), (3, 1, 2), (3, 2, 2)] {
        let desc = Gram { rows, features, targets };
        let (y, centre) = (Part::new(&z, 0, 3), Part::new(&centre, 0, 3));
        let err = backend.gram(desc, &input, y, centre, PartMut::new(&mut products, 0, 6)).unwrap_err();
        assert!(matches!(err, Error::Shape { op: "gram", .. }), "{err}");
    }
}

#[test]
fn threads_do_not_matter() {
    let case = Case::new(Gram { rows: 700, features: 130, targets: 10 });
    let with = |threads| Cpu::new(threads).unwrap().install(|cpu| Ok(case.run(cpu, 0.0))).unwrap();
    let one = with(1);
    assert_eq!(with(2), one);
    assert_eq!(with(3), one);
}
