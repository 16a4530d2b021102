//! `kernels/rank_mass.cu`

use super::Cuda;
use crate::backend::*;
use crate::{Error, Result};

pub(super) fn rank_mass<R: Real>(
    _cuda: &Cuda,
    _desc: RankMass,
    _field: &Field<'_, Cuda, R>,
    _labels: Labels<'_, Cuda>,
    _mass: PartMut<'_, Cuda, f64>,
) -> Result<()> {
    Err(Error::Failed("rank_mass: not on CUDA yet".into()))
}
