use super::*;

pub(super) fn rank_mass<R: Real>(
    desc: RankMass,
    field: &Field<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    mass: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    todo!()
}
