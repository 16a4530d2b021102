//! `kernels/class_sums.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn class_sums<R: Real>(
    _cuda: &Cuda,
    _desc: ClassSums,
    _input: &Input<'_, Cuda, R>,
    _labels: Labels<'_, Cuda>,
    _sums: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    Err(Error::Failed("class_sums: not on CUDA yet".into()))
}
pub(super) fn class_cosines<R: Real>(
    _cuda: &Cuda,
    _desc: ClassSums,
    _input: &Input<'_, Cuda, R>,
    _labels: Labels<'_, Cuda>,
    _centres: Part<'_, Cuda, f64>,
    _cosines: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    Err(Error::Failed("class_cosines: not on CUDA yet".into()))
}
