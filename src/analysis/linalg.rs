//! Dense decompositions in f64.

use crate::error::{Error, Result};
use faer::{MatRef, Side};

/// Eigenvalues in ascending order, and orthonormal eigenvectors, one after the other.
pub struct Eigen {
    /// [size]
    pub values: Vec<f64>,
    /// Row-major [size, size]; row i belongs to value i.
    pub vectors: Vec<f64>,
}

/// Eigenvalues and eigenvectors of a symmetric matrix [size, size].
pub fn symmetric_eigen(matrix: &[f64], size: usize) -> Result<Eigen> {
    let eigen = MatRef::from_row_major_slice(matrix, size, size)
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::Failed("no convergence".into()))?;
    let values = (0..size).map(|i| eigen.S()[i]).collect();
    let vectors =
        (0..size).flat_map(|i| (0..size).map(move |j| (i, j))).map(|(i, j)| eigen.U()[(j, i)]).collect();
    Ok(Eigen { values, vectors })
}
