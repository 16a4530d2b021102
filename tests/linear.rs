//! `linear` against its definition, and its promise of repeatability.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;

on_each_backend!(f32_matches, f64_matches, shifted_moments, rows_stand_alone, wrong_lengths);

const SHAPES: [(usize, usize, usize); 13] = [
    (1, 1, 1),
    (1, 65, 10),
    (2, 7, 63),
    (7, 2, 1),
    (7, 200, 128),
    (31, 128, 65),
    (31, 1, 200),
    (200, 784, 10),
    (200, 63, 200),
    (2049, 10, 7),
    (2049, 65, 128),
    (5000, 63, 10),
    (1025, 600, 17),
];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend);
}

fn matches_definition<B: Backend, R: Real>(backend: &B) {
    for (rows, inputs, outputs) in SHAPES {
        let stored = Stored::<R>::new(5, rows, inputs);
        let uploaded = stored.upload(backend);
        let host_pixels = bytes(6, (rows + 2) * inputs);
        let pixels = backend.upload(&host_pixels).unwrap();
        let tanh = Parts { norm: true, activation: Activation::Tanh, ..PLAIN };
        let scale = 1.0 / 255.0;
        let from_bytes = |&b: &u8| f64::from(b) * R::of(scale).wide() + 0.25;
        let cases = [
            ("in place", uploaded.whole(PLAIN), stored.x(PLAIN)),
            ("through tanh", uploaded.whole(tanh), stored.x(tanh)),
            (
                "pixels",
                Input::Pixels {
                    pixels: &pixels,
                    rows: Rows::From(2),
                    scale: R::of(scale),
                    shift: R::of(0.25),
                },
                host_pixels[2 * inputs..].iter().map(from_bytes).collect(),
            ),
        ];
        let weight = values::<R>(7, outputs * inputs + 1);
        let bias = values::<R>(8, outputs);
        let (weight_buf, bias_buf) = (backend.upload(&weight).unwrap(), backend.upload(&bias).unwrap());
        for (kind, input, x) in cases {
            for with_bias in [false, true] {
                let desc = Linear { rows, inputs, outputs };
                let mut z = poisoned::<B, R>(backend, rows * outputs);
                let mut moments = poisoned::<B, R>(backend, 2 * outputs);
                backend
                    .linear(
                        desc,
                        &input,
                        Part::new(&weight_buf, 1, outputs * inputs),
                        with_bias.then(|| Part::new(&bias_buf, 0, outputs)),
                        PartMut::new(&mut z, 0, rows * outputs),
                        Some(Moments {
                            buf: &mut moments,
                            mean: Span { start: outputs, len: outputs },
                            var: Span { start: 0, len: outputs },
                        }),
                    )
                    .unwrap();

                let mut want = vec![0.0; rows * outputs];
                let mut size: f64 = 0.0;
                for r in 0..rows {
                    for o in 0..outputs {
                        let mut sum = if with_bias { bias[o].wide() } else { 0.0 };
                        let mut sum_abs: f64 = sum.abs();
                        for i in 0..inputs {
                            let term = x[r * inputs + i] * weight[1 + o * inputs + i].wide();
                            sum += term;
                            sum_abs += term.abs();
                        }
                        want[r * outputs + o] = sum;
                        size = size.max(sum_abs);
                    }
                }
                let what = format!("{rows} x {inputs} -> {outputs}, {kind}, bias {with_bias}");
                let atol = 6.0 * epsilon::<R>() * size;
                assert_close(&format!("z, {what}"), &wide(&all(backend, &z)), &want, 0.0, atol);

                let column = |o: usize| (0..rows).map(move |r| r * outputs + o);
                let mean: Vec<f64> =
                    (0..outputs).map(|o| column(o).map(|i| want[i]).sum::<f64>() / rows as f64).collect();
                let var: Vec<f64> = (0..outputs)
                    .map(|o| column(o).map(|i| (want[i] - mean[o]).powi(2)).sum::<f64>() / rows as f64)
                    .collect();
                let moments = wide(&all(backend, &moments));
                assert_close(&format!("var, {what}"), &moments[..outputs], &var, 1e-4, 2.0 * atol * size);
                assert_close(&format!("mean, {what}"), &moments[outputs..], &mean, 0.0, atol);
            }
        }
    }
}

