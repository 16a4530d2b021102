//! `gram` on every backend, against sums of products written out in f64.

use crate::common::assert_close;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::{Activation, Backend, Field, Gram, Input, Part, PartMut, Rows};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rand_distr::StandardNormal;

on_each_backend!(matches_the_definition, adds_to_what_is_there, reads_listed_pixels, refuses_wrong_lengths);

/// Either side of a panel of rows, of a task and of a strip of the result; no targets.
const SHAPES: [Gram; 6] = [
    Gram { rows: 1, features: 1, targets: 1 },
    Gram { rows: 7, features: 5, targets: 0 },
    Gram { rows: 16, features: 31, targets: 3 },
    Gram { rows: 17, features: 33, targets: 10 },
    Gram { rows: 512, features: 65, targets: 10 },
    Gram { rows: 1025, features: 32, targets: 1 },
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

    fn definition(&self) -> Vec<f64> {
        let Gram { rows, features, targets } = self.desc;
        let centred = |row: usize, i: usize| {
            let value = if i < features {
                self.z[row * features + i]
            } else {
                self.targets[row * targets + i - features]
            };
            f64::from(value) - self.centre[i]
        };
        let pairs = (0..features).flat_map(|i| (0..features + targets).map(move |j| (i, j)));
        pairs.map(|(i, j)| (0..rows).map(|row| centred(row, i) * centred(row, j)).sum()).collect()
    }
}

fn matches_the_definition<B: Backend>(backend: &B) {
    for case in SHAPES.map(Case::new) {
        let tol = 1e-16 * (case.desc.rows as f64 + 10.0);
        assert_close("products", &case.run(backend, 0.0), &case.definition(), 1e-13, tol);
    }
}

fn adds_to_what_is_there<B: Backend>(backend: &B) {
    let case = Case::new(SHAPES[3]);
    let want: Vec<f64> = case.definition().iter().map(|product| product + 7.0).collect();
    assert_close("products", &case.run(backend, 7.0), &want, 1e-13, 1e-13);
}

fn reads_listed_pixels<B: Backend>(backend: &B) {
    let desc = Gram { rows: 2, features: 2, targets: 1 };
    let pixels = backend.upload(&[1u8, 2, 3, 4, 5, 7]).unwrap();
    let index = backend.upload(&[9u32, 2, 0]).unwrap();
    let rows = Rows::Listed { index: &index, start: 1 };
    let input = Input::Pixels { pixels: &pixels, rows, scale: 1.0f64, shift: 0.0 };
    let (y, centre) = (backend.upload(&[2.0, 4.0]).unwrap(), backend.upload(&[3.0, 4.0, 1.0]).unwrap());
    let mut products = backend.zeros(6).unwrap();
    let (y, centre) = (Part::new(&y, 0, 2), Part::new(&centre, 0, 3));
    backend.gram(desc, &input, y, centre, PartMut::new(&mut products, 0, 6)).unwrap();
    // Centred rows: (2, 3 | 1) and (−2, −2 | 3).
    assert_eq!(backend.download(Part::new(&products, 0, 6)).unwrap(), [8.0, 10.0, -4.0, 10.0, 13.0, -3.0]);
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
