//! `predict` against its definition.

use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(largest_first, large_shapes, ties_and_nan, wrong_lengths);

fn predicted<B: Backend, R: Real>(backend: &B, logits: &[R], classes: usize) -> Vec<u8> {
    let rows = logits.len() / classes;
    let buf = backend.upload(logits).unwrap();
    let mut out = backend.upload(&vec![255u8; rows]).unwrap();
    let desc = Predict { rows, classes };
    backend.predict(desc, Part::new(&buf, 0, logits.len()), PartMut::new(&mut out, 0, rows)).unwrap();
    all(backend, &out)
}

fn largest_first<B: Backend>(backend: &B) {
    matches_definition(
        backend,
        &[
            (1, 1),
            (31, 7),
            (259, 10),
            (7, 63),
            (65, 65),
            (129, 100),
            (31, 127),
            (2, 128),
            (3, 129),
            (200, 256),
        ],
    );
}

fn large_shapes<B: Backend>(backend: &B) {
    matches_definition(backend, &[(2049, 10), (59_999, 7), (60_000, 10)]);
}

fn matches_definition<B: Backend>(backend: &B, shapes: &[(usize, usize)]) {
    for &(rows, classes) in shapes {
        let logits = values::<f32>(classes as u64, rows * classes);
        let want: Vec<u8> = logits
            .chunks(classes)
            .map(|row| (0..classes).rev().max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap() as u8)
            .collect();
        assert_eq!(predicted(backend, &logits, classes), want);
    }
}

fn ties_and_nan<B: Backend>(backend: &B) {
    let nan = f32::NAN;
    let low = f32::NEG_INFINITY;
    #[rustfmt::skip]
    let logits = [
        1.0, 3.0, 3.0, 3.0,
        nan, -5.0, nan, -4.0,
        nan, nan, nan, nan,
        nan, low, low, nan,
        -0.0, 0.0, nan, low,
        2.0, nan, 2.0, 1.0,
        low, low, low, low,
        0.0, -1e-45, 1e-45, -0.0,
        f32::MAX, f32::INFINITY, f32::INFINITY, nan,
    ];
    assert_eq!(predicted(backend, &logits, 4), [1, 3, 0, 1, 0, 0, 0, 2, 1]);
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let logits = backend.upload(&[0f32; 600]).unwrap();
    let mut out = backend.upload(&[0u8; 9]).unwrap();
    for (rows, classes, logits_len, out_len) in
        [(2, 10, 19, 2), (2, 10, 20, 3), (2, 257, 514, 2), (2, 0, 0, 2)]
    {
        let (from, to) = (Part::new(&logits, 0, logits_len), PartMut::new(&mut out, 0, out_len));
        let answer = backend.predict(Predict { rows, classes }, from, to);
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
