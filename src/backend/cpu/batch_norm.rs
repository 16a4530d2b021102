use super::*;

pub(super) fn batch_norm<R: Real>(
    desc: BatchNorm,
    mean: Part<'_, Cpu, R>,
    var: Part<'_, Cpu, R>,
    inv_std: PartMut<'_, Cpu, R>,
    running: Option<Moments<'_, Cpu, R>>,
) -> Result<()> {
    todo!()
}
