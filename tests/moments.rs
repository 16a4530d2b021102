//! `moments` against the two-pass definition, with and without noise in the field.

use crate::common::{assert_close, cpu};
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(
    f32_matches,
    large_shapes,
    every_input,
    shifted,
    large_shifted,
    ends_of_the_range,
    wrong_lengths
);
on_cpu!(f64_matches);

/// Either side of a tile of rows and of a block of columns.
const SHAPES: [(usize, usize); 13] = [
    (1, 1),
    (2, 200),
    (7, 10),
    (31, 63),
    (31, 257),
    (100, 127),
    (127, 128),
    (128, 129),
    (129, 7),
    (200, 65),
    (255, 1),
    (257, 31),
    (259, 100),
];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &SHAPES);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend, &SHAPES);
}

fn large_shapes<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(
        backend,
        &[(2049, 31), (1000, 784), (200, 512), (31, 2048), (7, 1280), (59_999, 3), (60_000, 65)],
    );
}

/// A mean a thousand times the deviation: E\[z²\] − E\[z\]² would have nothing left in f32.
fn shifted<B: Backend>(backend: &B) {
    far_from_zero(backend, 259);
}

fn large_shifted<B: Backend>(backend: &B) {
    far_from_zero(backend, 60_000);
}

fn far_from_zero<B: Backend>(backend: &B, rows: usize) {
    let z: Vec<f32> = values::<f32>(1, rows).iter().map(|v| 1000.0 + v).collect();
    let buf = backend.upload(&z).unwrap();
    let field = Field { z: Part::new(&buf, 0, rows), noise: None, norm: None };
    let mut out = poisoned::<B, f32>(backend, 2);
    let (mean, var) = (Span { start: 0, len: 1 }, Span { start: 1, len: 1 });
    let moments = Moments { buf: &mut out, mean, var };
    backend.moments(Activate { rows, features: 1 }, &Input::plain(field), moments).unwrap();
    let mean = wide(&z).iter().sum::<f64>() / rows as f64;
    let var = wide(&z).iter().map(|z| (z - mean).powi(2)).sum::<f64>() / rows as f64;
    assert_close("moments", &wide(&all(backend, &out)), &[mean, var], 1e-6, 0.0);
}

fn matches_definition<B: Backend, R: Real>(backend: &B, shapes: &[(usize, usize)]) {
    for &(rows, features) in shapes {
        let z = values::<R>(1, rows * features);
        let xi = values::<R>(2, rows * features);
        let amplitude = values::<R>(3, rows);
        let [z_buf, xi_buf, amplitude_buf] = [&z, &xi, &amplitude].map(|v| backend.upload(v).unwrap());
        for noisy in [false, true] {
            let noise = noisy.then(|| Noise {
                xi: Part::new(&xi_buf, 0, rows * features),
                amplitude: Part::new(&amplitude_buf, 0, rows),
            });
            let field = Field { z: Part::new(&z_buf, 0, rows * features), noise, norm: None };
            let mut out = poisoned::<B, R>(backend, 2 * features);
            let moments = Moments {
                buf: &mut out,
                mean: Span { start: 0, len: features },
                var: Span { start: features, len: features },
            };
            backend.moments(Activate { rows, features }, &Input::plain(field), moments).unwrap();

            let x = |i: usize| {
                let noise = amplitude[i / features].wide() * xi[i].wide();
                z[i].wide() + if noisy { noise } else { 0.0 }
            };
            let want = columns(&Vec::from_iter((0..rows * features).map(x)), features);
            let close = 8.0 * epsilon::<R>();
            assert_close("moments", &wide(&all(backend, &out)), &want, close, close);
        }
    }
}

