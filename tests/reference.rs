//! Definitions in f64, slow and obvious, and inputs to try them on.

use crate::common::is_within;
use netdyn::backend::*;
use netdyn::rng::{philox, unit};

/// Every activation there is.
pub const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::Identity,
    Activation::Gaussian,
    Activation::LeakyRelu,
    Activation::Sigmoid,
    Activation::Gelu,
];

/// The errors a matrix product may have, in each precision.
pub struct Bound {
    /// Of an element that is a sum of k products: this times the root of the sum of their squares, over rows of
    /// elements. With independent roundings errors add up like that, and so do products of mixed signs.
    pub relative: f64,
    /// Of each element of an operand: this times the operand's largest magnitude.
    pub of_largest: f64,
    /// Of each element of an operand.
    pub absolute: f64,
}

/// ```text
///        an operand is                              kept to   below the largest   absolute
/// f32    two fp16, scaled together: 22 bits         2^-23     2^-39               2^-149
/// tf32   one fp16, scaled: 11 bits                  2^-11     2^-39               2^-149
/// bf16   one bf16: 8 bits                           2^-8      0                   2^-133
/// simt   f32                                        2^-24     0                   2^-149
/// ```
/// Both operands are rounded. fp16 ends at 2^-25 once the largest is between 2^14 and 2^15. A running sum in f32 of k
/// products loses at most half a unit of it at each step, √k units by the end; 8 more are left for x itself, which is
/// a function of what is stored.
pub fn bound(precision: Precision, k: usize) -> Bound {
    let sum = 2f64.powi(-24) * (8.0 + (k as f64).sqrt());
    let (of_largest, absolute) = match precision {
        Precision::F32 | Precision::Tf32 => (2f64.powi(-39), 2f64.powi(-149)),
        Precision::Bf16 => (0.0, 2f64.powi(-133)),
        Precision::Simt => (0.0, 2f64.powi(-149)),
    };
    Bound { relative: 2.0 * operand_rounding(precision) + sum, of_largest, absolute }
}

/// The first column of [`bound`]: how far an operand's element may be from its value, as a share of it.
pub fn operand_rounding(precision: Precision) -> f64 {
    2f64.powi(match precision {
        Precision::F32 => -23,
        Precision::Tf32 => -11,
        Precision::Bf16 => -8,
        Precision::Simt => -24,
    })
}

/// The same of f64, whose references round as much themselves: at worst half a unit at each step, on either side.
pub fn f64_bound(k: usize) -> Bound {
    Bound { relative: 2f64.powi(-53) * (16.0 + 2.0 * k as f64), of_largest: 0.0, absolute: 0.0 }
}

/// Fails where the root of the sum of squared errors over a row of `columns` exceeds that of `limits`, and at any NaN.
#[track_caller]
pub fn assert_rows_close(what: &str, got: &[f64], want: &[f64], limits: &[f64], columns: usize) {
    assert_eq!([got.len(), want.len()], [limits.len(); 2], "{what}: length");
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    for row in 0..got.len() / columns {
        let at = row * columns..(row + 1) * columns;
        let off = norm(&mut at.clone().map(|i| got[i] - want[i]));
        let limit = norm(&mut at.clone().map(|i| limits[i]));
        assert!(
            is_within(off, limit),
            "{what}, row {row}: off by {off:e}, allowed {limit:e}: {:?}",
            &got[at]
        );
    }
}

/// Rounding unit of R.
pub fn epsilon<R: Real>() -> f64 {
    R::epsilon().wide()
}

/// `len` values in (−1, 1), rounded to R; the seed decides which.
pub fn values<R: Real>(seed: u64, len: usize) -> Vec<R> {
    (0..len).map(|i| R::of(2.0 * unit(philox(seed, [i as u32, 0, 0, 77])[0]) - 1.0)).collect()
}

/// The same numbers in f64.
pub fn wide<R: Real>(values: &[R]) -> Vec<f64> {
    values.iter().map(|v| v.wide()).collect()
}

pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    (0..len).map(|i| philox(seed, [i as u32, 0, 0, 78])[0] as u8).collect()
}

pub fn f(activation: Activation, h: f64) -> f64 {
    match activation {
        Activation::Relu => h.max(0.0),
        Activation::Tanh => h.tanh(),
        Activation::Identity => h,
        Activation::Gaussian => (-h * h).exp(),
        Activation::LeakyRelu => h.max(0.01 * h),
        Activation::Sigmoid => 1.0 / (1.0 + (-h).exp()),
        Activation::Gelu => h * 0.5 * libm::erfc(-h / 2f64.sqrt()),
    }
}

/// f′, by central differences except at the kinks.
pub fn slope(activation: Activation, h: f64) -> f64 {
    match activation {
        Activation::Relu => f64::from(h > 0.0),
        Activation::LeakyRelu => {
            if h > 0.0 {
                1.0
            } else {
                0.01
            }
        }
        _ => {
            let d = 1e-5;
            (f(activation, h + d) - f(activation, h - d)) / (2.0 * d)
        }
    }
}

/// Host side of an input that uses every part a field may have.
pub struct Stored<R> {
    pub rows: usize,
    pub features: usize,
    pub z: Vec<R>,
    pub xi: Vec<R>,
    pub amplitude: Vec<R>,
    /// mean, inv_std, gamma, beta
    pub norm: [Vec<R>; 4],
}

/// Which parts take part.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub noise: bool,
    pub norm: bool,
    pub activation: Activation,
    pub dropout: Option<Dropout>,
}

