//! `kernels/linear_backward.cu`

use super::{Buffer, Cuda};
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn linear_backward<R: Real>(
    _cuda: &Cuda,
    _desc: LinearBackward,
    _delta: &Delta<'_, Cuda, R>,
    _input: &Input<'_, Cuda, R>,
    _params: &Buffer<R>,
    _grads: &mut Buffer<R>,
    _below: Option<&mut Buffer<R>>,
) -> Result<()> {
    Err(Error::Failed("linear_backward: not on CUDA yet".into()))
}
