//! `kernels/moments.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn moments<R: Real>(
    _cuda: &Cuda,
    _desc: Activate,
    _input: &Input<'_, Cuda, R>,
    _moments: Moments<'_, Cuda, R>,
) -> Result<()> {
    Err(Error::Failed("moments: not on CUDA yet".into()))
}
