//! `batch_norm` against its definition (paper A, Eq. 3).

use crate::common::{assert_close, cpu};
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(
    f32_matches,
    large_shapes,
    same_bits_as_the_cpu,
    without_running_statistics,
    keeps_running_statistics_finite,
    stays_behind_a_failure,
    wrong_lengths
);
on_cpu!(f64_matches);

/// The number of rows is a number here, and nothing more.
const SHAPES: [(usize, usize); 12] = [
    (2, 1),
    (31, 7),
    (200, 10),
    (1000, 63),
    (259, 65),
    (7, 100),
    (59_999, 127),
    (128, 128),
    (60_000, 129),
    (100, 200),
    (3, 256),
    (5000, 257),
];

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &SHAPES);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend, &SHAPES);
}

fn large_shapes<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend, &[(31, 512), (200, 784), (1000, 1280), (60_000, 2048)]);
}

fn matches_definition<B: Backend, R: Real>(backend: &B, shapes: &[(usize, usize)]) {
    for &(rows, features) in shapes {
        let desc = BatchNorm { rows, features, eps: 1e-5, momentum: 0.1 };
        let mean = values::<R>(1, features);
        let var: Vec<R> = values::<R>(2, features).iter().map(|v| v.abs()).collect();
        let old = values::<R>(3, 2 * features);
        let (mean_buf, var_buf) = (backend.upload(&mean).unwrap(), backend.upload(&var).unwrap());
        let mut running = backend.upload(&old).unwrap();
        let mut inv_std = poisoned::<B, R>(backend, features);
        let moments = Moments {
            buf: &mut running,
            mean: Span { start: features, len: features },
            var: Span { start: 0, len: features },
        };
        let (mean_part, var_part) = (Part::new(&mean_buf, 0, features), Part::new(&var_buf, 0, features));
        let to = PartMut::new(&mut inv_std, 0, features);
        let running_of = Some(Running { moments, status: &going(backend) });
        backend.batch_norm(desc, mean_part, var_part, to, running_of).unwrap();

        let (mean, var, old) = (wide(&mean), wide(&var), wide(&old));
        let want: Vec<f64> = var.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
        let close = 4.0 * epsilon::<R>();
        assert_close("inv_std", &wide(&all(backend, &inv_std)), &want, close, 0.0);
        let unbiased = |c: usize| var[c] * rows as f64 / (rows as f64 - 1.0);
        let want: Vec<f64> = (0..features)
            .map(|c| 0.9 * old[c] + 0.1 * unbiased(c))
            .chain((0..features).map(|c| 0.9 * old[features + c] + 0.1 * mean[c]))
            .collect();
        assert_close("running", &wide(&all(backend, &running)), &want, close, close);
    }
}

/// Everything is computed in f64 and rounded once, on every processor; zeros, denormals and the largest numbers.
fn same_bits_as_the_cpu<B: Backend>(backend: &B) {
    let got = over_the_range(backend);
    cpu(|cpu| assert_eq!(over_the_range(cpu), got));
}

/// Bits of 1/σ and of the running statistics.
fn over_the_range<B: Backend>(backend: &B) -> Vec<u32> {
    let features = 200;
    let scale = |i: usize| 2f32.powi(i as i32 * 5 / 4 - 149);
    let scaled = |seed| -> Vec<f32> {
        values::<f32>(seed, features).iter().enumerate().map(|(i, v)| v * scale(i)).collect()
    };
    let mean = backend.upload(&scaled(1)).unwrap();
    let var = backend.upload(&scaled(2).iter().map(|v| v.abs()).collect::<Vec<_>>()).unwrap();
    let mut running = backend.upload(&values::<f32>(3, 2 * features)).unwrap();
    let mut inv_std = poisoned::<B, f32>(backend, features);
    let (mean_at, var_at) = (Span { start: 0, len: features }, Span { start: features, len: features });
    let moments = Moments { buf: &mut running, mean: mean_at, var: var_at };
    let desc = BatchNorm { rows: 77, features, eps: 1e-5, momentum: 1.0 / 3.0 };
    let (mean, var) = (Part::new(&mean, 0, features), Part::new(&var, 0, features));
    let running_of = Some(Running { moments, status: &going(backend) });
    backend.batch_norm(desc, mean, var, PartMut::new(&mut inv_std, 0, features), running_of).unwrap();
    all(backend, &inv_std).into_iter().chain(all(backend, &running)).map(f32::to_bits).collect()
}