/// Pixels, listed and not; noise, norm, activation and dropout.
fn every_input<B: Backend>(backend: &B) {
    let (rows, features) = (131, 37);
    let stored = Stored::<f32>::new(8, rows, features);
    let uploaded = stored.upload(backend);
    for activation in ACTIVATIONS {
        let parts = Parts { noise: true, norm: true, activation, dropout: Some(DROPOUT) };
        let got = of_input(backend, rows, features, &uploaded.whole(parts));
        assert_close(&format!("{activation:?}"), &got, &columns(&stored.x(parts), features), 1e-5, 1e-5);
    }
    let host = bytes(1, 140 * features);
    let pixels = backend.upload(&host).unwrap();
    let list: Vec<u32> = (0..139).rev().collect();
    let index = backend.upload(&list).unwrap();
    let x =
        |row: u32| host[row as usize * features..][..features].iter().map(|&b| f64::from(b) / 128.0 - 0.5);
    let inputs = [Rows::From(9), Rows::Listed { index: &index, start: 2 }];
    let wants: [Vec<f64>; 2] = [
        (9..9 + rows as u32).flat_map(x).collect(),
        list[2..2 + rows].iter().flat_map(|&row| x(row)).collect(),
    ];
    for (which, want) in inputs.into_iter().zip(wants) {
        let input = Input::Pixels { pixels: &pixels, rows: which, scale: 1.0 / 128.0, shift: -0.5 };
        let got = of_input(backend, rows, features, &input);
        assert_close("pixels", &got, &columns(&want, features), 1e-6, 1e-6);
    }
}

/// Denormals, the largest numbers, an infinity, a NaN, only zeros: as on the CPU.
fn ends_of_the_range<B: Backend>(backend: &B) {
    let (rows, features) = (200, 7);
    let mut z = values::<f32>(5, rows * features);
    for row in z.chunks_mut(features) {
        row[0] *= 1e-40;
        row[1] *= f32::MAX;
        row[2] *= 1e19;
        row[3] = if row[3] > 0.0 { 0.0 } else { -0.0 };
    }
    (z[9 * features + 4], z[150 * features + 5]) = (f32::INFINITY, f32::NAN);
    let got = plain(backend, &z, features);
    cpu(|cpu| {
        for (i, (got, want)) in got.iter().zip(plain(cpu, &z, features)).enumerate() {
            // A denormal mean or variance may be off by its last bit.
            let close = (got - want).abs() <= 1e-6 * want.abs() + 1.5e-45;
            assert!(close || !(got.is_finite() || want.is_finite()), "[{i}]: {got:e}, {want:e}");
        }
    });
    assert!(got[0] != 0.0 && got[features + 1] == f64::INFINITY && got[features + 3] == 0.0, "{got:?}");
    assert!(!got[4].is_finite() && got[5].is_nan() && got[6].is_finite(), "{got:?}");
}

fn plain<B: Backend>(backend: &B, z: &[f32], features: usize) -> Vec<f64> {
    let buf = backend.upload(z).unwrap();
    let field = Field { z: Part::new(&buf, 0, z.len()), noise: None, norm: None };
    of_input(backend, z.len() / features, features, &Input::plain(field))
}

/// Means, then variances, from inside a longer buffer.
fn of_input<B: Backend>(backend: &B, rows: usize, features: usize, input: &Input<'_, B, f32>) -> Vec<f64> {
    let mut out = poisoned::<B, f32>(backend, 2 * features + 3);
    let (mean, var) = (Span { start: features + 2, len: features }, Span { start: 1, len: features });
    backend.moments(Activate { rows, features }, input, Moments { buf: &mut out, mean, var }).unwrap();
    let out = wide(&all(backend, &out));
    assert!([0, features + 1, 2 * features + 2].iter().all(|&i| out[i].is_nan()), "{out:?}");
    [&out[mean.range()], &out[var.range()]].concat()
}

/// Means, then variances, in two passes.
fn columns(x: &[f64], features: usize) -> Vec<f64> {
    let rows = (x.len() / features) as f64;
    let mean = |c: usize| x.iter().skip(c).step_by(features).sum::<f64>() / rows;
    let var = |c: usize| {
        let mean = mean(c);
        x.iter().skip(c).step_by(features).map(|x| (x - mean).powi(2)).sum::<f64>() / rows
    };
    (0..features).map(mean).chain((0..features).map(var)).collect()
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let z = backend.upload(&[1f32; 8]).unwrap();
    let mut out = poisoned::<B, f32>(backend, 8);
    let field = Field { z: Part::new(&z, 0, 8), noise: None, norm: None };
    let (mean, var) = (Span { start: 0, len: 4 }, Span { start: 4, len: 3 });
    let moments = Moments { buf: &mut out, mean, var };
    let answer = backend.moments(Activate { rows: 2, features: 4 }, &Input::plain(field), moments);
    assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
}
