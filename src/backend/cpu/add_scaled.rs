use super::*;

pub(super) fn add_scaled<R: Real>(
    alpha: f64,
    x: Part<'_, Cpu, R>,
    y: Part<'_, Cpu, R>,
    out: PartMut<'_, Cpu, R>,
) -> Result<()> {
    todo!()
}
