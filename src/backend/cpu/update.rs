use super::*;

pub(super) fn update<R: Real>(
    desc: Update,
    params: &mut [R],
    grads: &[R],
    first: &mut [R],
    second: &mut [R],
    status: &mut [u32],
) -> Result<()> {
    todo!()
}
