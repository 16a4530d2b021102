//! `linear` against its definition, and its promise of repeatability.

use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;

mod judge;
use judge::*;

on_each_precision!(
    matches_definition,
    large_shapes,
    mixed_magnitudes,
    subnormals,
    zeros,
    only_rows_with_a_nan_are_lost,
    rows_nearly_stand_alone,
    repeats,
    fields_are_like_any_buffer,
);
on_each_backend!(shifted_moments, wrong_lengths);
on_cpu!(f64_matches, rows_stand_alone);

/// Rows, inputs, outputs: every edge of a tile, few and many rows.
const SHAPES: [(usize, usize, usize); 17] = [
    (1, 1, 1),
    (1, 65, 10),
    (1, 200, 129),
    (2, 7, 63),
    (7, 2, 1),
    (7, 200, 128),
    (31, 128, 65),
    (31, 1, 200),
    (31, 63, 100),
    (128, 64, 128),
    (200, 300, 10),
    (200, 63, 200),
    (200, 127, 129),
    (259, 129, 127),
    (259, 100, 65),
    (259, 10, 7),
    (2, 1280, 10),
];

fn f64_matches<B: Backend>(backend: &B) {
    for shape in SHAPES {
        matches::<B, f64>(backend, f64_bound, shape, &Vec::from_iter(0..shape.0));
    }
}

fn matches_definition<B: Backend>(backend: &B, precision: Precision) {
    for shape in SHAPES {
        matches::<B, f32>(backend, |k| bound(precision, k), shape, &Vec::from_iter(0..shape.0));
    }
}

fn large_shapes<B: Backend>(backend: &B, precision: Precision) {
    for shape in [
        (200, 784, 10),
        (1000, 784, 512),
        (1000, 2048, 10),
        (1000, 512, 1280),
        (200, 1280, 2048),
        (2049, 65, 128),
        (5000, 63, 10),
        (59_999, 63, 129),
        (60_000, 100, 65),
    ] {
        let rows = [0, 1, 127, 128, 129, 199, shape.0 / 2, shape.0 - 2, shape.0 - 1];
        let rows = Vec::from_iter(rows.into_iter().filter(|&row| row < shape.0));
        matches::<B, f32>(backend, |k| bound(precision, k), shape, &rows);
    }
}

/// What an input is and stands for; x is known to `slack` units of rounding of 1.
struct Kind<'a, B: Backend, R: Real> {
    name: &'a str,
    input: Input<'a, B, R>,
    x: Vec<f64>,
    slack: f64,
}

