use super::*;

pub(super) fn loss<R: Real>(
    desc: Loss,
    logits: Part<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    row_loss: PartMut<'_, Cpu, f64>,
    grad: Option<PartMut<'_, Cpu, R>>,
) -> Result<()> {
    todo!()
}
