use super::*;

pub(super) fn activate<R: Real>(
    desc: Activate,
    input: &Input<'_, Cpu, R>,
    x: PartMut<'_, Cpu, R>,
) -> Result<()> {
    todo!()
}
