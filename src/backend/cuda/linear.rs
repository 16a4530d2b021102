//! `kernels/linear.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn linear<R: Real>(
    _cuda: &Cuda,
    _desc: Linear,
    _input: &Input<'_, Cuda, R>,
    _weight: Part<'_, Cuda, R>,
    _bias: Option<Part<'_, Cuda, R>>,
    _z: PartMut<'_, Cuda, R>,
    _moments: Option<Moments<'_, Cuda, R>>,
) -> Result<()> {
    Err(Error::Failed("linear: not on CUDA yet".into()))
}
