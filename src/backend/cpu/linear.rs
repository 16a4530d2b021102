use super::*;

pub(super) fn linear<R: Real>(
    desc: Linear,
    input: &Input<'_, Cpu, R>,
    weight: Part<'_, Cpu, R>,
    bias: Option<Part<'_, Cpu, R>>,
    z: PartMut<'_, Cpu, R>,
    moments: Option<Moments<'_, Cpu, R>>,
) -> Result<()> {
    todo!()
}
