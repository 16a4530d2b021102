//! Writes out the x that an input stands for.

use super::cut::rows_per_task;
use super::load::load;
use super::*;
use rayon::prelude::*;

pub(super) fn activate<R: Real>(
    desc: Activate,
    input: &Input<'_, Cpu, R>,
    x: PartMut<'_, Cpu, R>,
) -> Result<()> {
    desc.check(input, &x)?;
    let per_task = rows_per_task(desc.rows);
    x.slice().par_chunks_mut(per_task * desc.features).enumerate().for_each(|(task, x)| {
        let first = task * per_task;
        load(input, first..first + x.len() / desc.features, desc.features, x);
    });
    Ok(())
}
