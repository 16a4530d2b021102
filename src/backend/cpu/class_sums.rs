use super::*;

pub(super) fn class_sums<R: Real>(
    desc: ClassSums,
    input: &Input<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    sums: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    todo!()
}

pub(super) fn class_cosines<R: Real>(
    desc: ClassSums,
    input: &Input<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    centres: Part<'_, Cpu, f64>,
    cosines: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    todo!()
}
