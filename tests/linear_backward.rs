//! `linear_backward` against its definition; `finite_differences.rs` has a whole net.

use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;

mod judge;
use judge::*;

on_each_precision!(
    matches_definition,
    large_shapes,
    behind_relu,
    pixels_below,
    mixed_magnitudes,
    only_rows_with_a_nan_are_lost,
    repeats,
    same_bits_after_the_forward_pass,
    fields_are_like_any_buffer,
);
on_each_backend!(wrong_lengths);
on_cpu!(f64_matches);

/// Rows, inputs, outputs: every edge of a tile, few and many rows.
const SHAPES: [(usize, usize, usize); 15] = [
    (1, 1, 1),
    (1, 7, 10),
    (2, 1, 1),
    (7, 65, 2),
    (31, 63, 128),
    (31, 200, 7),
    (64, 128, 128),
    (127, 100, 10),
    (128, 10, 100),
    (129, 129, 63),
    (200, 200, 65),
    (200, 65, 127),
    (259, 10, 7),
    (259, 33, 129),
    (259, 127, 10),
];

fn f64_matches<B: Backend>(backend: &B) {
    in_turn::<f64>(&SHAPES, |call, parts, through_norm| {
        // Central differences in the reference are good to 1e-9.
        let bound = |k| Bound { relative: 1e-9, ..f64_bound(k) };
        call.judge(backend, parts, through_norm, bound, f64_bound);
    });
}

fn matches_definition<B: Backend>(backend: &B, precision: Precision) {
    in_turn::<f32>(&SHAPES, |call, parts, through_norm| {
        call.judge(backend, parts, through_norm, |k| bound(precision, k), f32_sums)
    });
}

fn large_shapes<B: Backend>(backend: &B, precision: Precision) {
    let shapes = [
        (200, 784, 200),
        (1000, 784, 512),
        (1000, 512, 1280),
        (1000, 2048, 10),
        (5000, 33, 10),
        (59_999, 63, 129),
        (60_000, 128, 10),
    ];
    in_turn::<f32>(&shapes, |call, parts, through_norm| {
        call.judge(backend, parts, through_norm, |k| bound(precision, k), f32_sums)
    });
}

/// Sums that no precision changes.
fn f32_sums(rows: usize) -> Bound {
    bound(Precision::Simt, rows)
}

/// Two calls of every shape: all activations with and without a norm, and the other parts as they come.
fn in_turn<R: Real>(shapes: &[(usize, usize, usize)], judge: impl Fn(&Call<R>, Parts, bool)) {
    for (i, &(rows, inputs, outputs)) in shapes.iter().enumerate() {
        let call = Call::<R>::new(rows, inputs, outputs);
        for turn in [2 * i, 2 * i + 1] {
            let parts = Parts {
                noise: turn % 4 == 0,
                norm: (turn / 7) % 2 == 0,
                activation: ACTIVATIONS[turn % 7],
                dropout: (turn % 3 == 0).then_some(DROPOUT),
            };
            judge(&call, parts, turn % 5 < 3);
        }
    }
}

/// What most networks have below: nothing but a norm, or not even that, and ReLU. Parts of tiles, whole ones, and splits.
fn behind_relu<B: Backend>(backend: &B, precision: Precision) {
    for (rows, inputs, outputs) in [(127, 100, 10), (300, 130, 140), (520, 128, 128)] {
        let call = Call::<f32>::new(rows, inputs, outputs);
        for norm in [true, false] {
            let parts = Parts { norm, activation: Activation::Relu, ..PLAIN };
            call.judge(backend, parts, norm, |k| bound(precision, k), f32_sums);
        }
    }
}

