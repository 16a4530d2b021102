use super::*;

pub(super) fn linear_backward<R: Real>(
    desc: LinearBackward,
    delta: &Delta<'_, Cpu, R>,
    input: &Input<'_, Cpu, R>,
    params: &[R],
    grads: &mut [R],
    below: Option<&mut Vec<R>>,
) -> Result<()> {
    todo!()
}
