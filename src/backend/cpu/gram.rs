use super::*;

pub(super) fn gram<R: Real>(
    desc: Gram,
    input: &Input<'_, Cpu, R>,
    targets: Part<'_, Cpu, R>,
    centre: Part<'_, Cpu, f64>,
    products: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    todo!()
}
