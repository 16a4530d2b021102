//! `normals` on every backend, against the formula with the standard library's functions.

use crate::common::{assert_close, cpu};
use netdyn::Error;
use netdyn::backend::{Backend, Normals, Part, PartMut, Real, Rows};
use netdyn::rng::philox;
use std::f64::consts::TAU;

on_each_backend!(
    f32_matches,
    same_bits_as_the_cpu,
    rows_stand_alone,
    columns_stand_alone,
    only_its_own_elements,
    large_shapes,
    large_moments,
    refuses_wrong_lengths
);
on_cpu!(f64_matches, rounds_once);

const DESC: Normals = Normals { rows: 19, cols: 131, seed: 0x0123_4567_89AB_CDEF, trial: 3, stream: 2 };

const SHAPES: [(usize, usize); 14] = [
    (1, 1),
    (3, 4),
    (2, 5),
    (200, 7),
    (31, 10),
    (1, 63),
    (17, 64),
    (33, 65),
    (259, 1),
    (7, 127),
    (100, 128),
    (5, 129),
    (3, 100),
    (3, 200),
];

fn f32_matches<B: Backend>(backend: &B) {
    matches_the_formula::<f32, B>(backend, f64::from(f32::EPSILON) / 2.0);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_the_formula::<f64, B>(backend, 0.0);
}

fn matches_the_formula<R: Real, B: Backend>(backend: &B, rounding: f64) {
    for (rows, cols) in SHAPES {
        let desc = Normals { rows, cols, ..DESC };
        let got = run::<R, B>(backend, desc, Rows::From(7));
        let want: Vec<f64> = (0..rows * cols).map(|i| formula(desc, 7 + i / cols, i % cols)).collect();
        assert_close("xi", &got, &want, rounding, 1e-14);
    }
}

/// One element, straight from the definition.
fn formula(desc: Normals, row: usize, col: usize) -> f64 {
    let words = philox(desc.seed, [row as u32, (col / 4) as u32, desc.trial, desc.stream]);
    let u = words.map(|word| (f64::from(word) + 0.5) / 2f64.powi(32));
    let radius = |u: f64| (-2.0 * u.ln()).sqrt();
    match col % 4 {
        0 => radius(u[0]) * (TAU * u[1]).cos(),
        1 => radius(u[0]) * (TAU * u[1]).sin(),
        2 => radius(u[2]) * (TAU * u[3]).cos(),
        _ => radius(u[2]) * (TAU * u[3]).sin(),
    }
}

fn rounds_once<B: Backend>(backend: &B) {
    let wide = run::<f64, B>(backend, DESC, Rows::From(0));
    let narrow = run::<f32, B>(backend, DESC, Rows::From(0));
    assert!(wide.iter().zip(narrow).all(|(&wide, narrow)| f64::from(wide as f32) == narrow));
}

/// No function of a library is called, so that all processors agree to the bit, at the ends of the counter too.
fn same_bits_as_the_cpu<B: Backend>(backend: &B) {
    let last = u32::MAX as usize;
    let edges = Normals { seed: u64::MAX, trial: u32::MAX, stream: u32::MAX, ..DESC };
    for (desc, first) in [(DESC, 3), (Normals { rows: 200, cols: 100, ..DESC }, 0), (edges, last - 18)] {
        agrees_with_the_cpu(backend, desc, first);
    }
}

fn large_shapes<B: Backend>(backend: &B) {
    for (rows, cols) in [(1000, 784), (200, 2048), (31, 1280), (7, 512), (59_999, 10), (60_000, 65)] {
        agrees_with_the_cpu(backend, Normals { rows, cols, ..DESC }, 0);
    }
}

fn agrees_with_the_cpu<B: Backend>(backend: &B, desc: Normals, first: usize) {
    let got = run::<f32, B>(backend, desc, Rows::From(first));
    cpu(|cpu| assert_eq!(run::<f32, _>(cpu, desc, Rows::From(first)), got));
}

/// A part inside a longer buffer, with neighbours that must stay as they are.
fn only_its_own_elements<B: Backend>(backend: &B) {
    for cols in [1, 3, 6] {
        let mut out = backend.upload(&vec![f32::NAN; 5 * cols + 2]).unwrap();
        let desc = Normals { rows: 5, cols, ..DESC };
        backend.normals(desc, Rows::From(0), PartMut::new(&mut out, 1, 5 * cols)).unwrap();
        let out = backend.download(Part::new(&out, 0, 5 * cols + 2)).unwrap();
        let edge = |i: usize| i == 0 || i == 5 * cols + 1;
        assert!(out.iter().enumerate().all(|(i, xi)| xi.is_nan() == edge(i)), "{out:?}");
    }
}

/// Whatever else is computed in the same call, a row has the same bits.
fn rows_stand_alone<B: Backend>(backend: &B) {
    let whole = run::<f32, B>(backend, DESC, Rows::From(5));
    let index = backend.upload(&[9, 23, 5, 5, 14]).unwrap();
    let listed = Rows::Listed { index: &index, start: 1 };
    let got = run::<f32, B>(backend, Normals { rows: 4, ..DESC }, listed);
    for (got, row) in got.chunks(DESC.cols).zip([23, 5, 5, 14]) {
        let start = (row - 5) * DESC.cols;
        assert_eq!(got, &whole[start..start + DESC.cols]);
    }
}

fn columns_stand_alone<B: Backend>(backend: &B) {
    let whole = run::<f32, B>(backend, DESC, Rows::From(0));
    for cols in [1, 62, 63, 64, 65, 130] {
        let got = run::<f32, B>(backend, Normals { cols, ..DESC }, Rows::From(0));
        for (got, whole) in got.chunks(cols).zip(whole.chunks(DESC.cols)) {
            assert_eq!(got, &whole[..cols]);
        }
    }
}

/// Moments of a million draws, to five standard errors.
fn large_moments<B: Backend>(backend: &B) {
    let xi = run::<f32, B>(backend, Normals { rows: 1000, cols: 1000, ..DESC }, Rows::From(0));
    let moment = |power| xi.iter().map(|x| x.powi(power)).sum::<f64>() / 1e6;
    let moments: Vec<f64> = (1..=4).map(moment).collect();
    assert_close("moments", &moments, &[0.0, 1.0, 0.0, 3.0], 0.0, 5.0 * (96f64 / 1e6).sqrt());
    assert_close("mean and variance", &moments[..2], &[0.0, 1.0], 0.0, 5.0 * (2f64 / 1e6).sqrt());
}

fn refuses_wrong_lengths<B: Backend>(backend: &B) {
    let index = backend.upload(&[1, 2]).unwrap();
    let mut out = backend.zeros::<f32>(12).unwrap();
    let desc = Normals { rows: 3, cols: 4, ..DESC };
    let short = Rows::Listed { index: &index, start: 0 };
    for (desc, rows) in [(desc, short), (Normals { cols: 5, ..desc }, Rows::From(0))] {
        let err = backend.normals(desc, rows, PartMut::new(&mut out, 0, 12)).unwrap_err();
        assert!(matches!(err, Error::Shape { op: "normals", .. }), "{err}");
    }
}

fn run<R: Real, B: Backend>(backend: &B, desc: Normals, rows: Rows<'_, B>) -> Vec<f64> {
    let len = desc.rows * desc.cols;
    let mut out = backend.upload(&vec![R::nan(); len]).unwrap();
    backend.normals(desc, rows, PartMut::new(&mut out, 0, len)).unwrap();
    backend.download(Part::new(&out, 0, len)).unwrap().into_iter().map(R::wide).collect()
}
