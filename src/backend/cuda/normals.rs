//! `kernels/normals.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn normals<R: Real>(
    _cuda: &Cuda,
    _desc: Normals,
    _rows: Rows<'_, Cuda>,
    _out: PartMut<'_, Cuda, R>,
) -> Result<()> {
    Err(Error::Failed("normals: not on CUDA yet".into()))
}