/// Every kind of input, with a bias and without; the rows of z named are compared.
fn matches<B: Backend, R: Real>(
    backend: &B,
    bound: impl Fn(usize) -> Bound,
    shape: (usize, usize, usize),
    compared: &[usize],
) {
    let (rows, inputs, outputs) = shape;
    let stored = Stored::<R>::new(5, rows, inputs);
    let uploaded = stored.upload(backend);
    let bytes = bytes(6, (rows + 2) * inputs);
    let pixels = backend.upload(&bytes).unwrap();
    let index: Vec<u32> = (0..rows as u32 + 2).rev().collect();
    let index = backend.upload(&index).unwrap();
    let scale = R::of(1.0 / 255.0);
    let tanh = Parts { norm: true, activation: Activation::Tanh, ..PLAIN };
    let relu = Parts { norm: true, activation: Activation::Relu, ..PLAIN };
    let noisy = Parts { noise: true, dropout: Some(DROPOUT), activation: Activation::Relu, ..PLAIN };
    let field = |name, parts, slack| Kind { name, input: uploaded.whole(parts), x: stored.x(parts), slack };
    let from_bytes = |shift: f64| move |&b: &u8| f64::from(b) * scale.wide() + shift;
    let kinds = [
        field("in place", PLAIN, 0.0),
        field("through tanh", tanh, 1.0),
        field("through ReLU", relu, 1.0),
        field("noise and dropout", noisy, 1.0),
        Kind {
            name: "pixels",
            input: Input::Pixels { pixels: &pixels, rows: Rows::From(2), scale, shift: R::zero() },
            x: bytes[2 * inputs..].iter().map(from_bytes(0.0)).collect(),
            slack: 0.0,
        },
        Kind {
            name: "shifted pixels in a list",
            input: Input::Pixels {
                pixels: &pixels,
                rows: Rows::Listed { index: &index, start: 1 },
                scale,
                shift: R::of(-0.25),
            },
            x: bytes[..(rows + 1) * inputs]
                .rchunks_exact(inputs)
                .take(rows)
                .flat_map(|row| row.iter().map(from_bytes(-0.25)))
                .collect(),
            slack: 1.0,
        },
    ];
    let weight = values::<R>(7, outputs * inputs);
    let bias = values::<R>(8, outputs);
    for (turn, kind) in kinds.iter().enumerate() {
        let bias = ((turn + rows) % 2 == 0).then_some(&bias[..]);
        let call = Call { rows, inputs, outputs, weight: &weight, bias };
        let (z, mean, var) = call.run(backend, &kind.input);
        let what = format!("{rows} x {inputs} -> {outputs}, {}, bias {}", kind.name, bias.is_some());
        call.judge(&what, bound(inputs), &kind.x, kind.slack, &z, compared);
        judge_moments::<R>(&what, &z, outputs, &mean, &var);
        let alone = call.run_alone(backend, &kind.input);
        call.judge(&format!("{what}, alone"), bound(inputs), &kind.x, kind.slack, &alone, compared);
    }
}

/// A mean a thousand times the deviation: E\[z²\] − E\[z\]² would have nothing left in f32.
fn shifted_moments<B: Backend>(backend: &B) {
    for rows in [129, 259, 3000] {
        let x: Vec<f32> = values::<f32>(1, rows).iter().map(|v| 1000.0 + v).collect();
        let buf = backend.upload(&x).unwrap();
        let field = Field { z: Part::new(&buf, 0, rows), noise: None, norm: None };
        let call = Call { rows, inputs: 1, outputs: 1, weight: &[1f32], bias: None };
        let (z, mean, var) = call.run(backend, &Input::plain(field));
        judge_moments::<f32>(&format!("{rows} rows"), &z, 1, &mean, &var);
    }
}

const ROWS: usize = 31;
const OUTPUTS: usize = 33;
/// Of odd and of even length, rows are multiplied by different ways.
const INPUTS: [usize; 2] = [65, 66];

/// z of the x given and a weight; x and weight are judged.
fn judge_plain<B: Backend>(
    backend: &B,
    precision: Precision,
    what: &str,
    x: &[f32],
    weight: &[f32],
) -> Vec<f64> {
    let (rows, inputs, outputs) = (ROWS, x.len() / ROWS, OUTPUTS);
    let buf = backend.upload(x).unwrap();
    let field = Field { z: Part::new(&buf, 0, rows * inputs), noise: None, norm: None };
    let call = Call { rows, inputs, outputs, weight, bias: None };
    let input = Input::plain(field);
    let [z, alone] = [call.run(backend, &input).0, call.run_alone(backend, &input)];
    let whole = |row: &usize| x[row * inputs..][..inputs].iter().all(|x| x.is_finite());
    if weight.iter().all(|w| w.is_finite()) {
        let compared = Vec::from_iter((0..rows).filter(whole));
        let x: Vec<f64> = x.iter().map(|&x| if x.is_finite() { x.into() } else { 0.0 }).collect();
        for z in [&z, &alone] {
            call.judge(what, bound(precision, inputs), &x, 0.0, z, &compared);
        }
    }
    for (z, alone) in z.iter().zip(&alone) {
        assert_eq!(z.is_finite(), alone.is_finite(), "{what}: {z} and alone {alone}");
    }
    z
}

/// Numbers in (−1, 1), times one of the scales in turn.
fn scaled(seed: u64, len: usize, scales: &[f32]) -> Vec<f32> {
    values::<f32>(seed, len).iter().zip(scales.iter().cycle()).map(|(v, scale)| v * scale).collect()
}

