//! The CPU backend: one file per operation, the same stem as in [`Backend`].
//!
//! Work is cut by shape alone, never by the number of threads, so results are the same bits on every
//! thread count.

mod activate;
mod activation;
mod add_scaled;
mod batch_norm;
mod class_sums;
mod cut;
mod forward;
mod gram;
mod linear;
mod linear_backward;
mod load;
mod loss;
mod matmul;
mod moments;
mod normals;
mod predict;
mod rank_mass;
mod real;
mod scratch;
mod simd;
mod sparse;
mod update;

use super::*;

/// The CPU with a pool of threads. Buffers are vectors.
pub struct Cpu {
    pool: rayon::ThreadPool,
}

impl Cpu {
    /// A pool of `threads` threads.
    ///
    /// # Errors
    /// [`Error::Failed`] if the system refuses the threads.
    pub fn new(threads: usize) -> Result<Cpu> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|e| Error::Failed(format!("cannot start {threads} threads: {e}")))?;
        matmul::read_in_place();
        Ok(Cpu { pool })
    }

    /// Runs `work` inside the pool, so that the operations it calls use these threads.
    pub fn install<T: Send>(&self, work: impl FnOnce(&Cpu) -> Result<T> + Send) -> Result<T> {
        self.pool.install(|| work(self))
    }
}

impl<'a, T: Element> Part<'a, Cpu, T> {
    /// The elements themselves.
    fn slice(self) -> &'a [T] {
        &self.buf[self.span.range()]
    }
}

impl<'a, T: Element> PartMut<'a, Cpu, T> {
    /// The elements themselves.
    fn slice(self) -> &'a mut [T] {
        &mut self.buf[self.span.range()]
    }
}

impl Rows<'_, Cpu> {
    /// Number in the stored set of the i-th row that takes part.
    #[inline]
    fn at(&self, i: usize) -> usize {
        match self {
            Rows::From(first) => first + i,
            Rows::Listed { index, start } => index[start + i] as usize,
        }
    }
}

impl Backend for Cpu {
    type Buf<T: Element> = Vec<T>;
    type Recording = (); // an operation costs nothing to begin
    type Kept = (); // operands are formed in the cache, for less than they would take to read

    fn name(&self) -> String {
        "cpu".into()
    }

    fn driver(&self) -> Option<String> {
        None
    }