/// The first layer: its x are bytes, and nothing lies below.
fn pixels_below<B: Backend>(backend: &B, precision: Precision) {
    let (rows, inputs, outputs) = (259, 63, 33);
    let call = Call::<f32>::new(rows, inputs, outputs);
    let host = bytes(6, (rows + 2) * inputs);
    let pixels = backend.upload(&host).unwrap();
    let index = backend.upload(&Vec::from_iter((2..rows as u32 + 2).rev())).unwrap();
    for shift in [0.0, -0.5] {
        let rows_listed = Rows::Listed { index: &index, start: 0 };
        let input = Input::Pixels { pixels: &pixels, rows: rows_listed, scale: 1.0 / 255.0, shift };
        let (grads, untouched) = call.run(backend, &input, true, false);
        assert!(untouched.iter().all(|v| v.is_nan()));
        let from_bytes = |&b: &u8| f64::from(b) * f64::from(1f32 / 255.0) + f64::from(shift);
        let value: Vec<f64> =
            host[2 * inputs..].rchunks_exact(inputs).flat_map(|row| row.iter().map(from_bytes)).collect();
        let x = Sized { size: value.iter().map(|x| x.abs() + f64::from(shift.abs())).collect(), value };
        let at = spans(inputs, outputs);
        let (dz, what) = (call.dz(true), format!("pixels, shift {shift}"));
        call.judge_weight(&what, &wide(&grads[at.weight.range()]), &dz, &x, &bound(precision, rows));
        call.judge_bias(&what, &wide(&grads[at.bias.range()]), &dz, &f32_sums(rows));
    }
}

/// The same bits as of plain buffers of the same numbers, but that the gradient below is rounded.
fn fields_are_like_any_buffer<B: Backend>(backend: &B, precision: Precision) {
    let kept = as_fields(backend, &[1.001f32])[0];
    assert_eq!(kept == 1.001, precision != Precision::Bf16, "{kept}");
    let of_tanh = Parts { activation: Activation::Tanh, ..PLAIN };
    let of_all = Parts { norm: true, dropout: Some(DROPOUT), ..of_tanh };
    for (rows, inputs, outputs) in
        [(259, 128, 64), (131, 65, 33), (70, 200, 10), (2100, 12, 20), (2100, 24, 16)]
    {
        let mut call = Call::<f32>::new(rows, inputs, outputs);
        call.round(backend);
        // The first one, where rows have a multiple of eight elements, is multiplied as it is stored.
        for (norm, parts) in [(false, PLAIN), (false, of_tanh), (true, of_all)] {
            let [plain, fields] = [false, true].map(|in_fields| {
                call.in_fields = in_fields;
                let field = &call.field;
                let field = if in_fields { field.upload_fields(backend) } else { field.upload(backend) };
                call.run(backend, &field.whole(parts), norm, true)
            });
            let what = format!("{rows} x {inputs} -> {outputs}, norm {norm}, {parts:?}");
            assert!(bits(&fields.0) == bits(&plain.0), "gradients, {what}");
            assert!(bits(&fields.1) == bits(&as_fields(backend, &plain.1)), "below, {what}");
        }
    }
}

fn mixed_magnitudes<B: Backend>(backend: &B, precision: Precision) {
    for scales in [&[1e-11f32][..], &[1e-6, 1e-20, 1e-3], &[1e25, 1.0], &[1e-40], &[0.0]] {
        let mut call = Call::<f32>::new(131, 65, 33);
        call.grad.iter_mut().zip(scales.iter().cycle()).for_each(|(g, scale)| *g *= scale);
        for norm in [false, true] {
            call.judge(backend, Parts { norm, ..PLAIN }, false, |k| bound(precision, k), f32_sums);
        }
    }
}

fn only_rows_with_a_nan_are_lost<B: Backend>(backend: &B, _: Precision) {
    for norm in [false, true] {
        only_its_row_is_lost(backend, Parts { dropout: Some(DROPOUT), norm, ..PLAIN });
    }
}

fn only_its_row_is_lost<B: Backend>(backend: &B, dropping: Parts) {
    let (rows, inputs, outputs) = (31, 65, 33);
    let at = spans(inputs, outputs);
    let clean = Call::<f32>::new(rows, inputs, outputs);
    let field = clean.field.upload(backend);
    let (clean_grads, clean_below) = clean.run(backend, &field.whole(dropping), false, true);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut call = Call::<f32>::new(rows, inputs, outputs);
        call.grad[3 * outputs + 2] = bad;
        let (grads, below) = call.run(backend, &field.whole(dropping), false, true);
        for i in 0..rows * inputs {
            let (row, kept) = (i / inputs, call.field.mask(dropping, i / inputs, i % inputs) != 0.0);
            let ok = if !kept { below[i] == 0.0 } else { below[i].is_finite() == (row != 3) };
            assert!(ok, "{bad} in the gradient: {} at {row}, {}, kept {kept}", below[i], i % inputs);
            assert!(row == 3 || (below[i] - clean_below[i]).abs() < 0.2);
        }
        assert!(!grads[at.bias.start + 2].is_finite());
        for i in 0..outputs * inputs {
            let (got, clean) = (grads[at.weight.start + i], clean_grads[at.weight.start + i]);
            // An x of 0 that meets an infinity is a NaN.
            let ok = if i / inputs == 2 { !got.is_finite() } else { (got - clean).abs() < 0.2 };
            assert!(ok, "{bad} in the gradient: dW is {got} at {}, {}", i / inputs, i % inputs);
        }
    }
}