fn mixed_magnitudes<B: Backend>(backend: &B, precision: Precision) {
    for inputs in INPUTS {
        let scales: [&[f32]; 6] =
            [&[1.0], &[1e30, 1e-30, 1.0], &[1e30], &[1e-30], &[1e5, 1e-20], &[3e38, 1e-38, 0.0]];
        for x_scales in scales {
            for weight_scales in scales {
                let x = scaled(1, ROWS * inputs, x_scales);
                let weight = scaled(2, inputs * OUTPUTS, weight_scales);
                if f64::from(x_scales[0]) * f64::from(weight_scales[0]) < 1e36 {
                    let what = format!("x of {x_scales:?}, W of {weight_scales:?}");
                    judge_plain(backend, precision, &what, &x, &weight);
                }
            }
        }
    }
}

fn subnormals<B: Backend>(backend: &B, precision: Precision) {
    for inputs in INPUTS {
        for (x_scale, weight_scale) in
            [(1e-40, 1.0), (1e-42, 1e5), (1e-17, 1e-18), (1e-44, 1e-3), (1.0, 1e-39)]
        {
            let x = scaled(1, ROWS * inputs, &[x_scale]);
            let weight = scaled(2, inputs * OUTPUTS, &[weight_scale]);
            judge_plain(backend, precision, &format!("x of {x_scale:e}, W of {weight_scale:e}"), &x, &weight);
        }
    }
}

fn zeros<B: Backend>(backend: &B, precision: Precision) {
    for inputs in INPUTS {
        let zeros = |len: usize| vec![0f32; len];
        for (x, weight) in [
            (zeros(ROWS * inputs), values(2, inputs * OUTPUTS)),
            (values(1, ROWS * inputs), zeros(inputs * OUTPUTS)),
            (zeros(ROWS * inputs), zeros(inputs * OUTPUTS)),
        ] {
            let z = judge_plain(backend, precision, "zeros", &x, &weight);
            assert!(z.iter().all(|&z| z == 0.0), "{z:?}");
        }
    }
}

fn only_rows_with_a_nan_are_lost<B: Backend>(backend: &B, precision: Precision) {
    for inputs in INPUTS {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let (mut x, mut weight) = (values::<f32>(1, ROWS * inputs), values::<f32>(2, inputs * OUTPUTS));
            x[5 * inputs + 7] = bad;
            let z = judge_plain(backend, precision, &format!("{bad} in x"), &x, &weight);
            assert!(z[5 * OUTPUTS..][..OUTPUTS].iter().all(|z| !z.is_finite()), "{bad} in x");

            x[5 * inputs + 7] = 0.5;
            weight[9 * inputs + 3] = bad;
            let z = judge_plain(backend, precision, &format!("{bad} in W"), &x, &weight);
            for (i, z) in z.iter().enumerate() {
                assert!(z.is_finite() != (i % OUTPUTS == 9), "{bad} in W: {z} at {i}");
            }

            x[5 * inputs + 7] = bad;
            weight[9 * inputs + 3] = 0.5;
            let z = backend.upload(&x).unwrap();
            let field = Field { z: Part::new(&z, 0, x.len()), noise: None, norm: None };
            let call = Call { rows: ROWS, inputs, outputs: OUTPUTS, weight: &weight, bias: None };
            let behind = Input::Field { field, activation: Activation::Relu, dropout: None };
            for (i, z) in call.run(backend, &behind).0.iter().enumerate() {
                let lost = i / OUTPUTS == 5 && bad != f32::NEG_INFINITY;
                assert!(z.is_finite() != lost, "{bad} behind ReLU: {z} at {i}");
            }
        }
    }
}

/// The largest element of an operand may decide how the others are rounded, no more.
fn rows_nearly_stand_alone<B: Backend>(backend: &B, precision: Precision) {
    for inputs in [129, 130] {
        rows_nearly_stand_alone_of(backend, precision, (259, inputs, 65));
    }
}

