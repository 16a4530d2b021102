//! `moments` against the two-pass definition, with and without noise in the field.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(matches_definition, wrong_lengths);

fn matches_definition<B: Backend>(backend: &B) {
    for (rows, features) in [(1, 1), (7, 10), (200, 65), (2049, 31)] {
        let z = values::<f64>(1, rows * features);
        let xi = values::<f64>(2, rows * features);
        let amplitude = values::<f64>(3, rows);
        let [z_buf, xi_buf, amplitude_buf] = [&z, &xi, &amplitude].map(|v| backend.upload(v).unwrap());
        for noisy in [false, true] {
            let noise = noisy.then(|| Noise {
                xi: Part::new(&xi_buf, 0, rows * features),
                amplitude: Part::new(&amplitude_buf, 0, rows),
            });
            let field = Field { z: Part::new(&z_buf, 0, rows * features), noise, norm: None };
            let mut out = poisoned::<B, f64>(backend, 2 * features);
            let moments = Moments {
                buf: &mut out,
                mean: Span { start: 0, len: features },
                var: Span { start: features, len: features },
            };
            backend.moments(Activate { rows, features }, &Input::plain(field), moments).unwrap();

            let x = |row: usize, c: usize| {
                z[row * features + c] + if noisy { amplitude[row] * xi[row * features + c] } else { 0.0 }
            };
            let mean = |c: usize| (0..rows).map(|row| x(row, c)).sum::<f64>() / rows as f64;
            let var =
                |c: usize| (0..rows).map(|row| (x(row, c) - mean(c)).powi(2)).sum::<f64>() / rows as f64;
            let want: Vec<f64> = (0..features).map(mean).chain((0..features).map(var)).collect();
            assert_close("moments", &all(backend, &out), &want, 1e-12, 1e-13);
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