pub const PLAIN: Parts = Parts { noise: false, norm: false, activation: Activation::Identity, dropout: None };
pub const DROPOUT: Dropout = Dropout { rate: 0.3, seed: 0xABCD_EF01_2345, step: 17, stream: 3 };

impl<R: Real> Stored<R> {
    pub fn new(seed: u64, rows: usize, features: usize) -> Stored<R> {
        let inv_std = values::<R>(seed + 4, features).iter().map(|v| R::of(1.5 + v.wide())).collect();
        Stored {
            rows,
            features,
            z: values::<R>(seed, rows * features).iter().map(|v| R::of(3.0 * v.wide())).collect(),
            xi: values(seed + 1, rows * features),
            amplitude: values(seed + 2, rows),
            norm: [
                values(seed + 3, features),
                inv_std,
                values(seed + 5, features),
                values(seed + 6, features),
            ],
        }
    }

    /// x̂, or h without a norm.
    pub fn standardised(&self, parts: Parts, row: usize, c: usize) -> f64 {
        let i = row * self.features + c;
        let noise = if parts.noise { self.amplitude[row].wide() * self.xi[i].wide() } else { 0.0 };
        let z = self.z[i].wide() + noise;
        if parts.norm { (z - self.norm[0][c].wide()) * self.norm[1][c].wide() } else { z }
    }

    pub fn h(&self, parts: Parts, row: usize, c: usize) -> f64 {
        let x = self.standardised(parts, row, c);
        if parts.norm { self.norm[2][c].wide() * x + self.norm[3][c].wide() } else { x }
    }

    pub fn mask(&self, parts: Parts, row: usize, c: usize) -> f64 {
        let Some(d) = parts.dropout else { return 1.0 };
        let words = philox(d.seed, [row as u32, c as u32 / 4, d.step, d.stream]);
        if unit(words[c % 4]) >= d.rate { 1.0 / (1.0 - d.rate) } else { 0.0 }
    }

    pub fn x(&self, parts: Parts) -> Vec<f64> {
        let cell = |i: usize| {
            let (row, c) = (i / self.features, i % self.features);
            self.mask(parts, row, c) * f(parts.activation, self.h(parts, row, c))
        };
        (0..self.rows * self.features).map(cell).collect()
    }

    /// The same on a backend.
    pub fn upload<B: Backend>(&self, backend: &B) -> Uploaded<B, R> {
        self.upload_with(backend, backend.upload(&self.z).unwrap())
    }

    /// The same, z as training keeps it.
    pub fn upload_fields<B: Backend>(&self, backend: &B) -> Uploaded<B, R> {
        self.upload_with(backend, fields(backend, &self.z))
    }

    fn upload_with<B: Backend>(&self, backend: &B, z: B::Buf<R>) -> Uploaded<B, R> {
        let up = |values: &[R]| backend.upload(values).unwrap();
        Uploaded {
            rows: self.rows,
            features: self.features,
            z,
            xi: up(&self.xi),
            amplitude: up(&self.amplitude),
            norm: self.norm.each_ref().map(|part| up(part)),
        }
    }
}

/// A [`Stored`] on a backend.
pub struct Uploaded<B: Backend, R: Real> {
    pub rows: usize,
    pub features: usize,
    pub z: B::Buf<R>,
    pub xi: B::Buf<R>,
    pub amplitude: B::Buf<R>,
    pub norm: [B::Buf<R>; 4],
}

impl<B: Backend, R: Real> Uploaded<B, R> {
    pub fn norm(&self) -> Norm<'_, B, R> {
        let [mean, inv_std, gamma, beta] = self.norm.each_ref().map(|buf| Part::new(buf, 0, self.features));
        Norm { mean, inv_std, gamma, beta }
    }

    /// Rows `first..first + rows` as an input.
    pub fn input(&self, parts: Parts, first: usize, rows: usize) -> Input<'_, B, R> {
        let (start, len) = (first * self.features, rows * self.features);
        let noise =
            Noise { xi: Part::new(&self.xi, start, len), amplitude: Part::new(&self.amplitude, first, rows) };
        Input::Field {
            field: Field {
                z: Part::new(&self.z, start, len),
                noise: parts.noise.then_some(noise),
                norm: parts.norm.then(|| self.norm()),
            },
            activation: parts.activation,
            dropout: parts.dropout,
        }
    }

    pub fn whole(&self, parts: Parts) -> Input<'_, B, R> {
        self.input(parts, 0, self.rows)
    }
}

/// A buffer of NaN, so that an element that is not written is noticed.
pub fn poisoned<B: Backend, R: Real>(backend: &B, len: usize) -> B::Buf<R> {
    backend.upload(&vec![R::nan(); len]).unwrap()
}

/// A buffer of [`Backend::fields`] with these contents.
pub fn fields<B: Backend, R: Real>(backend: &B, values: &[R]) -> B::Buf<R> {
    let mut buf = backend.fields(values.len()).unwrap();
    backend.write(values, PartMut::new(&mut buf, 0, values.len())).unwrap();
    buf
}

/// What such a buffer makes of these.
pub fn as_fields<B: Backend, R: Real>(backend: &B, values: &[R]) -> Vec<R> {
    all(backend, &fields(backend, values))
}

pub fn all<B: Backend, T: Element>(backend: &B, buf: &B::Buf<T>) -> Vec<T> {
    backend.download(Part::new(buf, 0, B::len(buf))).unwrap()
}
