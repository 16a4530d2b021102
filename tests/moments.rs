//! `moments` on every backend: means and variances of columns, in two passes in f64.

use crate::common::{assert_close, on_each_backend, slow::Made};
use netdyn::backend::{Activate, Activation, Backend, Field, Input, Moments, Noise, Part, Span};

on_each_backend!(matches_the_definition, refuses_wrong_lengths);

fn matches_the_definition<B: Backend>(backend: &B) {
    for (rows, features) in [(1, 1), (2, 3), (17, 5), (130, 33), (1111, 7)] {
        let mut made = Made(rows as u64);
        let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| 100.0 + made.next() as f32).collect() };
        let (z, xi, a) = (draw(rows * features), draw(rows * features), draw(rows));
        let at = |i: usize| f64::from(a[i / features]).mul_add(f64::from(xi[i]), f64::from(z[i])) as f32;
        let x: Vec<f64> = (0..rows * features).map(|i| f64::from(at(i))).collect();
        let column = |c: usize| (0..rows).map(|r| x[r * features + c]).collect::<Vec<_>>();
        let mean = |v: &[f64]| v.iter().sum::<f64>() / rows as f64;
        let means: Vec<f64> = (0..features).map(|c| mean(&column(c))).collect();
        let var = |c: usize| mean(&column(c).iter().map(|x| (x - means[c]).powi(2)).collect::<Vec<_>>());
        let vars: Vec<f64> = (0..features).map(var).collect();

        let there = [&z, &xi, &a].map(|v| backend.upload(v).unwrap());
        let noise = Noise { xi: Part::new(&there[1], 0, z.len()), amplitude: Part::new(&there[2], 0, rows) };
        let field = Field { z: Part::new(&there[0], 0, z.len()), noise: Some(noise), norm: None };
        let input = Input::Field { field, activation: Activation::Relu, dropout: None };
        let mut out = backend.upload(&vec![f32::NAN; 2 * features]).unwrap();
        let (mean, var) = (Span { start: 0, len: features }, Span { start: features, len: features });
        backend.moments(Activate { rows, features }, &input, Moments { buf: &mut out, mean, var }).unwrap();
        let out: Vec<f64> =
            backend.download(Part::new(&out, 0, 2 * features)).unwrap().into_iter().map(f64::from).collect();
        assert_close("mean", &out[..features], &means, 2e-7, 0.0);
        // a ξ + z is near 10,000: rounding it moves the variance by up to a few 1e-3.
        assert_close("variance", &out[features..], &vars, 1e-4, 2e-2);
    }
}

fn refuses_wrong_lengths<B: Backend>(backend: &B) {
    let z = backend.zeros::<f32>(6).unwrap();
    let mut out = backend.zeros::<f32>(5).unwrap();
    let (mean, var) = (Span { start: 0, len: 3 }, Span { start: 3, len: 2 });
    let input = Input::plain(Field { z: Part::new(&z, 0, 6), noise: None, norm: None });
    let moments = Moments { buf: &mut out, mean, var };
    let error = backend.moments(Activate { rows: 2, features: 3 }, &input, moments).unwrap_err();
    assert!(matches!(error, netdyn::Error::Shape { op: "moments", .. }), "{error}");
}
