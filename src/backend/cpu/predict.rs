use super::*;

pub(super) fn predict<R: Real>(
    desc: Predict,
    logits: Part<'_, Cpu, R>,
    predicted: PartMut<'_, Cpu, u8>,
) -> Result<()> {
    todo!()
}
