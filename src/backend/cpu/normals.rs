use super::*;

pub(super) fn normals<R: Real>(desc: Normals, rows: Rows<'_, Cpu>, out: PartMut<'_, Cpu, R>) -> Result<()> {
    todo!()
}
