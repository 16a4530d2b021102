//! The gradients of a whole net against finite differences of its loss.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::backend::*;

on_cpu!(finite_differences);

fn span(start: usize, len: usize) -> Span {
    Span { start, len }
}

/// Pixels → 9 (batch norm, tanh) → 4 classes: every parameter moved both ways.
fn finite_differences<B: Backend>(backend: &B) {
    let net = Net { rows: 37, inputs: 5, hidden: 9, classes: 4 };
    for kind in [LossKind::CrossEntropy, LossKind::Mse] {
        let params: Vec<f64> = values(1, net.params());
        let (_, grads) = net.loss_and_grads(backend, kind, &params);
        let numeric: Vec<f64> = (0..params.len())
            .map(|i| {
                let at = |d: f64| {
                    let mut moved = params.clone();
                    moved[i] += d;
                    net.loss_and_grads(backend, kind, &moved).0
                };
                let d = 1e-5;
                (at(d) - at(-d)) / (2.0 * d)
            })
            .collect();
        assert_close(&format!("{kind:?}"), &grads, &numeric, 1e-6, 1e-9);
    }
}

struct Net {
    rows: usize,
    inputs: usize,
    hidden: usize,
    classes: usize,
}

impl Net {
    /// W(2), γ, β, W(3), b(3).
    fn spans(&self) -> (Span, NormSpans, Span, Span) {
        let first = span(0, self.hidden * self.inputs);
        let gamma = span(first.len, self.hidden);
        let beta = span(first.len + self.hidden, self.hidden);
        let second = span(first.len + 2 * self.hidden, self.classes * self.hidden);
        (first, NormSpans { gamma, beta }, second, span(second.start + second.len, self.classes))
    }

    fn params(&self) -> usize {
        self.spans().3.range().end
    }

    fn loss_and_grads<B: Backend>(&self, backend: &B, kind: LossKind, params: &[f64]) -> (f64, Vec<f64>) {
        let &Net { rows, inputs, hidden, classes } = self;
        let (first, norm_at, second, bias) = self.spans();
        let pixels = backend.upload(&bytes(2, rows * inputs)).unwrap();
        let label_bytes: Vec<u8> = bytes(3, rows).iter().map(|b| b % classes as u8).collect();
        let labels = backend.upload(&label_bytes).unwrap();
        let params = backend.upload(params).unwrap();
        let buffer = |len| poisoned::<B, f64>(backend, len);
        let (mut z, mut logits) = (buffer(rows * hidden), buffer(rows * classes));
        let (mut stats, mut inv_std) = (buffer(2 * hidden), buffer(hidden));
        let (mut row_loss, mut delta, mut below) =
            (buffer(rows), buffer(rows * classes), buffer(rows * hidden));
        let mut grads = buffer(self.params());

        let input = Input::Pixels { pixels: &pixels, rows: Rows::From(0), scale: 1.0 / 128.0, shift: -1.0 };
        let (mean, var) = (span(0, hidden), span(hidden, hidden));
        let to = PartMut::new(&mut z, 0, rows * hidden);
        let moments = Some(Moments { buf: &mut stats, mean, var });
        let below_desc = Linear { rows, inputs, outputs: hidden };
        backend.linear(below_desc, &input, Part::at(&params, first), None, to, moments, None).unwrap();
        let desc = BatchNorm { rows, features: hidden, eps: 1e-5, momentum: 0.1 };
        let to = PartMut::new(&mut inv_std, 0, hidden);
        backend.batch_norm(desc, Part::at(&stats, mean), Part::at(&stats, var), to, None).unwrap();
        let norm = Norm {
            mean: Part::at(&stats, mean),
            inv_std: Part::new(&inv_std, 0, hidden),
            gamma: Part::at(&params, norm_at.gamma),
            beta: Part::at(&params, norm_at.beta),
        };
        let z_part = Part::new(&z, 0, rows * hidden);
        let field = Field { z: z_part, noise: None, norm: Some(norm) };
        let middle = Input::Field { field, activation: Activation::Tanh, dropout: None };
        let above_desc = Linear { rows, inputs: hidden, outputs: classes };
        let to = PartMut::new(&mut logits, 0, rows * classes);
        let bias_part = Some(Part::at(&params, bias));
        backend.linear(above_desc, &middle, Part::at(&params, second), bias_part, to, None, None).unwrap();
        let desc = Loss { kind, rows, classes };
        let labels = Labels { labels: &labels, rows: Rows::From(0) };
        let logits = Part::new(&logits, 0, rows * classes);
        let to = PartMut::new(&mut delta, 0, rows * classes);
        backend.loss(desc, logits, labels, PartMut::new(&mut row_loss, 0, rows), Some(to)).unwrap();

        let above = LinearBackward {
            rows,
            inputs: hidden,
            outputs: classes,
            weight: second,
            bias: Some(bias),
            below_norm: Some(norm_at),
        };
        let seen = Delta { grad: &delta, norm: None };
        backend.linear_backward(above, &seen, &middle, &params, &mut grads, Some(&mut below), None).unwrap();
        let lowest =
            LinearBackward { rows, inputs, outputs: hidden, weight: first, bias: None, below_norm: None };
        let seen = Delta { grad: &below, norm: Some(DeltaNorm { z: z_part, norm, at: norm_at }) };
        backend.linear_backward(lowest, &seen, &input, &params, &mut grads, None, None).unwrap();
        (all(backend, &row_loss).iter().sum::<f64>() / rows as f64, all(backend, &grads))
    }
}
