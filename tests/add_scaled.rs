//! `add_scaled` against its definition.

use crate::common::assert_close;
use crate::reference::*;
use netdyn::Error;
use netdyn::backend::*;

on_each_backend!(f32_matches, wrong_lengths);
on_cpu!(f64_matches);

fn f32_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f32>(backend);
}

fn f64_matches<B: Backend>(backend: &B) {
    matches_definition::<B, f64>(backend);
}

fn matches_definition<B: Backend, R: Real>(backend: &B) {
    for len in [1, 7, 10, 31, 63, 65, 100, 127, 128, 129, 200, 259, 20_000, 70_001] {
        let (x, y) = (values::<R>(1, len + 3), values::<R>(2, len + 1));
        let (x_buf, y_buf) = (backend.upload(&x).unwrap(), backend.upload(&y).unwrap());
        let mut out = poisoned::<B, R>(backend, len);
        let (x_part, y_part) = (Part::new(&x_buf, 3, len), Part::new(&y_buf, 1, len));
        backend.add_scaled(-0.7, x_part, y_part, PartMut::new(&mut out, 0, len)).unwrap();
        let want: Vec<f64> = (0..len).map(|i| x[i + 3].wide() - 0.7 * y[i + 1].wide()).collect();
        assert_close("out", &wide(&all(backend, &out)), &want, 2.0 * epsilon::<R>(), epsilon::<R>());
    }
}

fn wrong_lengths<B: Backend>(backend: &B) {
    let x = backend.upload(&[1f32; 4]).unwrap();
    let mut out = poisoned::<B, f32>(backend, 4);
    for (a, b, c) in [(3, 4, 4), (4, 3, 4), (4, 4, 3), (5, 5, 5)] {
        let answer =
            backend.add_scaled(1.0, Part::new(&x, 0, a), Part::new(&x, 0, b), PartMut::new(&mut out, 0, c));
        assert!(matches!(answer, Err(Error::Shape { .. })), "{answer:?}");
    }
}
