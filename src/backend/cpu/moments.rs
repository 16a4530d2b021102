use super::*;

pub(super) fn moments<R: Real>(
    desc: Activate,
    input: &Input<'_, Cpu, R>,
    moments: Moments<'_, Cpu, R>,
) -> Result<()> {
    todo!()
}
