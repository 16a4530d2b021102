//! `kernels/gram.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn gram<R: Real>(
    _cuda: &Cuda,
    _desc: Gram,
    _input: &Input<'_, Cuda, R>,
    _targets: Part<'_, Cuda, R>,
    _centre: Part<'_, Cuda, f64>,
    _products: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    Err(Error::Failed("gram: not on CUDA yet".into()))
}