/// A mean a thousand times the deviation: E\[z²\] − E\[z\]² would have nothing left in f32.
fn shifted_moments<B: Backend>(backend: &B) {
    let rows = 3000;
    let x: Vec<f32> = values::<f32>(1, rows).iter().map(|v| 1000.0 + v).collect();
    let z_buf = backend.upload(&x).unwrap();
    let weight = backend.upload(&[1f32]).unwrap();
    let field = Field { z: Part::new(&z_buf, 0, rows), noise: None, norm: None };
    let mut z = poisoned::<B, f32>(backend, rows);
    let mut moments = poisoned::<B, f32>(backend, 2);
    let (mean, var) = (Span { start: 0, len: 1 }, Span { start: 1, len: 1 });
    backend
        .linear(
            Linear { rows, inputs: 1, outputs: 1 },
            &Input::Field { field, activation: Activation::Identity, dropout: None },
            Part::new(&weight, 0, 1),
            None,
            PartMut::new(&mut z, 0, rows),
            Some(Moments { buf: &mut moments, mean, var }),
        )
        .unwrap();
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / rows as f64;
    let var = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / rows as f64;
    assert_close("moments", &wide(&all(backend, &moments)), &[mean, var], 1e-6, 0.0);
}

fn bits<B: Backend>(
    backend: &B,
    shape: (usize, usize, usize),
    first: usize,
    rows: usize,
) -> (Vec<u32>, Vec<u32>) {
    let (all_rows, inputs, outputs) = shape;
    let uploaded = Stored::<f32>::new(5, all_rows, inputs).upload(backend);
    let relu = Parts { norm: true, activation: Activation::Relu, ..PLAIN };
    let weight = backend.upload(&values::<f32>(7, outputs * inputs)).unwrap();
    let mut z = poisoned::<B, f32>(backend, rows * outputs);
    let mut moments = poisoned::<B, f32>(backend, 2 * outputs);
    let (mean, var) = (Span { start: 0, len: outputs }, Span { start: outputs, len: outputs });
    backend
        .linear(
            Linear { rows, inputs, outputs },
            &uploaded.input(relu, first, rows),
            Part::new(&weight, 0, outputs * inputs),
            None,
            PartMut::new(&mut z, 0, rows * outputs),
            Some(Moments { buf: &mut moments, mean, var }),
        )
        .unwrap();
    let bits = |values: Vec<f32>| values.iter().map(|v| v.to_bits()).collect();
    (bits(all(backend, &z)), bits(all(backend, &moments)))
}

/// A row's bits do not depend on the rows around it.
fn rows_stand_alone<B: Backend>(backend: &B) {
    for shape in [(1300, 65, 10), (700, 784, 65), (300, 200, 1), (300, 1, 7), (260, 2, 64), (600, 513, 200)] {
        let (rows, _, outputs) = shape;
        let whole = bits(backend, shape, 0, rows).0;
        for (first, count) in [(0, 1), (rows - 1, 1), (5, 2), (17, 7), (3, 33), (100, 129), (1, rows - 1)] {
            let part = bits(backend, shape, first, count).0;
            assert!(
                part == whole[first * outputs..][..count * outputs],
                "{shape:?}, {count} rows from {first}"
            );
        }
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    for shape in [(1, 65, 10), (31, 63, 128), (200, 784, 200), (2049, 128, 65)] {
        let on =
            |threads| Cpu::new(threads).unwrap().install(|cpu| Ok(bits(cpu, shape, 0, shape.0))).unwrap();
        let one = on(1);
        for threads in [1, 2, 3, 4] {
            assert!(on(threads) == one, "{shape:?} on {threads} threads");
        }
    }
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let uploaded = Stored::<f32>::new(5, 4, 6).upload(backend);
    let weight = backend.upload(&[0f32; 64]).unwrap();
    let mut z = poisoned::<B, f32>(backend, 64);
    let mut moments = poisoned::<B, f32>(backend, 6);
    // rows, weight, bias, z, start of the variance
    for (rows, w, b, out, var) in [
        (5, 18, 3, 15, 3),
        (4, 17, 3, 12, 3),
        (4, 18, 2, 12, 3),
        (4, 18, 3, 11, 3),
        (4, 18, 3, 12, 4),
        (0, 18, 3, 0, 3),
    ] {
        let answer = backend.linear(
            Linear { rows, inputs: 6, outputs: 3 },
            &uploaded.whole(PLAIN),
            Part::new(&weight, 0, w),
            Some(Part::new(&weight, 0, b)),
            PartMut::new(&mut z, 0, out),
            Some(Moments {
                buf: &mut moments,
                mean: Span { start: 0, len: 3 },
                var: Span { start: var, len: 3 },
            }),
        );
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
