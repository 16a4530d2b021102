//! `activate` against its definition.

use crate::common::{assert_close, cpu};
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;
use netdyn::rng::{philox, unit};

on_each_backend!(
    f32_matches,
    large_shapes,
    same_bits_as_the_cpu,
    large_tanh,
    special_values,
    dropout_at_the_edge,
    pixels,
    wrong_lengths
);
on_cpu!(f64_matches);

const SHAPES: [(usize, usize); 12] = [
    (1, 1),
    (31, 1),
    (2, 7),
    (259, 10),
    (7, 63),
    (7, 65),
    (31, 100),
    (3, 127),
    (1, 128),
    (31, 129),
    (3, 200),
    (200, 7),
];

fn f32_matches<B: Backend>(backend: &B) {
    SHAPES.iter().for_each(|&shape| matches_definition::<B, f32>(backend, shape, &every_parts()));
}

fn f64_matches<B: Backend>(backend: &B) {
    SHAPES.iter().for_each(|&shape| matches_definition::<B, f64>(backend, shape, &every_parts()));
}

fn large_shapes<B: Backend>(backend: &B) {
    let parts = Parts { noise: true, norm: true, activation: Activation::Sigmoid, dropout: Some(DROPOUT) };
    for shape in [(1000, 512), (200, 784), (31, 2048), (7, 1280), (59_999, 7), (60_000, 10)] {
        matches_definition::<B, f32>(backend, shape, &[PLAIN, parts]);
    }
}

/// With and without each part, for every activation.
fn every_parts() -> Vec<Parts> {
    let flags = [false, true];
    let mut all = vec![];
    for activation in ACTIVATIONS {
        for (noise, norm) in flags.iter().flat_map(|&noise| flags.map(|norm| (noise, norm))) {
            all.extend([None, Some(DROPOUT)].map(|dropout| Parts { noise, norm, activation, dropout }));
        }
    }
    all
}

fn matches_definition<B: Backend, R: Real>(backend: &B, (rows, features): (usize, usize), parts: &[Parts]) {
    let stored = Stored::<R>::new(rows as u64, rows, features);
    let uploaded = stored.upload(backend);
    for &parts in parts {
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

/// Where no function of a library is called, processors agree to the bit.
fn same_bits_as_the_cpu<B: Backend>(backend: &B) {
    for (rows, features) in [(31, 65), (3, 200)] {
        let stored = Stored::<f32>::new(9, rows, features);
        let mut every = every_parts();
        every.retain(|parts| {
            [Activation::Relu, Activation::Identity, Activation::LeakyRelu].contains(&parts.activation)
        });
        for parts in every {
            let got = formed(backend, &stored, parts);
            cpu(|cpu| assert_eq!(got, formed(cpu, &stored, parts), "{parts:?}"));
        }
    }
}

/// Bits of the x of all that is stored.
fn formed<B: Backend>(backend: &B, stored: &Stored<f32>, parts: Parts) -> Vec<u32> {
    let Stored { rows, features, .. } = *stored;
    let uploaded = stored.upload(backend);
    let mut x = poisoned::<B, f32>(backend, rows * features);
    let to = PartMut::new(&mut x, 0, rows * features);
    backend.activate(Activate { rows, features }, &uploaded.whole(parts), to).unwrap();
    all(backend, &x).into_iter().map(f32::to_bits).collect()
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

/// Zeros, denormals, ends of the range, NaN: as on the CPU, and near the definition where that is a number.
fn special_values<B: Backend>(backend: &B) {
    let positive = [0.0, 1e-45, 1.1e-39, f32::MIN_POSITIVE, 1e-20, 9.5, 17.0, 90.0, 104.0, 2e19, f32::MAX];
    let mut fields = positive.iter().flat_map(|&h| [h, -h]).collect::<Vec<f32>>();
    fields.extend([f32::INFINITY, f32::NEG_INFINITY, f32::NAN]);
    for activation in ACTIVATIONS {
        let got = activated(backend, activation, &fields);
        let mut of_cpu = vec![];
        cpu(|cpu| of_cpu = activated(cpu, activation, &fields));
        for ((&h, &got), &of_cpu) in fields.iter().zip(&got).zip(&of_cpu) {
            let what = format!("{activation:?} of {h:e}: got {got:e}, the CPU {of_cpu:e}");
            assert_eq!(got.is_nan(), of_cpu.is_nan(), "{what}");
            assert!(!h.is_nan() || got.is_nan(), "{what}");
            assert!(got.is_nan() || got.is_sign_negative() == of_cpu.is_sign_negative(), "{what}");
            if got.is_finite() && of_cpu.is_finite() && h.is_finite() {
                let lost = match activation {
                    Activation::Gelu => 1e-6, // 1 + erf cancels
                    Activation::Gaussian | Activation::Sigmoid => f64::from(f32::MIN_POSITIVE), // eʰ ends there
                    _ => 3e-45,
                };
                assert_close(&what, &[f64::from(got)], &[f(activation, f64::from(h))], 4e-6, lost);
            } else {
                assert!(got.is_nan() || got == of_cpu, "{what}");
            }
        }
    }
}

/// An element whose number is just the rate is kept; with the next rate it is not.
fn dropout_at_the_edge<B: Backend>(backend: &B) {
    let (rows, features) = (3, 6);
    let mut stored = Stored::<f32>::new(2, rows, features);
    stored.z.fill(1.0);
    for (row, column) in [(0, 0), (1, 3), (2, 5)] {
        let words = philox(DROPOUT.seed, [row as u32, column as u32 / 4, DROPOUT.step, DROPOUT.stream]);
        let own = unit(words[column % 4]);
        for (rate, kept) in [(own, true), (own + 2f64.powi(-33), false), (0.0, true)] {
            let parts = Parts { dropout: Some(Dropout { rate, ..DROPOUT }), ..PLAIN };
            let x = f32::from_bits(formed(backend, &stored, parts)[row * features + column]);
            assert_eq!(x, if kept { (1.0 / (1.0 - rate)) as f32 } else { 0.0 }, "rate {rate}");
        }
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
        let input = Input::Pixels { pixels: &pixels, rows: rows_used, scale: 0.3f32, shift: -3.0 };
        let mut x = poisoned::<B, f32>(backend, rows * features);
        backend
            .activate(Activate { rows, features }, &input, PartMut::new(&mut x, 0, rows * features))
            .unwrap();
        let bytes = numbers.iter().flat_map(|&i| &host[i * features..][..features]);
        let want: Vec<f32> = bytes.map(|&b| 0.3 * f32::from(b) - 3.0).collect();
        assert_eq!(all(backend, &x), want);
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