fn rows_nearly_stand_alone_of<B: Backend>(
    backend: &B,
    precision: Precision,
    (rows, inputs, outputs): (usize, usize, usize),
) {
    let stored = Stored::<f32>::new(5, rows, inputs);
    let uploaded = stored.upload(backend);
    let weight = values::<f32>(7, outputs * inputs);
    let run = |first: usize, count: usize| {
        let call = Call { rows: count, inputs, outputs, weight: &weight, bias: None };
        call.run(backend, &uploaded.input(PLAIN, first, count)).0
    };
    let whole = run(0, rows);
    // What rounds the same way in both calls leaves no difference.
    let bound = Bound { of_largest: bound(precision, inputs).of_largest, ..bound(Precision::Simt, inputs) };
    let call = Call { rows, inputs, outputs, weight: &weight, bias: None };
    let x = stored.x(PLAIN);
    for (first, count) in [(0, 1), (rows - 1, 1), (5, 2), (17, 7), (3, 33), (100, 129), (1, rows - 1)] {
        let part = run(first, count);
        for (i, row) in (first..first + count).enumerate() {
            let limits = call.expected(&bound, &x, 0.0, row).1;
            let (got, want) = (&part[i * outputs..][..outputs], &whole[row * outputs..][..outputs]);
            assert_rows_close(&format!("row {row} of {count} from {first}"), got, want, &limits, outputs);
        }
    }
}

/// The same bits as of plain buffers of the same numbers, but that z is rounded.
fn fields_are_like_any_buffer<B: Backend>(backend: &B, _: Precision) {
    let of_normed = Parts { activation: Activation::Gelu, norm: true, ..PLAIN };
    let of_noisy = Parts { activation: Activation::Gelu, noise: true, ..PLAIN };
    for (rows, inputs, outputs) in [(259, 64, 128), (131, 65, 33), (70, 200, 10), (2100, 24, 12)] {
        let len = rows * outputs;
        let mut stored = Stored::<f32>::new(5, rows, inputs);
        stored.z = as_fields(backend, &stored.z);
        let weight = backend.upload(&values::<f32>(7, outputs * inputs)).unwrap();
        // The last one, where rows have a multiple of eight elements, is multiplied as it is stored.
        for parts in [of_normed, of_noisy, PLAIN] {
            let run = |input: &Input<B, f32>, mut z: B::Buf<f32>, with_moments: bool| {
                let mut moments = poisoned::<B, f32>(backend, 2 * outputs);
                let (mean, var) = (Span { start: 0, len: outputs }, Span { start: outputs, len: outputs });
                let to = Moments { buf: &mut moments, mean, var };
                let desc = Linear { rows, inputs, outputs };
                let (weight, z_part) =
                    (Part::new(&weight, 0, outputs * inputs), PartMut::new(&mut z, 1, len));
                backend.linear(desc, input, weight, None, z_part, with_moments.then_some(to), None).unwrap();
                (all(backend, &z), all(backend, &moments))
            };
            let poison = vec![f32::NAN; len + 2];
            for with_moments in [false, true] {
                let plain = poisoned::<B, f32>(backend, len + 2);
                let plain = run(&stored.upload(backend).whole(parts), plain, with_moments);
                let rounded = fields(backend, &poison);
                let rounded = run(&stored.upload_fields(backend).whole(parts), rounded, with_moments);
                let what = format!("{rows} x {inputs} -> {outputs}, {parts:?}, moments {with_moments}");
                assert!(same_bits(&rounded.0, &as_fields(backend, &plain.0)), "z, {what}");
                assert!(same_bits(&rounded.1, &plain.1), "moments, {what}");
            }
        }
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan())
}

fn repeats<B: Backend>(backend: &B, _: Precision) {
    for shape in [(1, 65, 10), (259, 129, 127)] {
        let first = bits(backend, shape, 0, shape.0);
        for _ in 0..3 {
            assert!(bits(backend, shape, 0, shape.0) == first, "{shape:?}");
        }
    }
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
            None,
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
            None,
        );
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
