//! One call of `linear`, and whether what came out is right.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::backend::*;

/// One call; weights and z begin at odd places, z's surroundings must stay.
pub struct Call<'a, R> {
    pub rows: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub weight: &'a [R],
    pub bias: Option<&'a [R]>,
}

impl<R: Real> Call<'_, R> {
    /// z, and mean and variance of its columns.
    pub fn run<B: Backend>(&self, backend: &B, input: &Input<'_, B, R>) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        self.run_for(backend, input, true)
    }

    /// z, where nobody asks for moments, nor keeps anything for a backward pass.
    pub fn run_alone<B: Backend>(&self, backend: &B, input: &Input<'_, B, R>) -> Vec<f64> {
        self.run_for(backend, input, false).0
    }

    fn run_for<B: Backend>(
        &self,
        backend: &B,
        input: &Input<'_, B, R>,
        with_moments: bool,
    ) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let &Call { rows, inputs, outputs, weight, bias } = self;
        let weight_buf = backend.upload(&[&[R::nan()], weight, &[R::nan()]].concat()).unwrap();
        let bias_buf = backend.upload(bias.unwrap_or(&[R::nan()])).unwrap();
        let mut z = poisoned::<B, R>(backend, rows * outputs + 2);
        let mut moments = poisoned::<B, R>(backend, 2 * outputs);
        let mut kept = with_moments.then(B::Kept::default);
        backend
            .linear(
                Linear { rows, inputs, outputs },
                input,
                Part::new(&weight_buf, 1, outputs * inputs),
                bias.map(|bias| Part::new(&bias_buf, 0, bias.len())),
                PartMut::new(&mut z, 1, rows * outputs),
                with_moments.then_some(Moments {
                    buf: &mut moments,
                    mean: Span { start: outputs, len: outputs },
                    var: Span { start: 0, len: outputs },
                }),
                kept.as_mut(),
            )
            .unwrap();
        let z = wide(&all(backend, &z));
        assert!(z[0].is_nan() && z[z.len() - 1].is_nan(), "something is written beside z");
        let moments = wide(&all(backend, &moments));
        (z[1..z.len() - 1].to_vec(), moments[outputs..].to_vec(), moments[..outputs].to_vec())
    }

    /// Compares the rows named with x Wᵀ + b.
    #[track_caller]
    pub fn judge(&self, what: &str, bound: Bound, x: &[f64], slack: f64, z: &[f64], compared: &[usize]) {
        for &row in compared {
            let (want, limits) = self.expected(&bound, x, slack, row);
            let got = &z[row * self.outputs..][..self.outputs];
            assert_rows_close(&format!("{what}, row {row}"), got, &want, &limits, self.outputs);
        }
    }

    /// A row of x Wᵀ + b, and how far off each element may be.
    pub fn expected(&self, bound: &Bound, x: &[f64], slack: f64, row: usize) -> (Vec<f64>, Vec<f64>) {
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, v| most.max(v.abs()));
        let most_x = most(&mut x.iter().copied());
        let most_weight = most(&mut self.weight.iter().map(|w| w.wide()));
        let x = &x[row * self.inputs..][..self.inputs];
        let element = |o: usize| {
            let bias = self.bias.map_or(0.0, |bias| bias[o].wide());
            let (mut sum, mut squares) = (bias, bias * bias);
            let (mut all_x, mut all_weights) = (0.0, 0.0);
            for (x, weight) in x.iter().zip(&self.weight[o * self.inputs..]) {
                let weight = weight.wide();
                sum += x * weight;
                squares += ((x.abs() + slack) * weight).powi(2);
                all_x += x.abs();
                all_weights += weight.abs();
            }
            let cut = bound.of_largest * (most_x * all_weights + most_weight * all_x);
            let lost = bound.absolute * (all_weights + all_x + self.inputs as f64);
            (sum, bound.relative * squares.sqrt() + cut + lost)
        };
        (0..self.outputs).map(element).unzip()
    }
}

/// The moments of z as it is. Sums over a tile of 128 rows are in f32.
#[track_caller]
pub fn judge_moments<R: Real>(what: &str, z: &[f64], columns: usize, mean: &[f64], var: &[f64]) {
    let rows = (z.len() / columns) as f64;
    for c in 0..columns {
        let column = || z.iter().skip(c).step_by(columns);
        let want = column().sum::<f64>() / rows;
        let size = column().map(|z| z.abs()).sum::<f64>() / rows;
        let want_var = column().map(|z| (z - want).powi(2)).sum::<f64>() / rows;
        let unit = epsilon::<R>().max(1e-14); // the reference is in f64 itself
        assert_close(&format!("{what}, mean of {c}"), &mean[c..=c], &[want], unit, unit * size);
        // Deviations are rounded, and by more where their mean is large.
        let atol = (unit * size).powi(2);
        assert_close(&format!("{what}, variance of {c}"), &var[c..=c], &[want_var], 10.0 * unit, atol);
    }
}
