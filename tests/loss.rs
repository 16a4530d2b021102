//! `loss` against its definition.

use crate::common::{assert_close, cpu};
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(
    f32_matches,
    large_shapes,
    logits_far_apart,
    ends_of_the_range,
    only_its_own_elements,
    label_that_is_no_class,
    wrong_lengths
);
on_cpu!(f64_matches);

const SHAPES: [(usize, usize); 13] = [
    (1, 1),
    (200, 1),
    (2, 10),
    (31, 7),
    (200, 63),
    (7, 64),
    (9, 65),
    (127, 100),
    (3, 127),
    (1, 128),
    (31, 129),
    (8, 200),
    (259, 10),
];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &SHAPES);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend, &SHAPES);
}

fn large_shapes<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &[(2049, 10), (59_999, 10), (60_000, 7), (1000, 256)]);
}

fn losses<B: Backend, R: Real>(
    backend: &B,
    desc: Loss,
    logits: &[R],
    labels: Labels<'_, B>,
) -> (Vec<f64>, Vec<R>) {
    let buf = backend.upload(logits).unwrap();
    let mut row_loss = poisoned::<B, f64>(backend, desc.rows);
    let mut alone = poisoned::<B, f64>(backend, desc.rows);
    let mut grad = poisoned::<B, R>(backend, logits.len());
    let part = Part::new(&buf, 0, logits.len());
    let to = PartMut::new(&mut grad, 0, logits.len());
    backend.loss(desc, part, labels, PartMut::new(&mut row_loss, 0, desc.rows), Some(to)).unwrap();
    backend.loss(desc, part, labels, PartMut::new(&mut alone, 0, desc.rows), None).unwrap();
    let row_loss = all(backend, &row_loss);
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&row_loss), bits(&all(backend, &alone)), "with and without the gradient");
    (row_loss, all(backend, &grad))
}

fn matches_definition<B: Backend, R: Real>(backend: &B, shapes: &[(usize, usize)]) {
    for &(rows, classes) in shapes {
        let logits: Vec<R> = values::<R>(3, rows * classes).iter().map(|v| R::of(9.0 * v.wide())).collect();
        let labels: Vec<u8> = bytes(4, rows + 3).iter().map(|b| (usize::from(*b) % classes) as u8).collect();
        let index: Vec<u32> = (0..rows as u32).rev().collect();
        let (labels_buf, index_buf) = (backend.upload(&labels).unwrap(), backend.upload(&index).unwrap());
        for kind in [LossKind::CrossEntropy, LossKind::Mse] {
            for listed in [false, true] {
                let chosen = match listed {
                    true => Rows::Listed { index: &index_buf, start: 0 },
                    false => Rows::From(3),
                };
                let label = |row: usize| labels[if listed { rows - 1 - row } else { row + 3 }] as usize;
                let desc = Loss { kind, rows, classes };
                let (row_loss, grad) =
                    losses(backend, desc, &logits, Labels { labels: &labels_buf, rows: chosen });

                let mut want_loss = Vec::new();
                let mut want_grad = Vec::new();
                for (row, logits) in logits.chunks(classes).enumerate() {
                    let sum: f64 = logits.iter().map(|l| l.wide().exp()).sum();
                    let mut squares = 0.0;
                    for (class, logit) in logits.iter().enumerate() {
                        let target = f64::from(class == label(row));
                        let off = logit.wide() - target;
                        squares += off * off;
                        want_grad.push(match kind {
                            LossKind::CrossEntropy => (logit.wide().exp() / sum - target) / rows as f64,
                            LossKind::Mse => 2.0 * off / (rows * classes) as f64,
                        });
                    }
                    want_loss.push(match kind {
                        LossKind::CrossEntropy => -(logits[label(row)].wide().exp() / sum).ln(),
                        LossKind::Mse => squares / classes as f64,
                    });
                }
                assert_close("loss", &row_loss, &want_loss, 1e-11, 1e-11);
                let tolerance = epsilon::<R>();
                assert_close("grad", &wide(&grad), &want_grad, tolerance, 1e-14);
            }
        }
    }
}

/// Log-sum-exp must not overflow, and a confident net must not lose its small gradient.
fn logits_far_apart<B: Backend>(backend: &B) {
    let labels = backend.upload(&[0u8, 1]).unwrap();
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    let desc = Loss { kind: LossKind::CrossEntropy, rows: 2, classes: 2 };
    let (loss, grad) = losses(backend, desc, &[30f32, 0.0, 3e4, 1e4], labels);
    let small = (-30f64).exp();
    assert_close("loss", &loss, &[small.ln_1p(), 2e4], 1e-2, 0.0);
    assert_close("grad", &wide(&grad), &[-small / 2.0, small / 2.0, 0.5, -0.5], 1e-2, 0.0);
    let (loss, grad) = losses(backend, desc, &[f32::NAN, 0.0, 1.0, 2.0], labels);
    assert!(loss[0].is_nan() && loss[1].is_finite() && grad[0].is_nan() && grad[1].is_nan());
}

