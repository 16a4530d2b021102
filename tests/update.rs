//! `update` against PyTorch's formulas, written out one parameter at a time.

use crate::common::{assert_close, cpu};
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(
    f32_matches,
    same_bits_as_the_cpu,
    large_parameters,
    stops_at_non_finite,
    names_the_first_of_many,
    only_gradients_are_judged,
    plain_descent_needs_no_moments,
    wrong_lengths
);
on_cpu!(f64_matches);

const OPTIMIZERS: [Optimizer; 4] = [
    Optimizer::Sgd { momentum: 0.0 },
    Optimizer::Sgd { momentum: 0.9 },
    Optimizer::Adam { betas: [0.9, 0.999], eps: 1e-8 },
    Optimizer::AdamW { betas: [0.8, 0.99], eps: 1e-6 },
];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend);
}

/// One parameter through all steps.
fn definition(optimizer: Optimizer, lr: f64, decay: f64, start: f64, grads: &[f64]) -> f64 {
    let (mut p, mut m, mut v) = (start, 0.0, 0.0);
    for (i, &g) in grads.iter().enumerate() {
        let t = i as i32 + 1;
        match optimizer {
            Optimizer::Sgd { momentum } => {
                let g = g + decay * p;
                m = if t == 1 { g } else { momentum * m + g };
                p -= lr * m;
            }
            Optimizer::Adam { betas: [b1, b2], eps } | Optimizer::AdamW { betas: [b1, b2], eps } => {
                let mut g = g;
                if matches!(optimizer, Optimizer::Adam { .. }) {
                    g += decay * p;
                } else {
                    p -= lr * decay * p;
                }
                m = b1 * m + (1.0 - b1) * g;
                v = b2 * v + (1.0 - b2) * g * g;
                let (m_hat, v_hat) = (m / (1.0 - b1.powi(t)), v / (1.0 - b2.powi(t)));
                p -= lr * m_hat / (v_hat.sqrt() + eps);
            }
        }
    }
    p
}

fn matches_definition<B: Backend, R: Real>(backend: &B) {
    let steps = 5;
    for len in [1, 7, 40_001] {
        for optimizer in OPTIMIZERS {
            for weight_decay in [0.0, 0.03] {
                let start = values::<R>(1, len);
                let mut params = backend.upload(&start).unwrap();
                let mut first = backend.zeros::<R>(len).unwrap();
                let mut second = backend.zeros::<R>(len).unwrap();
                let mut status = backend.zeros::<u32>(2).unwrap();
                let grads: Vec<Vec<R>> = (0..steps).map(|step| values(step + 10, len)).collect();
                for (i, grads) in grads.iter().enumerate() {
                    let desc = Update { optimizer, lr: 0.02, weight_decay, step: i as u64 + 1 };
                    let grads = backend.upload(grads).unwrap();
                    backend.update(desc, &mut params, &grads, &mut first, &mut second, &mut status).unwrap();
                }
                let want: Vec<f64> = (0..len)
                    .map(|i| {
                        let grads: Vec<f64> = grads.iter().map(|g| g[i].wide()).collect();
                        definition(optimizer, 0.02, weight_decay, start[i].wide(), &grads)
                    })
                    .collect();
                let what = format!("{len} parameters, {optimizer:?}, decay {weight_decay}");
                let tolerance = 8.0 * epsilon::<R>();
                assert_close(&what, &wide(&all(backend, &params)), &want, tolerance, tolerance);
                assert_eq!(all(backend, &status), [0, 0]);
            }
        }
    }
}

/// No function of a library is called, so that all processors agree to the bit: over several steps, with gradients
/// from denormals to the end of the range, and 0.
fn same_bits_as_the_cpu<B: Backend>(backend: &B) {
    for len in [1, 7, 10, 31, 63, 65, 100, 127, 128, 129, 200, 256, 257, 259, 4095, 4096, 4097, 9000] {
        OPTIMIZERS.iter().for_each(|&optimizer| agrees_with_the_cpu(backend, optimizer, len));
    }
}

fn large_parameters<B: Backend>(backend: &B) {
    agrees_with_the_cpu(backend, OPTIMIZERS[2], 2_240_001);
}

fn agrees_with_the_cpu<B: Backend>(backend: &B, optimizer: Optimizer, len: usize) {
    for weight_decay in [0.0, 0.03] {
        let desc = Update { optimizer, lr: 0.02, weight_decay, step: 1 };
        let got = bits_after_steps(backend, desc, len);
        cpu(|cpu| assert_eq!(bits_after_steps(cpu, desc, len), got, "{len} parameters, {desc:?}"));
    }
}

/// Parameters and moments after four steps.
fn bits_after_steps<B: Backend>(backend: &B, desc: Update, len: usize) -> Vec<u32> {
    let mut params = backend.upload(&values::<f32>(1, len)).unwrap();
    let mut first = backend.zeros::<f32>(len).unwrap();
    let mut second = backend.zeros::<f32>(len).unwrap();
    let mut status = backend.zeros::<u32>(2).unwrap();
    for step in 1..=4 {
        let scale = |i: usize| if i.is_multiple_of(97) { 0.0 } else { 2f32.powi(i as i32 % 270 - 145) };
        let grads = values::<f32>(step + 10, len);
        let grads: Vec<f32> = grads.iter().enumerate().map(|(i, g)| g * scale(i)).collect();
        let grads = backend.upload(&grads).unwrap();
        let desc = Update { step, ..desc };
        backend.update(desc, &mut params, &grads, &mut first, &mut second, &mut status).unwrap();
    }
    assert_eq!(all(backend, &status), [0, 0]);
    [params, first, second].iter().flat_map(|buf| all(backend, buf)).map(f32::to_bits).collect()
}

