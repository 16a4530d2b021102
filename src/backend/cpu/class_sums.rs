//! Class centres, and how close samples lie to them.

use super::load::load;
use super::scratch::Scratch;
use super::*;
use rayon::prelude::*;

/// Rows formed at a time.
const PANEL: usize = 512;
/// Rows of one task.
const ROWS: usize = 16;

/// Sums [classes, features], see [`Backend::class_sums`].
///
/// Every sum takes its rows one after the other in f64, so that its bits depend neither on threads nor on how
/// the caller cuts a data set into calls.
pub(super) fn class_sums<R: Real>(
    desc: ClassSums,
    input: &Input<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    sums: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    desc.check_sums(input, &labels, &sums)?;
    let ClassSums { rows, features, classes } = desc;
    let sample_class = known_classes("class_sums", labels, rows, classes)?;
    let sums = sums.slice();
    let mut panel = Scratch::new(PANEL.min(rows) * features);
    for (start, sample_class) in (0..rows).step_by(PANEL).zip(sample_class.chunks(PANEL)) {
        let panel = &mut panel[..sample_class.len() * features];
        panel.par_chunks_mut(ROWS * features).enumerate().for_each(|(task, x)| {
            let first = start + task * ROWS;
            load(input, first..first + x.len() / features, features, x);
        });
        sums.par_chunks_mut(features).enumerate().for_each(|(class, sum)| {
            let members = panel.chunks_exact(features).zip(sample_class);
            for (x, _) in members.filter(|(_, of)| usize::from(**of) == class) {
                for (sum, x) in sum.iter_mut().zip(x) {
                    *sum += x.wide();
                }
            }
        });
    }
    Ok(())
}

/// Cosines [rows], see [`Backend::class_cosines`]. Every row by itself, in f64.
pub(super) fn class_cosines<R: Real>(
    desc: ClassSums,
    input: &Input<'_, Cpu, R>,
    labels: Labels<'_, Cpu>,
    centres: Part<'_, Cpu, f64>,
    cosines: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    desc.check_cosines(input, &labels, &centres, &cosines)?;
    let ClassSums { rows, features, classes } = desc;
    let sample_class = known_classes("class_cosines", labels, rows, classes)?;
    let centres: Vec<(&[f64], f64)> =
        centres.slice().chunks_exact(features).map(|centre| (centre, dot(centre, centre).sqrt())).collect();
    cosines.slice().par_chunks_mut(ROWS).enumerate().for_each(|(task, cosines)| {
        let first = task * ROWS;
        let mut panel = Scratch::new(cosines.len() * features);
        load(input, first..first + cosines.len(), features, &mut panel);
        let samples = panel.chunks_exact(features).zip(&sample_class[first..]);
        for (cosine, (x, &class)) in cosines.iter_mut().zip(samples) {
            let (centre, length) = centres[usize::from(class)];
            let lengths: f64 = dot::<R, R>(x, x).sqrt() * length;
            *cosine = if lengths == 0.0 { 0.0 } else { dot(x, centre) / lengths };
        }
    });
    Ok(())
}

/// The class of every row that takes part.
///
/// # Errors
/// [`Error::Failed`] if a label is none of the `classes`.
pub(super) fn known_classes(
    op: &str,
    labels: Labels<'_, Cpu>,
    rows: usize,
    classes: usize,
) -> Result<Vec<u8>> {
    (0..rows)
        .map(|i| {
            let sample = labels.rows.at(i);
            let label = labels.labels[sample];
            if usize::from(label) < classes {
                return Ok(label);
            }
            Err(check::unknown_class(op, label, sample, classes))
        })
        .collect()
}

/// Σ a b in f64, in eight interleaved sums, so that it vectorises without leaving the order to the compiler.
fn dot<A: Real, B: Real>(a: &[A], b: &[B]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks(LANES), b.chunks(LANES));
    for (a, b) in a.zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a.wide() * b.wide();
        }
    }
    sums.iter().sum()
}
