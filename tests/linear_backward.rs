//! `linear_backward` against its definition, and against finite differences of a whole net.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::backend::*;

on_each_precision!(f32_matches);
on_each_backend!(wrong_lengths);
on_cpu!(f64_matches, finite_differences);

fn f32_matches<B: Backend>(backend: &B, _: Precision) {
    matches_definition::<B, f32>(backend);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend);
}

fn span(start: usize, len: usize) -> Span {
    Span { start, len }
}

/// W, b, γ and β of this layer, γ and β of the layer below, with a gap before each.
struct Spans {
    weight: Span,
    bias: Span,
    own: NormSpans,
    below: NormSpans,
    len: usize,
}

fn spans(inputs: usize, outputs: usize) -> Spans {
    let mut at = 0;
    let mut take = |len: usize| {
        let span = span(at + 1, len);
        at += len + 1;
        span
    };
    let (weight, bias) = (take(inputs * outputs), take(outputs));
    let own = NormSpans { gamma: take(outputs), beta: take(outputs) };
    let below = NormSpans { gamma: take(inputs), beta: take(inputs) };
    Spans { weight, bias, own, below, len: at }
}

/// One call with every output poisoned but the gradients of this layer's γ and β.
struct Call<R> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    field: Stored<R>,
    above: Stored<R>,
    grad: Vec<R>,
    params: Vec<R>,
    before: Vec<R>,
}

impl<R: Real> Call<R> {
    fn new(rows: usize, inputs: usize, outputs: usize) -> Call<R> {
        let at = spans(inputs, outputs);
        let mut before = vec![R::nan(); at.len];
        before[at.own.gamma.range()].copy_from_slice(&values(21, outputs));
        before[at.own.beta.range()].copy_from_slice(&values(22, outputs));
        Call {
            rows,
            inputs,
            outputs,
            field: Stored::new(11, rows, inputs),
            above: Stored::new(31, rows, outputs),
            grad: values(23, rows * outputs),
            params: values(24, at.len),
            before,
        }
    }

    /// Gradients and the gradient below.
    fn run<B: Backend>(
        &self,
        backend: &B,
        parts: Parts,
        through_norm: bool,
        with_below: bool,
    ) -> (Vec<R>, Vec<R>) {
        let &Call { rows, inputs, outputs, .. } = self;
        let at = spans(inputs, outputs);
        let (field, above) = (self.field.upload(backend), self.above.upload(backend));
        let grad = backend.upload(&self.grad).unwrap();
        let params = backend.upload(&self.params).unwrap();
        let mut grads = backend.upload(&self.before).unwrap();
        let mut below = poisoned::<B, R>(backend, rows * inputs);
        let z = Part::new(&above.z, 0, rows * outputs);
        let norm = through_norm.then(|| DeltaNorm { z, norm: above.norm(), at: at.own });
        let desc = LinearBackward {
            rows,
            inputs,
            outputs,
            weight: at.weight,
            bias: Some(at.bias),
            below_norm: parts.norm.then_some(at.below),
        };
        let delta = Delta { grad: &grad, norm };
        let below_buf = with_below.then_some(&mut below);
        backend.linear_backward(desc, &delta, &field.whole(parts), &params, &mut grads, below_buf).unwrap();
        (all(backend, &grads), all(backend, &below))
    }
}

fn matches_definition<B: Backend, R: Real>(backend: &B) {
    let shapes =
        [(1, 7, 10), (2, 1, 1), (7, 65, 2), (31, 63, 128), (200, 200, 65), (2049, 10, 7), (5000, 33, 10)];
    let mut turn = 0;
    for (rows, inputs, outputs) in shapes {
        let call = Call::<R>::new(rows, inputs, outputs);
        for activation in ACTIVATIONS {
            turn += 1;
            let dropout = (turn % 3 == 0).then_some(DROPOUT);
            for norm in [false, true] {
                let parts = Parts { noise: turn % 4 == 0, norm, activation, dropout };
                judge(backend, &call, parts, turn % 2 == 0);
            }
        }
    }
}

