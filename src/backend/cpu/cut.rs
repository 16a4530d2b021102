//! How work is cut into tasks: by shape alone, so that sums are grouped alike on every machine.

/// Rows of a task that works through a matrix of `rows` rows: at most 128, so that its panels stay in the
/// second-level cache, and in multiples of four tasks, so that few threads stay in step.
pub(super) fn rows_per_task(rows: usize) -> usize {
    let tasks = (4 * rows.div_ceil(512)).min(rows.div_ceil(16));
    rows.div_ceil(tasks)
}

/// Rows of W in a task of the weight gradient.
pub(super) fn outputs_per_task(outputs: usize) -> usize {
    outputs.div_ceil(16).next_multiple_of(4).min(32)
}

/// Elements of a task that passes once over flat buffers.
pub(super) const ELEMENTS_PER_TASK: usize = 16 * 1024;
