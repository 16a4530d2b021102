//! `kernels/activate.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn activate<R: Real>(
    _cuda: &Cuda,
    _desc: Activate,
    _input: &Input<'_, Cuda, R>,
    _x: PartMut<'_, Cuda, R>,
) -> Result<()> {
    Err(Error::Failed("activate: not on CUDA yet".into()))
}
