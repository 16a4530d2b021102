//! `moments` against the two-pass definition, with and without noise in the field.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(f32_matches, large_shapes, shifted, wrong_lengths);
on_cpu!(f64_matches);

const SHAPES: [(usize, usize); 7] = [(1, 1), (7, 10), (31, 63), (127, 128), (129, 7), (200, 65), (259, 100)];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &SHAPES);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend, &SHAPES);
}

fn large_shapes<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &[(2049, 31), (1000, 784), (59_999, 3), (31, 2048)]);
}

/// A mean a thousand times the deviation: E\[z²\] − E\[z\]² would have nothing left in f32.
fn shifted<B: Backend>(backend: &B) {
    let rows = 259;
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

            let x = |row: usize, c: usize| {
                let noise = amplitude[row].wide() * xi[row * features + c].wide();
                z[row * features + c].wide() + if noisy { noise } else { 0.0 }
            };
            let mean = |c: usize| (0..rows).map(|row| x(row, c)).sum::<f64>() / rows as f64;
            let var =
                |c: usize| (0..rows).map(|row| (x(row, c) - mean(c)).powi(2)).sum::<f64>() / rows as f64;
            let want: Vec<f64> = (0..features).map(mean).chain((0..features).map(var)).collect();
            let close = 8.0 * epsilon::<R>();
            assert_close("moments", &wide(&all(backend, &out)), &want, close, close);
        }
    }
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