fn repeats<B: Backend>(backend: &B, _: Precision) {
    let parts = Parts { norm: true, activation: Activation::Tanh, ..PLAIN };
    let call = Call::<f32>::new(259, 129, 65);
    let field = call.field.upload(backend);
    let run = || {
        let (grads, below) = call.run(backend, &field.whole(parts), true, true);
        [bits(&grads), bits(&below)]
    };
    let first = run();
    for _ in 0..3 {
        assert!(run() == first);
    }
}

/// What the forward pass has kept spares work and changes nothing.
fn same_bits_after_the_forward_pass<B: Backend>(backend: &B, _: Precision) {
    let dropped = Parts { norm: true, dropout: Some(DROPOUT), activation: Activation::Tanh, ..PLAIN };
    let plain = Parts { norm: true, activation: Activation::Relu, ..PLAIN };
    for (parts, rows, inputs, outputs) in
        [(dropped, 259, 129, 65), (dropped, 31, 63, 10), (plain, 259, 130, 65)]
    {
        let call = Call::<f32>::new(rows, inputs, outputs);
        let field = call.field.upload(backend);
        let run = |kept| {
            let (grads, below) = call.run_after(backend, &field.whole(parts), true, true, kept);
            [bits(&grads), bits(&below)]
        };
        assert!(run(Some(B::Kept::default())) == run(None), "{rows} x {inputs} -> {outputs}");
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let parts = Parts { norm: true, activation: Activation::Tanh, ..PLAIN };
    for (rows, inputs, outputs) in [(1, 65, 10), (200, 200, 33), (5000, 65, 40)] {
        let on = |threads| {
            let call = Call::<f32>::new(rows, inputs, outputs);
            let run = |cpu: &Cpu| {
                let (grads, below) = call.run(cpu, &call.field.upload(cpu).whole(parts), true, true);
                Ok(grads.iter().chain(&below).map(|v| v.to_bits()).collect::<Vec<_>>())
            };
            Cpu::new(threads).unwrap().install(run).unwrap()
        };
        let one = on(1);
        for threads in [1, 2, 3] {
            assert!(on(threads) == one, "{rows} x {inputs} -> {outputs} on {threads} threads");
        }
    }
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let uploaded = Stored::<f32>::new(5, 4, 6).upload(backend);
    let params = backend.upload(&[0f32; 40]).unwrap();
    let norms = NormSpans { gamma: span(22, 6), beta: span(28, 6) };
    let good = LinearBackward {
        rows: 4,
        inputs: 6,
        outputs: 3,
        weight: span(0, 18),
        bias: Some(span(18, 3)),
        below_norm: Some(norms),
    };
    let short = NormSpans { gamma: span(22, 5), beta: span(28, 6) };
    // description, lengths of grad, gradients and below
    let wrong = [
        (LinearBackward { rows: 5, ..good }, 15, 40, 30),
        (LinearBackward { weight: span(0, 17), ..good }, 12, 40, 24),
        (LinearBackward { weight: span(30, 18), ..good }, 12, 40, 24),
        (LinearBackward { bias: Some(span(18, 4)), ..good }, 12, 40, 24),
        (LinearBackward { below_norm: Some(short), ..good }, 12, 40, 24),
        (good, 11, 40, 24),
        (good, 12, 39, 24),
        (good, 12, 40, 23),
    ];
    for (desc, grad, grads, below) in wrong {
        let grad = poisoned::<B, f32>(backend, grad);
        let (mut grads, mut below) = (poisoned::<B, f32>(backend, grads), poisoned::<B, f32>(backend, below));
        let delta = Delta { grad: &grad, norm: None };
        let input = uploaded.whole(Parts { norm: true, ..PLAIN });
        let answer =
            backend.linear_backward(desc, &delta, &input, &params, &mut grads, Some(&mut below), None);
        assert!(matches!(answer, Err(Error::Shape { .. })), "{desc:?}: {answer:?}");
    }
}