fn judge<B: Backend, R: Real>(backend: &B, call: &Call<R>, parts: Parts, through_norm: bool) {
    let &Call { rows, inputs, outputs, .. } = call;
    let at = spans(inputs, outputs);
    let (grads, below) = call.run(backend, parts, through_norm, true);

    let n = rows as f64;
    let own = |span: Span, c: usize| call.before[span.start + c].wide();
    let dz: Vec<f64> = (0..rows * outputs)
        .map(|i| {
            let (r, c) = (i / outputs, i % outputs);
            let g = call.grad[i].wide();
            if !through_norm {
                return g;
            }
            let [_, inv_std, gamma, _] = call.above.norm.each_ref().map(|part| part[c].wide());
            let x = call.above.standardised(Parts { norm: true, ..PLAIN }, r, c);
            gamma * inv_std * (g - own(at.own.beta, c) / n - x * own(at.own.gamma, c) / n)
        })
        .collect();
    let x = call.field.x(parts);
    let weight = wide(&call.params[at.weight.range()]);

    let mut want = wide(&call.before);
    let mut sizes = vec![0.0f64; at.len]; // sums of magnitudes: the scale of rounding errors
    let mut add = |i: usize, term: f64| {
        if want[i].is_nan() {
            want[i] = 0.0;
        }
        want[i] += term;
        sizes[i] += term.abs();
    };
    let mut want_below = vec![0.0; rows * inputs];
    let mut below_size: f64 = 0.0;
    for r in 0..rows {
        for o in 0..outputs {
            let dz = dz[r * outputs + o];
            add(at.bias.start + o, dz);
            for i in 0..inputs {
                add(at.weight.start + o * inputs + i, dz * x[r * inputs + i]);
            }
        }
        for i in 0..inputs {
            let terms = (0..outputs).map(|o| dz[r * outputs + o] * weight[o * inputs + i]);
            let slope = slope(parts.activation, call.field.h(parts, r, i)) * call.field.mask(parts, r, i);
            let size: f64 = terms.clone().map(f64::abs).sum();
            let g = terms.sum::<f64>() * slope;
            // 1 − tanh² cancels where tanh saturates, so a small slope does not make a small error.
            below_size = below_size.max(size * slope.abs().max(1.0));
            want_below[r * inputs + i] = g;
            if parts.norm {
                add(at.below.beta.start + i, g);
                add(at.below.gamma.start + i, g * call.field.standardised(parts, r, i));
            }
        }
    }
    let what = format!("{rows} x {inputs} -> {outputs}, {parts:?}, through norm {through_norm}");
    // Central differences in the reference are good to 1e-9.
    let unit = 20.0 * epsilon::<R>() + 1e-9;
    assert_close(&format!("below, {what}"), &wide(&below), &want_below, 0.0, unit * below_size);
    for i in 0..at.len {
        let (got, want) = (grads[i].wide(), want[i]);
        let same = got.is_nan() && want.is_nan();
        let allowed = unit * (sizes[i] + below_size);
        assert!(same || (got - want).abs() <= allowed, "grads[{i}], {what}: got {got:e}, want {want:e}");
    }
    let (alone, untouched) = call.run(backend, parts, through_norm, false);
    let bits = |span: Span, values: &[R]| {
        values[span.range()].iter().map(|v| v.wide().to_bits()).collect::<Vec<_>>()
    };
    assert!(bits(at.weight, &alone) == bits(at.weight, &grads), "dW without the gradient below, {what}");
    assert!(untouched.iter().all(|v| v.is_nan()));
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
        backend.linear(below_desc, &input, Part::at(&params, first), None, to, moments).unwrap();
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
        backend.linear(above_desc, &middle, Part::at(&params, second), bias_part, to, None).unwrap();
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
        backend.linear_backward(above, &seen, &middle, &params, &mut grads, Some(&mut below)).unwrap();
        let lowest =
            LinearBackward { rows, inputs, outputs: hidden, weight: first, bias: None, below_norm: None };
        let seen = Delta { grad: &below, norm: Some(DeltaNorm { z: z_part, norm, at: norm_at }) };
        backend.linear_backward(lowest, &seen, &input, &params, &mut grads, None).unwrap();
        (all(backend, &row_loss).iter().sum::<f64>() / rows as f64, all(backend, &grads))
    }
}

#[test]
fn same_bits_on_any_number_of_threads() {
    let parts = Parts { norm: true, activation: Activation::Tanh, ..PLAIN };
    for (rows, inputs, outputs) in [(1, 65, 10), (200, 200, 33), (5000, 65, 40)] {
        let on = |threads| {
            let call = Call::<f32>::new(rows, inputs, outputs);
            let run = |cpu: &Cpu| {
                let (grads, below) = call.run(cpu, parts, true, true);
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
        let answer = backend.linear_backward(desc, &delta, &input, &params, &mut grads, Some(&mut below));
        assert!(matches!(answer, Err(Error::Shape { .. })), "{desc:?}: {answer:?}");
    }
}
