//! Linear views of a layer in a few dimensions.

use crate::Result;
use crate::backend::{Backend, Input, Linear, Part, PartMut, Real};

/// Maps x [rows, features] to (x − centre) · Vᵀ with `DIMS` rows of V.
pub(super) struct Plane<B: Backend, R: Real, const DIMS: usize> {
    axes: B::Buf<R>,
    offset: B::Buf<R>,
    out: B::Buf<R>,
    features: usize,
}

impl<B: Backend, R: Real, const DIMS: usize> Plane<B, R, DIMS> {
    /// For up to `rows` rows at a time; `axes` is [DIMS, features], `centre` [features].
    pub fn new(backend: &B, axes: &[f64], centre: &[f64], rows: usize) -> Result<Self> {
        let features = centre.len();
        let rounded = |values: &mut dyn Iterator<Item = f64>| values.map(R::of).collect::<Vec<R>>();
        let mut offset =
            axes.chunks_exact(features).map(|axis| -axis.iter().zip(centre).map(|(v, c)| v * c).sum::<f64>());
        Ok(Plane {
            axes: backend.upload(&rounded(&mut axes.iter().copied()))?,
            offset: backend.upload(&rounded(&mut offset))?,
            out: backend.zeros(rows * DIMS)?,
            features,
        })
    }

    /// Coordinates of the rows of `input`.
    pub fn coordinates(
        &mut self,
        backend: &B,
        input: &Input<'_, B, R>,
        rows: usize,
    ) -> Result<Vec<[f64; DIMS]>> {
        let desc = Linear { rows, inputs: self.features, outputs: DIMS };
        let axes = Part::new(&self.axes, 0, DIMS * self.features);
        let offset = Part::new(&self.offset, 0, DIMS);
        backend.linear(
            desc,
            input,
            axes,
            Some(offset),
            PartMut::new(&mut self.out, 0, rows * DIMS),
            None,
            None,
        )?;
        let host = backend.download(Part::new(&self.out, 0, rows * DIMS))?;
        Ok(host.chunks_exact(DIMS).map(|row| std::array::from_fn(|d| row[d].wide())).collect())
    }
}