/// One row will do; a variance of 0, infinite or NaN.
fn without_running_statistics<B: Backend>(backend: &B) {
    let desc = BatchNorm { rows: 1, features: 4, eps: 0.25, momentum: 0.5 };
    let mean = backend.upload(&[1f32; 4]).unwrap();
    let var = backend.upload(&[0.0, f32::INFINITY, f32::NAN, 3.75]).unwrap();
    let mut inv_std = poisoned::<B, f32>(backend, 6);
    let (mean, var) = (Part::new(&mean, 0, 4), Part::new(&var, 0, 4));
    backend.batch_norm(desc, mean, var, PartMut::new(&mut inv_std, 1, 4), None).unwrap();
    let inv_std = all(backend, &inv_std);
    assert!([0, 3, 5].iter().all(|&i| inv_std[i].is_nan()), "{inv_std:?}");
    assert_eq!((&inv_std[1..3], inv_std[4]), (&[2.0, 0.0][..], 0.5));
}

fn keeps_running_statistics_finite<B: Backend>(backend: &B) {
    let desc = BatchNorm { rows: 9, features: 2, eps: 1e-5, momentum: 0.5 };
    let mean = backend.upload(&[f32::NAN, 3.0]).unwrap();
    let var = backend.upload(&[1.0, f32::INFINITY]).unwrap();
    let mut running = backend.upload(&[10.0f32, 1.0, 20.0, 2.0]).unwrap();
    let mut inv_std = poisoned::<B, f32>(backend, 2);
    let (mean_at, var_at) = (Span { start: 0, len: 2 }, Span { start: 2, len: 2 });
    let moments = Moments { buf: &mut running, mean: mean_at, var: var_at };
    let (mean, var) = (Part::new(&mean, 0, 2), Part::new(&var, 0, 2));
    let running_of = Some(Running { moments, status: &going(backend) });
    backend.batch_norm(desc, mean, var, PartMut::new(&mut inv_std, 0, 2), running_of).unwrap();
    let want = [10.0, 2.0, 0.5 * 20.0 + 0.5 * 9.0 / 8.0, 2.0];
    assert_close("running", &wide(&all(backend, &running)), &want, 1e-7, 0.0);
}

/// A set status: training has stopped, whatever is still under way.
fn stays_behind_a_failure<B: Backend>(backend: &B) {
    let desc = BatchNorm { rows: 9, features: 1, eps: 0.0, momentum: 0.5 };
    let (mean, var) = (backend.upload(&[3f32]).unwrap(), backend.upload(&[4f32]).unwrap());
    let mut running = backend.upload(&[10f32, 20.0]).unwrap();
    let mut inv_std = poisoned::<B, f32>(backend, 1);
    let (mean_at, var_at) = (Span { start: 0, len: 1 }, Span { start: 1, len: 1 });
    let moments = Moments { buf: &mut running, mean: mean_at, var: var_at };
    let status = backend.upload(&[5u32, 7]).unwrap();
    let (mean, var) = (Part::new(&mean, 0, 1), Part::new(&var, 0, 1));
    let running_of = Some(Running { moments, status: &status });
    backend.batch_norm(desc, mean, var, PartMut::new(&mut inv_std, 0, 1), running_of).unwrap();
    assert_eq!((all(backend, &running), all(backend, &inv_std)), (vec![10.0, 20.0], vec![0.5]));
}

/// The status of a training that goes on.
fn going<B: Backend>(backend: &B) -> B::Buf<u32> {
    backend.zeros(2).unwrap()
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let buf = backend.upload(&[1f32; 8]).unwrap();
    let mut inv_std = poisoned::<B, f32>(backend, 8);
    let mut running = poisoned::<B, f32>(backend, 8);
    // rows, mean, var, inv_std, end of the running variance
    for (rows, a, b, c, end) in
        [(9, 3, 4, 4, 8), (9, 4, 5, 4, 8), (9, 4, 4, 3, 8), (9, 4, 4, 4, 9), (1, 4, 4, 4, 8)]
    {
        let desc = BatchNorm { rows, features: 4, eps: 1e-5, momentum: 0.1 };
        let (mean, var) = (Span { start: 0, len: 4 }, Span { start: end - 4, len: 4 });
        let status = going(backend);
        let running = Some(Running { moments: Moments { buf: &mut running, mean, var }, status: &status });
        let to = PartMut::new(&mut inv_std, 0, c);
        let answer = backend.batch_norm(desc, Part::new(&buf, 0, a), Part::new(&buf, 0, b), to, running);
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
