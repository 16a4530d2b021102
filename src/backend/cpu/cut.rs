//! How work is cut into tasks: by shape alone, so that sums are grouped alike on every machine.

use super::matmul::{PANEL, Tiles};

/// Rows of a task that works through a matrix of `rows` rows: at most 128, so that its panels stay in the
/// second-level cache, and in multiples of four tasks, so that few threads stay in step.
pub(super) fn rows_per_task(rows: usize) -> usize {
    let tasks = (4 * rows.div_ceil(512)).min(rows.div_ceil(16));
    rows.div_ceil(tasks)
}

/// Tasks of the weight gradient dzᵀ x [outputs, inputs]: sixteen, where there is that much to do. Fewer than 30 rows are
/// not worth reading x for, so that narrow layers are cut across their inputs too. The `gemm` crate takes six rows at once.
pub(super) fn weight_tiles(outputs: usize, inputs: usize) -> Tiles {
    let rows = outputs.div_ceil(TASKS).next_multiple_of(6).clamp(30, 48);
    let panels = inputs.div_ceil(PANEL);
    let across = (TASKS / outputs.div_ceil(rows)).clamp(1, panels);
    Tiles { rows, panels: panels.div_ceil(across) }
}

const TASKS: usize = 16;

/// Elements of a task that passes once over flat buffers.
pub(super) const ELEMENTS_PER_TASK: usize = 16 * 1024;
