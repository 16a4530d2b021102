//! Eigenvalues and singular vectors of small dense matrices, in f64, by `faer`. No other file names that crate.
//!
//! One thread and a fixed order of operations: equal matrices give equal bits.

use crate::error::{Error, Result};
use faer::{MatRef, Side};

/// Eigenvalues (ascending) and unit eigenvectors (one a row, in the same order) of the symmetric `matrix`
/// [n, n], row-major; only its lower triangle is read.
///
/// # Errors
/// [`Error::Failed`] if an entry is not finite.
pub fn symmetric_eigen(n: usize, matrix: &[f64]) -> Result<(Vec<f64>, Vec<Vec<f64>>)> {
    let eigen = view("eigenvalues", n, n, matrix)?
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| no_convergence("eigenvalues", n, n))?;
    let values = eigen.S().column_vector().iter().copied().collect();
    let vectors = eigen.U().col_iter().map(|vector| signed(vector.iter().copied().collect())).collect();
    Ok((values, vectors))
}

/// The `count` right-singular vectors of `matrix` [rows, cols], row-major, with the largest singular values,
/// those first; fewer if the matrix has fewer. The sign of each makes its entry of largest magnitude
/// positive. With W(L) they span the 2-D projections (paper A, Fig. 6).
///
/// # Errors
/// [`Error::Failed`] if an entry is not finite.
pub fn leading_right_singular_vectors(
    rows: usize,
    cols: usize,
    matrix: &[f64],
    count: usize,
) -> Result<Vec<Vec<f64>>> {
    let svd = view("singular vectors", rows, cols, matrix)?
        .thin_svd()
        .map_err(|_| no_convergence("singular vectors", rows, cols))?;
    Ok(svd.V().col_iter().take(count).map(|vector| signed(vector.iter().copied().collect())).collect())
}

/// `vector` or its negative, whichever has its entry of largest magnitude (the first of several) positive.
fn signed(mut vector: Vec<f64>) -> Vec<f64> {
    let largest =
        vector.iter().fold(0.0, |largest: f64, &x| if x.abs() > largest.abs() { x } else { largest });
    if largest < 0.0 {
        vector.iter_mut().for_each(|x| *x = -*x);
    }
    vector
}

fn view<'a>(what: &str, rows: usize, cols: usize, matrix: &'a [f64]) -> Result<MatRef<'a, f64>> {
    if matrix.len() != rows * cols {
        let what = format!("{} numbers for a matrix of {rows} x {cols}", matrix.len());
        return Err(Error::Shape { op: "linalg", what });
    }
    match matrix.iter().position(|x| !x.is_finite()) {
        None => Ok(MatRef::from_row_major_slice(matrix, rows, cols)),
        Some(at) => Err(Error::Failed(format!(
            "cannot find {what} of a matrix of {rows} x {cols}: entry ({}, {}) is {}; the network has diverged, \
             look at an earlier snapshot",
            at / cols,
            at % cols,
            matrix[at]
        ))),
    }
}

fn no_convergence(what: &str, rows: usize, cols: usize) -> Error {
    Error::Failed(format!(
        "the {what} of a matrix of {rows} x {cols} did not converge; look at another snapshot"
    ))
}
