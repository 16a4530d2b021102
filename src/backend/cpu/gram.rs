//! Centred normal equations of the linear perceptron.

use super::load::load;
use super::matmul::{Existing, Matrix, matmul};
use super::scratch::Scratch;
use super::*;
use rayon::prelude::*;

/// Rows whose products are added at a time.
const PANEL: usize = 512;
/// Rows of one task that centres them.
const ROWS: usize = 16;
/// Rows of `products` in one task.
const STRIP: usize = 32;

/// Products [features, features + targets], see [`Backend::gram`]. Centring and sums are in f64.
pub(super) fn gram<R: Real>(
    desc: Gram,
    input: &Input<'_, Cpu, R>,
    targets: Part<'_, Cpu, R>,
    centre: Part<'_, Cpu, f64>,
    products: PartMut<'_, Cpu, f64>,
) -> Result<()> {
    desc.check(input, &targets, &centre, &products)?;
    let Gram { rows, features, targets: columns } = desc;
    let width = features + columns;
    let (targets, centre, products) = (targets.slice(), centre.slice(), products.slice());
    let mut panel = Scratch::<f64>::new(PANEL.min(rows) * width);
    for start in (0..rows).step_by(PANEL) {
        let panel = &mut panel[..PANEL.min(rows - start) * width];
        panel.par_chunks_mut(ROWS * width).enumerate().for_each(|(task, out)| {
            let first = start + task * ROWS;
            let rows = first..first + out.len() / width;
            let mut x = Scratch::<R>::new(rows.len() * features);
            load(input, rows.clone(), features, &mut x);
            let both = x.chunks_exact(features).zip(rows.map(|row| &targets[row * columns..][..columns]));
            for (out, (x, y)) in out.chunks_exact_mut(width).zip(both) {
                for ((out, value), centre) in out.iter_mut().zip(x.iter().chain(y)).zip(centre) {
                    *out = value.wide() - centre;
                }
            }
        });
        let panel = Matrix::new(&*panel, panel.len() / width, width);
        products.par_chunks_mut(STRIP * width).enumerate().for_each(|(strip, out)| {
            let first = strip * STRIP;
            let x = panel.transposed().rows(first..first + out.len() / width);
            matmul(Existing::Add, out, x, panel);
        });
    }
    Ok(())
}
