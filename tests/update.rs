//! `update` against PyTorch's formulas, written out one parameter at a time.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(f32_matches, stops_at_non_finite, plain_descent_needs_no_moments, wrong_lengths);
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
