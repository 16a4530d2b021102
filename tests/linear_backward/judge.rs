//! One call of `linear_backward`, and whether what came out is right.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::backend::*;

pub fn span(start: usize, len: usize) -> Span {
    Span { start, len }
}

/// W, b, γ and β of this layer, γ and β of the layer below, with a gap before each.
pub struct Spans {
    pub weight: Span,
    pub bias: Span,
    pub own: NormSpans,
    pub below: NormSpans,
    pub len: usize,
}

pub fn spans(inputs: usize, outputs: usize) -> Spans {
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
pub struct Call<R> {
    rows: usize,
    inputs: usize,
    outputs: usize,
    pub field: Stored<R>,
    above: Stored<R>,
    pub grad: Vec<R>,
    params: Vec<R>,
    before: Vec<R>,
    /// Whether gradients and z of this layer are in buffers of [`Backend::fields`].
    pub in_fields: bool,
}

/// A matrix in f64, and how large what each element is made of is.
pub struct Sized {
    pub value: Vec<f64>,
    pub size: Vec<f64>,
}

impl Sized {
    fn most(&self) -> f64 {
        self.value.iter().fold(0.0, |most: f64, v| most.max(v.abs()))
    }
}

/// A sum of products, and how far off it may be.
fn product(terms: impl Iterator<Item = [f64; 4]>, most: [f64; 2], bound: &Bound) -> (f64, f64) {
    let (mut sum, mut squares, mut all, mut count) = (0.0, 0.0, [0.0, 0.0], 0.0);
    for [a, a_size, b, b_size] in terms {
        sum += a * b;
        squares += (a_size * b_size).powi(2);
        all = [all[0] + a.abs(), all[1] + b.abs()];
        count += 1.0;
    }
    let cut = bound.of_largest * (most[0] * all[1] + most[1] * all[0]);
    (sum, bound.relative * squares.sqrt() + cut + bound.absolute * (all[0] + all[1] + count))
}

impl<R: Real> Call<R> {
    pub fn new(rows: usize, inputs: usize, outputs: usize) -> Call<R> {
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
            in_fields: false,
        }
    }

    /// Rounds what there is in fields to what they keep.
    pub fn round<B: Backend>(&mut self, backend: &B) {
        for values in [&mut self.field.z, &mut self.above.z, &mut self.grad] {
            *values = as_fields(backend, values);
        }
    }

    /// Gradients and the gradient below, which is longer than the batch.
    pub fn run<B: Backend>(
        &self,
        backend: &B,
        input: &Input<'_, B, R>,
        through_norm: bool,
        with_below: bool,
    ) -> (Vec<R>, Vec<R>) {
        self.run_after(backend, input, through_norm, with_below, None)
    }

    /// The same, with what the forward pass left if `kept` is given, which is made first.
    pub fn run_after<B: Backend>(
        &self,
        backend: &B,
        input: &Input<'_, B, R>,
        through_norm: bool,
        with_below: bool,
        mut kept: Option<B::Kept>,
    ) -> (Vec<R>, Vec<R>) {
        let &Call { rows, inputs, outputs, .. } = self;
        let at = spans(inputs, outputs);
        let new = |values: &[R]| {
            if self.in_fields { fields(backend, values) } else { backend.upload(values).unwrap() }
        };
        let above =
            if self.in_fields { self.above.upload_fields(backend) } else { self.above.upload(backend) };
        let grad = new(&self.grad);
        let params = backend.upload(&self.params).unwrap();
        let mut grads = backend.upload(&self.before).unwrap();
        let mut below = new(&vec![R::nan(); rows * inputs + 3]);
        let z = Part::new(&above.z, 0, rows * outputs);
        let norm = through_norm.then(|| DeltaNorm { z, norm: above.norm(), at: at.own });
        let norm_below = matches!(input, Input::Field { field, .. } if field.norm.is_some());
        let desc = LinearBackward {
            rows,
            inputs,
            outputs,
            weight: at.weight,
            bias: Some(at.bias),
            below_norm: norm_below.then_some(at.below),
        };
        if let Some(kept) = &mut kept {
            let mut z = poisoned::<B, R>(backend, rows * outputs);
            let to = PartMut::new(&mut z, 0, rows * outputs);
            let weight = Part::at(&params, at.weight);
            let desc = Linear { rows, inputs, outputs };
            backend.linear(desc, input, weight, None, to, None, Some(kept)).unwrap();
        }
        let delta = Delta { grad: &grad, norm };
        let below_buf = with_below.then_some(&mut below);
        backend.linear_backward(desc, &delta, input, &params, &mut grads, below_buf, kept.as_ref()).unwrap();
        (all(backend, &grads), all(backend, &below))
    }

    pub fn dz(&self, through_norm: bool) -> Sized {
        let at = spans(self.inputs, self.outputs);
        let own = |span: Span, c: usize| self.before[span.start + c].wide() / self.rows as f64;
        let element = |i: usize| {
            let (r, c) = (i / self.outputs, i % self.outputs);
            let g = self.grad[i].wide();
            if !through_norm {
                return (g, g.abs());
            }
            let [_, inv_std, gamma, _] = self.above.norm.each_ref().map(|part| part[c].wide());
            let x = self.above.standardised(Parts { norm: true, ..PLAIN }, r, c);
            let (mean, of_x) = (own(at.own.beta, c), x * own(at.own.gamma, c));
            let factor = gamma * inv_std;
            (factor * (g - mean - of_x), factor.abs() * (g.abs() + mean.abs() + of_x.abs()))
        };
        let (value, size) = (0..self.rows * self.outputs).map(element).unzip();
        Sized { value, size }
    }

    fn x(&self, parts: Parts) -> Sized {
        let value = self.field.x(parts);
        let plain = !parts.norm && !parts.noise && parts.activation == Activation::Identity;
        let size = value.iter().map(|x| if plain { x.abs() } else { x.abs() + 1.0 }).collect();
        Sized { value, size }
    }

    /// `products` bounds the errors of the matrix products, `sums` those of column sums.
    #[track_caller]
    pub fn judge<B: Backend>(
        &self,
        backend: &B,
        parts: Parts,
        through_norm: bool,
        products: impl Fn(usize) -> Bound,
        sums: impl Fn(usize) -> Bound,
    ) {
        let &Call { rows, inputs, outputs, .. } = self;
        let at = spans(inputs, outputs);
        let field = self.field.upload(backend);
        let input = field.whole(parts);
        let (grads, below) = self.run(backend, &input, through_norm, true);
        let what = format!("{rows} x {inputs} -> {outputs}, {parts:?}, through norm {through_norm}");
        let (dz, x) = (self.dz(through_norm), self.x(parts));
        self.judge_weight(&what, &wide(&grads[at.weight.range()]), &dz, &x, &products(rows));
        self.judge_bias(&what, &wide(&grads[at.bias.range()]), &dz, &sums(rows));

        let (below, beyond) = below.split_at(rows * inputs);
        assert!(beyond.iter().all(|v| v.is_nan()), "{what}: something is written beyond the batch");
        let below = wide(below);
        self.judge_below(&what, &below, parts, &dz, &products(outputs));
        if parts.norm {
            self.judge_norm(&what, &grads, &below, parts, &sums(rows));
        }
        let written = [at.weight, at.bias, at.below.gamma, at.below.beta];
        let written = &written[..if parts.norm { 4 } else { 2 }];
        for i in (0..at.len).filter(|i| !written.iter().any(|span| span.range().contains(i))) {
            assert_eq!(bits(&grads[i..=i]), bits(&self.before[i..=i]), "{what}: grads[{i}] is changed");
        }
        let (alone, untouched) = self.run(backend, &input, through_norm, false);
        let weights = |grads: &[R]| bits(&grads[at.weight.range()]);
        assert!(weights(&alone) == weights(&grads), "dW without the gradient below, {what}");
        assert!(untouched.iter().all(|v| v.is_nan()));
    }

    /// dW = dzᵀ x, all of its rows or some.
    #[track_caller]
    pub fn judge_weight(&self, what: &str, got: &[f64], dz: &Sized, x: &Sized, bound: &Bound) {
        let &Call { rows, inputs, outputs, .. } = self;
        let most = [dz.most(), x.most()];
        for o in some(outputs, rows * inputs) {
            let element = |i: usize| {
                let terms = (0..rows).map(|r| {
                    let (dz_at, x_at) = (r * outputs + o, r * inputs + i);
                    [dz.value[dz_at], dz.size[dz_at], x.value[x_at], x.size[x_at]]
                });
                product(terms, most, bound)
            };
            let (want, limits): (Vec<_>, Vec<_>) = (0..inputs).map(element).unzip();
            let got = &got[o * inputs..][..inputs];
            assert_rows_close(&format!("row {o} of dW, {what}"), got, &want, &limits, inputs);
        }
    }

    #[track_caller]
    pub fn judge_bias(&self, what: &str, got: &[f64], dz: &Sized, bound: &Bound) {
        for (o, got) in got.iter().enumerate() {
            let terms = (0..self.rows).map(|r| r * self.outputs + o);
            let (want, limit) = product(terms.map(|i| [dz.value[i], dz.size[i], 1.0, 1.0]), [0.0; 2], bound);
            assert_close(&format!("db[{o}], {what}"), &[*got], &[want], 0.0, limit);
        }
    }

    /// g = (dz W) ⊙ dropout ⊙ f′(h), all of its rows or some.
    #[track_caller]
    fn judge_below(&self, what: &str, got: &[f64], parts: Parts, dz: &Sized, bound: &Bound) {
        let &Call { rows, inputs, outputs, .. } = self;
        let weight = wide(&self.params[spans(inputs, outputs).weight.range()]);
        let most = [dz.most(), weight.iter().fold(0.0, |most: f64, w| most.max(w.abs()))];
        for r in some(rows, inputs * outputs) {
            let element = |i: usize| {
                let terms = (0..outputs).map(|o| {
                    let (at, weight) = (r * outputs + o, weight[o * inputs + i]);
                    [dz.value[at], dz.size[at], weight, weight.abs()]
                });
                let (sum, limit) = product(terms, most, bound);
                let mask = self.field.mask(parts, r, i);
                let factor = slope(parts.activation, self.field.h(parts, r, i)) * mask;
                // 1 − tanh² cancels where tanh saturates, so a small slope does not make a small error.
                (sum * factor, limit * factor.abs().max(mask))
            };
            let (want, limits): (Vec<_>, Vec<_>) = (0..inputs).map(element).unzip();
            let got = &got[r * inputs..][..inputs];
            assert_rows_close(&format!("row {r} below, {what}"), got, &want, &limits, inputs);
        }
    }

    /// Gradients of γ and β of the layer below, from the gradient there as it came out.
    #[track_caller]
    fn judge_norm(&self, what: &str, grads: &[R], below: &[f64], parts: Parts, bound: &Bound) {
        let at = spans(self.inputs, self.outputs).below;
        for i in 0..self.inputs {
            let terms = |of_x: bool| {
                (0..self.rows).map(move |r| {
                    let g = below[r * self.inputs + i];
                    let x = if of_x { self.field.standardised(parts, r, i) } else { 1.0 };
                    [g, g.abs(), x, x.abs() + f64::from(of_x)]
                })
            };
            for (name, span, of_x) in [("dbeta", at.beta, false), ("dgamma", at.gamma, true)] {
                let (want, limit) = product(terms(of_x), [0.0; 2], bound);
                let got = grads[span.start + i].wide();
                assert_close(&format!("{name}[{i}], {what}"), &[got], &[want], 0.0, limit);
            }
        }
    }
}

/// All of `count` rows, or those at the edges if a row is much work.
fn some(count: usize, work: usize) -> Vec<usize> {
    if count * work < 5_000_000 {
        return (0..count).collect();
    }
    let mut rows = vec![0, 1, 127, 128, count / 2, count - 2, count - 1];
    rows.retain(|&row| row < count);
    rows
}

pub fn bits<R: Real>(values: &[R]) -> Vec<u64> {
    values.iter().map(|v| v.wide().to_bits()).collect()
}