/// Infinities and the largest numbers: NaN, infinite and finite where the CPU is.
fn ends_of_the_range<B: Backend>(backend: &B) {
    let (inf, max, tiny) = (f32::INFINITY, f32::MAX, 1e-45);
    #[rustfmt::skip]
    let logits = [
        inf, 0.0, 1.0,
        -inf, 0.0, 1.0,
        -inf, -inf, -inf,
        max, -max, 0.0,
        -max, max, 0.0,
        tiny, -tiny, -0.0,
        0.0, f32::NAN, 1.0,
        1.0, -inf, max,
    ];
    for kind in [LossKind::CrossEntropy, LossKind::Mse] {
        let desc = Loss { kind, rows: 8, classes: 3 };
        for label in 0..3 {
            let (loss, grad) = with_one_label(backend, desc, &logits, label);
            cpu(|cpu| {
                let (of_cpu, grad_of_cpu) = with_one_label(cpu, desc, &logits, label);
                same_kind(&loss, &of_cpu);
                same_kind(&wide(&grad), &wide(&grad_of_cpu));
            });
        }
    }
}

fn with_one_label<B: Backend>(backend: &B, desc: Loss, logits: &[f32], label: u8) -> (Vec<f64>, Vec<f32>) {
    let labels = backend.upload(&vec![label; desc.rows]).unwrap();
    losses(backend, desc, logits, Labels { labels: &labels, rows: Rows::From(0) })
}

/// NaN with NaN, an infinity with its equal, numbers nearly equal.
fn same_kind(got: &[f64], want: &[f64]) {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let close = (got - want).abs() <= 1e-6 * want.abs();
        assert!(close || got == want || (got.is_nan() && want.is_nan()), "[{i}]: got {got:e}, want {want:e}");
    }
}

/// Parts inside longer buffers, with neighbours that must stay as they are.
fn only_its_own_elements<B: Backend>(backend: &B) {
    let (rows, classes) = (9, 5);
    let logits = backend.upload(&values::<f32>(1, rows * classes + 7)).unwrap();
    let labels = backend.upload(&vec![2u8; rows]).unwrap();
    let mut row_loss = poisoned::<B, f64>(backend, rows + 2);
    let mut grad = poisoned::<B, f32>(backend, rows * classes + 2);
    backend
        .loss(
            Loss { kind: LossKind::CrossEntropy, rows, classes },
            Part::new(&logits, 7, rows * classes),
            Labels { labels: &labels, rows: Rows::From(0) },
            PartMut::new(&mut row_loss, 1, rows),
            Some(PartMut::new(&mut grad, 1, rows * classes)),
        )
        .unwrap();
    let (row_loss, grad) = (all(backend, &row_loss), wide(&all(backend, &grad)));
    for values in [&row_loss, &grad] {
        let last = values.len() - 1;
        assert!(values.iter().enumerate().all(|(i, v)| v.is_nan() == (i == 0 || i == last)), "{values:?}");
    }
}

fn label_that_is_no_class<B: Backend>(backend: &B) {
    let labels = backend.upload(&[3u8, 1]).unwrap();
    let labels = Labels { labels: &labels, rows: Rows::From(0) };
    for kind in [LossKind::CrossEntropy, LossKind::Mse] {
        let (loss, grad) = losses(backend, Loss { kind, rows: 2, classes: 3 }, &[1f32; 6], labels);
        assert!(loss[0].is_nan() && grad[..3].iter().all(|g| g.is_nan()));
        assert!(loss[1].is_finite() && grad[3..].iter().all(|g| g.is_finite()));
    }
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let logits = backend.upload(&[0f32; 40]).unwrap();
    let labels = backend.upload(&[0u8; 4]).unwrap();
    let mut row_loss = poisoned::<B, f64>(backend, 9);
    let mut grad = poisoned::<B, f32>(backend, 40);
    for (logits_len, first, losses, grads) in [(39, 0, 4, 40), (40, 1, 4, 40), (40, 0, 5, 40), (40, 0, 4, 30)]
    {
        let answer = backend.loss(
            Loss { kind: LossKind::Mse, rows: 4, classes: 10 },
            Part::new(&logits, 0, logits_len),
            Labels { labels: &labels, rows: Rows::From(first) },
            PartMut::new(&mut row_loss, 0, losses),
            Some(PartMut::new(&mut grad, 0, grads)),
        );
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
