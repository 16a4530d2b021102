//! `activate` against its definition.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(f32_matches, large_shapes, large_tanh, nan_stays, pixels, wrong_lengths);
on_cpu!(f64_matches);

const SHAPES: [(usize, usize); 6] = [(1, 1), (2, 7), (7, 65), (31, 10), (100, 63), (129, 127)];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &SHAPES);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend, &SHAPES);
}

fn large_shapes<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &[(2049, 10), (31, 784), (7, 2048)]);
}

fn matches_definition<B: Backend, R: Real>(backend: &B, shapes: &[(usize, usize)]) {
    for &(rows, features) in shapes {
        let stored = Stored::<R>::new(rows as u64, rows, features);
        let uploaded = stored.upload(backend);
        for activation in ACTIVATIONS {
            for noise in [false, true] {
                for norm in [false, true] {
                    for dropout in [None, Some(DROPOUT)] {
                        let parts = Parts { noise, norm, activation, dropout };
                        let mut x = poisoned::<B, R>(backend, rows * features + 2);
                        let to = PartMut::new(&mut x, 1, rows * features);
                        backend.activate(Activate { rows, features }, &uploaded.whole(parts), to).unwrap();
                        let x = wide(&all(backend, &x));
                        assert!(x[0].is_nan() && x[x.len() - 1].is_nan());
                        let tolerance = 40.0 * epsilon::<R>();
                        let what = format!("{rows} x {features}, {parts:?}");
                        assert_close(&what, &x[1..x.len() - 1], &stored.x(parts), tolerance, tolerance);
                    }
                }
            }
        }
    }
}

/// Every 997th f32: at most 4 units in the last place from the f64 value.
fn large_tanh<B: Backend>(backend: &B) {
    let every: Vec<f32> = (0..=u32::MAX)
        .step_by(997)
        .map(f32::from_bits)
        .chain([0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY])
        .collect();
    let x = activated(backend, Activation::Tanh, &every);
    for (&h, &x) in every.iter().zip(&x) {
        if h.is_nan() {
            assert!(x.is_nan());
            continue;
        }
        let want = f64::from(h).tanh();
        let nearest = want as f32;
        let ulp = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        assert!((f64::from(x) - want).abs() <= 4.0 * ulp, "tanh {h:e}: got {x:e}, want {want:e}");
        assert!(x.is_sign_negative() == h.is_sign_negative() && x.abs() <= 1.0, "tanh {h:e}: got {x:e}");
    }
}

fn nan_stays<B: Backend>(backend: &B) {
    for activation in ACTIVATIONS {
        assert!(activated(backend, activation, &[f32::NAN; 5]).iter().all(|x| x.is_nan()), "{activation:?}");
    }
}

fn activated<B: Backend>(backend: &B, activation: Activation, h: &[f32]) -> Vec<f32> {
    let z = backend.upload(h).unwrap();
    let field = Field { z: Part::new(&z, 0, h.len()), noise: None, norm: None };
    let mut x = poisoned::<B, f32>(backend, h.len());
    let desc = Activate { rows: 1, features: h.len() };
    let to = PartMut::new(&mut x, 0, h.len());
    backend.activate(desc, &Input::Field { field, activation, dropout: None }, to).unwrap();
    all(backend, &x)
}

fn pixels<B: Backend>(backend: &B) {
    let (rows, features) = (5, 7);
    let host = bytes(1, 20 * features);
    let pixels = backend.upload(&host).unwrap();
    let list = [99u32, 3, 19, 0, 0, 7];
    let index = backend.upload(&list).unwrap();
    let chosen: [(Rows<'_, B>, Vec<usize>); 2] = [
        (Rows::From(4), (4..9).collect()),
        (Rows::Listed { index: &index, start: 1 }, list[1..].iter().map(|&i| i as usize).collect()),
    ];
    for (rows_used, numbers) in chosen {
        let input = Input::Pixels { pixels: &pixels, rows: rows_used, scale: 0.5f32, shift: -3.0 };
        let mut x = poisoned::<B, f32>(backend, rows * features);
        backend
            .activate(Activate { rows, features }, &input, PartMut::new(&mut x, 0, rows * features))
            .unwrap();
        let want: Vec<f64> = numbers
            .iter()
            .flat_map(|&i| host[i * features..][..features].iter().map(|&b| 0.5 * f64::from(b) - 3.0))
            .collect();
        assert_close("pixels", &wide(&all(backend, &x)), &want, 1e-7, 0.0);
    }
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let uploaded = Stored::<f32>::new(1, 4, 5).upload(backend);
    let mut x = poisoned::<B, f32>(backend, 20);
    for (rows, features, len) in [(4, 5, 19), (5, 4, 20), (4, 4, 16), (0, 5, 0)] {
        let to = PartMut::new(&mut x, 0, len);
        let parts = Parts { norm: true, ..PLAIN };
        let answer = backend.activate(Activate { rows, features }, &uploaded.whole(parts), to);
        assert!(matches!(answer, Err(Error::Shape { .. })), "{rows} {features} {len}: {answer:?}");
    }
    let pixels = backend.upload(&bytes(1, 12)).unwrap();
    let index = backend.upload(&[0u32, 1, 2]).unwrap();
    let beyond = [Rows::From(2), Rows::Listed { index: &index, start: 2 }];
    for rows in beyond {
        let input = Input::Pixels { pixels: &pixels, rows, scale: 1f32, shift: 0.0 };
        let to = PartMut::new(&mut x, 0, 8);
        let answer = backend.activate(Activate { rows: 2, features: 4 }, &input, to);
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