/// Wherever bad gradients stand, in whichever order they are met.
fn names_the_first_of_many<B: Backend>(backend: &B) {
    let len = 13_000;
    for bad in
        [&[12_999usize, 8192, 4096][..], &[4095, 4096], &[300, 31, 32, 299], &[5000, 4999, 9999], &[0, 1]]
    {
        let mut grads = vec![1f32; len];
        bad.iter().for_each(|&at| grads[at] = if at.is_multiple_of(2) { f32::NAN } else { f32::INFINITY });
        let grads = backend.upload(&grads).unwrap();
        let mut params = backend.upload(&vec![2f32; len]).unwrap();
        let (mut first, mut second) = (backend.zeros(0).unwrap(), backend.zeros(0).unwrap());
        let mut status = backend.zeros::<u32>(2).unwrap();
        let optimizer = Optimizer::Sgd { momentum: 0.0 };
        let desc = Update { optimizer, lr: 1.0, weight_decay: 0.0, step: 3_000_000_000 };
        backend.update(desc, &mut params, &grads, &mut first, &mut second, &mut status).unwrap();
        let lowest = *bad.iter().min().unwrap() as u32;
        assert_eq!(all(backend, &status), [lowest + 1, 3_000_000_000]);
        assert!(all(backend, &params).iter().all(|&p| p == 2.0));
    }
}

/// A parameter that is not finite stops nothing; neither do the largest gradients.
fn only_gradients_are_judged<B: Backend>(backend: &B) {
    let mut params = backend.upload(&[f32::NAN, 3.0, 1.0, -1.0]).unwrap();
    let grads = backend.upload(&[1.0, 1.0, f32::MAX, -1e-45]).unwrap();
    let (mut first, mut second) = (backend.zeros(0).unwrap(), backend.zeros(0).unwrap());
    let mut status = backend.zeros(2).unwrap();
    let desc = Update { optimizer: Optimizer::Sgd { momentum: 0.0 }, lr: 2.0, weight_decay: 0.0, step: 1 };
    backend.update(desc, &mut params, &grads, &mut first, &mut second, &mut status).unwrap();
    let params = all(backend, &params);
    assert!(params[0].is_nan() && params[1..] == [1.0, f32::NEG_INFINITY, -1.0], "{params:?}");
    assert_eq!(all(backend, &status), [0, 0]);
}

fn stops_at_non_finite<B: Backend>(backend: &B) {
    let len = 50_000;
    let start = values::<f32>(1, len);
    for optimizer in OPTIMIZERS {
        for (bad, at) in [(f32::NAN, 0), (f32::INFINITY, 33_333), (f32::NEG_INFINITY, len - 1)] {
            let mut grads = values::<f32>(2, len);
            let mut params = backend.upload(&start).unwrap();
            let mut first = backend.zeros::<f32>(len).unwrap();
            let mut second = backend.zeros::<f32>(len).unwrap();
            let mut status = backend.zeros::<u32>(2).unwrap();
            let good = backend.upload(&grads).unwrap();
            grads[at] = bad;
            grads[len - 1] = bad;
            let broken = backend.upload(&grads).unwrap();
            for (step, grads) in [(7, &broken), (8, &good), (9, &broken)] {
                let desc = Update { optimizer, lr: 0.1, weight_decay: 0.1, step };
                backend.update(desc, &mut params, grads, &mut first, &mut second, &mut status).unwrap();
            }
            assert_eq!(all(backend, &status), [at as u32 + 1, 7]);
            assert_eq!(all(backend, &params), start);
            assert!(all(backend, &first).iter().chain(&all(backend, &second)).all(|&m| m == 0.0));
        }
    }
}

fn plain_descent_needs_no_moments<B: Backend>(backend: &B) {
    let mut params = backend.upload(&[1f32, 2.0]).unwrap();
    let grads = backend.upload(&[10f32, -10.0]).unwrap();
    let (mut first, mut second) = (backend.zeros(0).unwrap(), backend.zeros(0).unwrap());
    let mut status = backend.zeros(2).unwrap();
    let desc = Update { optimizer: Optimizer::Sgd { momentum: 0.0 }, lr: 0.5, weight_decay: 0.0, step: 1 };
    backend.update(desc, &mut params, &grads, &mut first, &mut second, &mut status).unwrap();
    assert_eq!(all(backend, &params), [-4.0, 7.0]);
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let buffer = |len| backend.zeros::<f32>(len).unwrap();
    let adam = OPTIMIZERS[2];
    let momentum = OPTIMIZERS[1];
    // optimiser, step, gradients, moments, status
    for (optimizer, step, grads, first, second, status) in [
        (adam, 1, 3, 4, 4, 2),
        (adam, 1, 4, 3, 4, 2),
        (adam, 1, 4, 4, 0, 2),
        (adam, 1, 4, 4, 4, 1),
        (adam, 0, 4, 4, 4, 2),
        (momentum, 1, 4, 0, 0, 2),
    ] {
        let desc = Update { optimizer, lr: 0.1, weight_decay: 0.0, step };
        let (mut params, grads) = (buffer(4), buffer(grads));
        let (mut first, mut second) = (buffer(first), buffer(second));
        let mut status = backend.zeros::<u32>(status).unwrap();
        let answer = backend.update(desc, &mut params, &grads, &mut first, &mut second, &mut status);
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