    fn precision<R: Real>(&self) -> &'static str {
        R::NAME
    }

    fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn offers<R: Real>(&self) -> Result<()> {
        Ok(()) // f32 and f64, and there are no others
    }

    fn chunk_rows(&self, _bytes: usize) -> usize {
        2048 // activations of a chunk stay in the last-level cache
    }

    fn room(&self) -> usize {
        1 << 30
    }

    fn upload<T: Element>(&self, host: &[T]) -> Result<Vec<T>> {
        Ok(host.to_vec())
    }

    fn zeros<T: Element>(&self, len: usize) -> Result<Vec<T>> {
        Ok(vec![T::default(); len])
    }

    fn len<T: Element>(buf: &Vec<T>) -> usize {
        buf.len()
    }

    fn write<T: Element>(&self, host: &[T], to: PartMut<'_, Self, T>) -> Result<()> {
        shape("write", host.len() == to.span.len, || format!("{} into {:?}", host.len(), to.span))?;
        to.slice().copy_from_slice(host);
        Ok(())
    }

    fn download<T: Element>(&self, part: Part<'_, Self, T>) -> Result<Vec<T>> {
        Ok(part.slice().to_vec())
    }

    fn sequence(&self, (): &mut (), work: impl FnOnce() -> Result<()>) -> Result<()> {
        work()
    }

    fn linear<R: Real>(
        &self,
        desc: Linear,
        input: &Input<'_, Self, R>,
        weight: Part<'_, Self, R>,
        bias: Option<Part<'_, Self, R>>,
        z: PartMut<'_, Self, R>,
        moments: Option<Moments<'_, Self, R>>,
        _: Option<&mut ()>,
    ) -> Result<()> {
        linear::linear(desc, input, weight, bias, z, moments)
    }

    fn forward<R: Real>(
        &self,
        desc: Forward,
        input: &Input<'_, Self, R>,
        layers: &[Layer<'_, Self, R>],
        fields: &mut [Vec<R>; 2],
        logits: PartMut<'_, Self, R>,
    ) -> Result<()> {
        forward::forward(desc, input, layers, fields, logits)
    }

    fn moments<R: Real>(
        &self,
        desc: Activate,
        input: &Input<'_, Self, R>,
        moments: Moments<'_, Self, R>,
    ) -> Result<()> {
        moments::moments(desc, input, moments)
    }

    fn batch_norm<R: Real>(
        &self,
        desc: BatchNorm,
        mean: Part<'_, Self, R>,
        var: Part<'_, Self, R>,
        inv_std: PartMut<'_, Self, R>,
        running: Option<Running<'_, Self, R>>,
    ) -> Result<()> {
        batch_norm::batch_norm(desc, mean, var, inv_std, running)
    }

    fn loss<R: Real>(
        &self,
        desc: Loss,
        logits: Part<'_, Self, R>,
        labels: Labels<'_, Self>,
        row_loss: PartMut<'_, Self, f64>,
        grad: Option<PartMut<'_, Self, R>>,
    ) -> Result<()> {
        loss::loss(desc, logits, labels, row_loss, grad)
    }

    fn linear_backward<R: Real>(
        &self,
        desc: LinearBackward,
        delta: &Delta<'_, Self, R>,
        input: &Input<'_, Self, R>,
        params: &Vec<R>,
        grads: &mut Vec<R>,
        below: Option<&mut Vec<R>>,
        _: Option<&()>,
    ) -> Result<()> {
        linear_backward::linear_backward(desc, delta, input, params, grads, below)
    }

    fn update<R: Real>(
        &self,
        desc: Update,
        params: &mut Vec<R>,
        grads: &Vec<R>,
        first: &mut Vec<R>,
        second: &mut Vec<R>,
        status: &mut Vec<u32>,
    ) -> Result<()> {
        update::update(desc, params, grads, first, second, status)
    }

    fn predict<R: Real>(
        &self,
        desc: Predict,
        logits: Part<'_, Self, R>,
        predicted: PartMut<'_, Self, u8>,
    ) -> Result<()> {
        predict::predict(desc, logits, predicted)
    }

    fn activate<R: Real>(
        &self,
        desc: Activate,
        input: &Input<'_, Self, R>,
        x: PartMut<'_, Self, R>,
    ) -> Result<()> {
        activate::activate(desc, input, x)
    }

    fn normals<R: Real>(&self, desc: Normals, rows: Rows<'_, Self>, out: PartMut<'_, Self, R>) -> Result<()> {
        normals::normals(desc, rows, out)
    }

    fn add_scaled<R: Real>(
        &self,
        alpha: f64,
        x: Part<'_, Self, R>,
        y: Part<'_, Self, R>,
        out: PartMut<'_, Self, R>,
    ) -> Result<()> {
        add_scaled::add_scaled(alpha, x, y, out)
    }

    fn rank_mass<R: Real>(
        &self,
        desc: RankMass,
        field: &Field<'_, Self, R>,
        labels: Labels<'_, Self>,
        mass: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        rank_mass::rank_mass(desc, field, labels, mass)
    }

    fn class_sums<R: Real>(
        &self,
        desc: ClassSums,
        input: &Input<'_, Self, R>,
        labels: Labels<'_, Self>,
        sums: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        class_sums::class_sums(desc, input, labels, sums)
    }

    fn class_cosines<R: Real>(
        &self,
        desc: ClassSums,
        input: &Input<'_, Self, R>,
        labels: Labels<'_, Self>,
        centres: Part<'_, Self, f64>,
        cosines: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        class_sums::class_cosines(desc, input, labels, centres, cosines)
    }

    fn gram<R: Real>(
        &self,
        desc: Gram,
        input: &Input<'_, Self, R>,
        targets: Part<'_, Self, R>,
        centre: Part<'_, Self, f64>,
        products: PartMut<'_, Self, f64>,
    ) -> Result<()> {
        gram::gram(desc, input, targets, centre, products)
    }
}
