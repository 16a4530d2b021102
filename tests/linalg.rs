//! Eigenvectors and singular vectors, against what defines them.

use crate::common::assert_close;
use netdyn::Error;
use netdyn::analysis::linalg::{leading_right_singular_vectors, symmetric_eigen};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

#[test]
fn eigenvectors_satisfy_their_equation() {
    for n in [1, 2, 7, 33, 100] {
        let draw = draws(n * n);
        let matrix: Vec<f64> = (0..n * n).map(|at| draw[at] + draw[at % n * n + at / n]).collect();
        let (values, vectors) = symmetric_eigen(n, &matrix).unwrap();
        assert!(values.is_sorted() && values.len() == n && vectors.len() == n);
        for (i, vector) in vectors.iter().enumerate() {
            let image: Vec<f64> = matrix.chunks(n).map(|row| dot(row, vector)).collect();
            let want: Vec<f64> = vector.iter().map(|x| values[i] * x).collect();
            assert_close("A v", &image, &want, 0.0, 1e-12 * n as f64);
            let products: Vec<f64> = vectors.iter().map(|other| dot(vector, other)).collect();
            let want: Vec<f64> = (0..n).map(|j| f64::from(i == j)).collect();
            assert_close("orthonormal", &products, &want, 0.0, 1e-12);
        }
    }
}

#[test]
fn only_the_lower_triangle_counts() {
    let whole = symmetric_eigen(2, &[2.0, 1.0, 1.0, 2.0]).unwrap();
    assert_eq!(symmetric_eigen(2, &[2.0, 99.0, 1.0, 2.0]).unwrap(), whole);
    assert_close("eigenvalues", &whole.0, &[1.0, 3.0], 1e-15, 0.0);
}

/// A product of known vectors has them as singular vectors; wide, tall and square.
#[test]
fn singular_vectors_of_a_known_product() {
    for (rows, cols) in [(10, 512), (3, 2), (40, 40)] {
        let left = orthonormal(rows);
        let right = orthonormal(cols);
        let strengths = [0.5, 7.0];
        let entry = |i: usize, j: usize| (0..2).map(|k| left[k][i] * strengths[k] * right[k][j]).sum::<f64>();
        let matrix: Vec<f64> = (0..rows * cols).map(|at| entry(at / cols, at % cols)).collect();
        let got = leading_right_singular_vectors(rows, cols, &matrix, 2).unwrap();
        for (got, want) in got.iter().zip([&right[1], &right[0]]) {
            let largest = want.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
            let want: Vec<f64> = want.iter().map(|x| x * largest.signum()).collect();
            assert_close("v", got, &want, 0.0, 1e-13);
        }
    }
}

#[test]
fn sign_does_not_depend_on_the_sign_of_the_matrix() {
    let matrix = draws(5 * 9);
    let minus: Vec<f64> = matrix.iter().map(|x| -x).collect();
    let [one, other] = [matrix, minus].map(|m| leading_right_singular_vectors(5, 9, &m, 5).unwrap().concat());
    assert_close("v", &one, &other, 0.0, 1e-12);
}

#[test]
fn fewer_vectors_than_asked_for() {
    assert_eq!(leading_right_singular_vectors(1, 3, &[0.0, 2.0, 0.0], 2).unwrap().len(), 1);
}

#[test]
fn refuses_what_is_not_finite() {
    let matrix = [1.0, 0.0, f64::NAN, 1.0];
    let errors =
        [symmetric_eigen(2, &matrix).map(drop), leading_right_singular_vectors(2, 2, &matrix, 1).map(drop)];
    for err in errors.map(Result::unwrap_err) {
        assert!(matches!(&err, Error::Failed(what) if what.contains("(1, 0)")), "{err}");
    }
    assert!(matches!(symmetric_eigen(2, &[1.0]), Err(Error::Shape { .. })));
}

fn draws(len: usize) -> Vec<f64> {
    let mut rng = SmallRng::seed_from_u64(len as u64);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Two orthonormal vectors of this dimension, by Gram and Schmidt.
fn orthonormal(n: usize) -> [Vec<f64>; 2] {
    let unit = |v: Vec<f64>| -> Vec<f64> { v.iter().map(|x| x / dot(&v, &v).sqrt()).collect() };
    let first = unit(draws(n));
    let second = draws(2 * n)[n..].to_vec();
    let overlap = dot(&first, &second);
    let second = unit(second.iter().zip(&first).map(|(s, f)| s - overlap * f).collect());
    [first, second]
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
