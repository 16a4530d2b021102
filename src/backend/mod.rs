//! The boundary between the network engine and the processor that runs it.
//!
//! A [`Backend`] offers the fused operations of a fully connected network and owns the buffers they
//! work on. There is no tensor arithmetic and no autodiff: forward and backward are explicit calls.
//! Above this module nothing asks which processor is in use.

mod check;
mod choice;
pub mod cpu;
pub mod cuda;
mod desc;
mod parts;

pub use choice::{Choice, Job, PRECISIONS, Precision, with};
pub use desc::*;
pub use parts::*;

use crate::error::{Error, Result};
use std::fmt::Debug;

/// A plain value a buffer may hold.
pub trait Element: bytemuck::Pod + Send + Sync + Debug + Default + PartialOrd {}
impl Element for u8 {}
impl Element for u32 {}
impl Element for f32 {}
impl Element for f64 {}

/// The number type of an engine: `f32`, or `f64` on the CPU.
pub trait Real: Element + num_traits::Float + num_traits::NumAssign + std::iter::Sum + From<u8> {
    /// As the user writes it in `--precision`.
    const NAME: &'static str;
    /// Rounded to this type.
    fn of(value: f64) -> Self;
    /// Without loss.
    fn wide(self) -> f64;
    /// Hyperbolic tangent, accurate to a few units in the last place, and written so that loops over
    /// it vectorise.
    fn fast_tanh(self) -> Self;
    /// The error function, for exact GELU.
    fn erf(self) -> Self;
}

/// What a processor must do for us.
///
/// Shapes live in the descriptions ([`Linear`], [`Loss`], …), matrices are row-major with one row per
/// sample. Outputs are the caller's; what an operation needs for itself is the backend's. Operations are queued
/// in order; [`Backend::download`] waits for those before it. On one processor every result is the same bits from run
/// to run, whatever the number of threads; the same on all processors where an operation says so.
///
/// Operations check their descriptions against the buffers and answer [`Error::Shape`]. Short of a device fault a
/// correct caller meets no other failure but those that an operation names, and [`Error::Memory`].
pub trait Backend: Sync + Sized {
    /// Memory of this processor holding elements of one type.
    type Buf<T: Element>: Send + Sync;

    /// What a processor remembers of a [`Backend::sequence`] to do it faster the next time.
    type Recording: Default + Send;

    /// What a processor keeps of a layer's forward pass to save its backward pass work; nothing at first.
    type Kept: Default + Send;

    /// For people: `cpu`, or the card.
    fn name(&self) -> String;

    /// Its driver, if it has one.
    fn driver(&self) -> Option<String>;

    /// Arithmetic of the matrix products of an engine in R, one of [`PRECISIONS`].
    fn precision<R: Real>(&self) -> &'static str;

    /// Threads of the CPU at work.
    fn threads(&self) -> usize;

    /// Whether this processor computes in R.
    ///
    /// # Errors
    /// [`Error::Usage`] that names the precision, if it does not.
    fn offers<R: Real>(&self) -> Result<()>;

    /// How many samples to pass through a network at a time, where each takes so many bytes of this processor's
    /// memory; at least 1.
    fn chunk_rows(&self, bytes: usize) -> usize;

    /// Bytes that work may keep on this processor to save time, where it has the choice.
    fn room(&self) -> usize;

    /// A new buffer with these contents.
    fn upload<T: Element>(&self, host: &[T]) -> Result<Self::Buf<T>>;

    /// A new buffer of zeros.
    fn zeros<T: Element>(&self, len: usize) -> Result<Self::Buf<T>>;

    /// A new buffer of zeros for fields z or gradients between the layers, which may be rounded to what the precision
    /// keeps of them. To [`Backend::linear`] and [`Backend::linear_backward`], and as [`Field`] and [`Input`] to all
    /// operations, it is like any other.
    fn fields<R: Real>(&self, len: usize) -> Result<Self::Buf<R>> {
        self.zeros(len)
    }

    /// Number of elements of a buffer.
    fn len<T: Element>(buf: &Self::Buf<T>) -> usize;

    /// Overwrites `to` with `host`, which has the same length.
    fn write<T: Element>(&self, host: &[T], to: PartMut<'_, Self, T>) -> Result<()>;

    /// A copy of `part` on the host, after everything queued before has run.
    fn download<T: Element>(&self, part: Part<'_, Self, T>) -> Result<Vec<T>>;

    /// Runs `work`, which calls operations of this backend on its own thread, and nothing that transfers memory or
    /// waits. With the `recording` of an earlier run a backend may do all of them as one.
    fn sequence(&self, recording: &mut Self::Recording, work: impl FnOnce() -> Result<()>) -> Result<()>;

    /// `z = x Wᵀ + b`, and on request the mean and the biased variance of each column of `z`
    /// (two-pass or Welford/Chan, never E\[z²\] − E\[z\]²).
    ///
    /// `x` is [rows, inputs] and is formed on the fly from `input`; `weight` is [outputs, inputs], `bias`
    /// \[outputs\], `z` [rows, outputs]. What `kept` had is replaced; where there is plenty of memory it may take
    /// 4 bytes an element of x and of W. With it, as in training, z may be rounded in another way than without. Source:
    /// paper A, Eq. 1.
    fn linear<R: Real>(
        &self,
        desc: Linear,
        input: &Input<'_, Self, R>,
        weight: Part<'_, Self, R>,
        bias: Option<Part<'_, Self, R>>,
        z: PartMut<'_, Self, R>,
        moments: Option<Moments<'_, Self, R>>,
        kept: Option<&mut Self::Kept>,
    ) -> Result<()>;

    /// Logits [rows, outputs of the last layer] of a run of layers in evaluation: in turn `z = x Wᵀ + b`, and below
    /// another layer `x = f(h)` with h the field of z under the layer's norm. `input` is the first layer's x.
    ///
    /// `fields` are for the backend's own use: each has room for `rows` of every z but the last. On the CPU the logits
    /// of a row are the same bits whichever other rows are in the call; on CUDA they are so within rounding, since
    /// the largest element of 128 rows decides the scale in which products take them.
    fn forward<R: Real>(
        &self,
        desc: Forward,
        input: &Input<'_, Self, R>,
        layers: &[Layer<'_, Self, R>],
        fields: &mut [Self::Buf<R>; 2],
        logits: PartMut<'_, Self, R>,
    ) -> Result<()>;

    /// Mean and biased variance of each column of the x [rows, features] that `input` stands for.
    fn moments<R: Real>(
        &self,
        desc: Activate,
        input: &Input<'_, Self, R>,
        moments: Moments<'_, Self, R>,
    ) -> Result<()>;

    /// `inv_std = 1/√(var + ε)`, each \[features\]; with `running`, also the exponential moving averages
    /// `running = (1 − α) running + α batch`, the variance unbiased as PyTorch does; a
    /// statistic that is not finite leaves its running value as it was, and so does a set status. Source: paper A,
    /// Eq. 3.
    fn batch_norm<R: Real>(
        &self,
        desc: BatchNorm,
        mean: Part<'_, Self, R>,
        var: Part<'_, Self, R>,
        inv_std: PartMut<'_, Self, R>,
        running: Option<Running<'_, Self, R>>,
    ) -> Result<()>;

    /// Loss of every row of `logits` [rows, classes] into `row_loss` (f64, \[rows\]), and on request the
    /// gradient of the batch's loss, which is the mean of `row_loss`.
    ///
    /// Cross-entropy: `row_loss = −log softmax(logits)[label]`. MSE: `row_loss` is the mean over classes of
    /// the squared difference to the one-hot target. Neither is divided by `rows`; the gradient is. A label
    /// that is no class gives NaN in the row's loss and gradient.
    fn loss<R: Real>(
        &self,
        desc: Loss,
        logits: Part<'_, Self, R>,
        labels: Labels<'_, Self>,
        row_loss: PartMut<'_, Self, f64>,
        grad: Option<PartMut<'_, Self, R>>,
    ) -> Result<()>;

    /// Gradients of one layer. With `dz` [rows, outputs] formed on the fly from `delta`:
    ///
    /// - `grads[weight] = dzᵀ x`, `grads[bias] = Σ_rows dz`;
    /// - into `below` [rows, inputs], on request, `g = (dz W) ⊙ dropout ⊙ f′(h)` of the layer below, and, if
    ///   that layer is normalised, `grads[beta] = Σ g` and `grads[gamma] = Σ g x̂` of that layer.
    ///
    /// `input` is the forward pass's; `params` and `grads` have the same layout. `delta.grad` and `below` may
    /// be longer than the batch: its rows stand first. `kept` is what [`Backend::linear`] left of the same input and
    /// weight, and changes no bit.
    fn linear_backward<R: Real>(
        &self,
        desc: LinearBackward,
        delta: &Delta<'_, Self, R>,
        input: &Input<'_, Self, R>,
        params: &Self::Buf<R>,
        grads: &mut Self::Buf<R>,
        below: Option<&mut Self::Buf<R>>,
        kept: Option<&Self::Kept>,
    ) -> Result<()>;

    /// One optimiser step over all parameters at once, with PyTorch's formulas.
    ///
    /// `status` is `[1 + index of the first non-finite gradient or 0, step at which it was met]`. Once it is
    /// set nothing is updated any more, so that the last good state stays. `first` and `second` are the
    /// moments (momentum buffer and nothing for SGD).
    fn update<R: Real>(
        &self,
        desc: Update,
        params: &mut Self::Buf<R>,
        grads: &Self::Buf<R>,
        first: &mut Self::Buf<R>,
        second: &mut Self::Buf<R>,
        status: &mut Self::Buf<u32>,
    ) -> Result<()>;

    /// Index of the largest logit of every row, the lowest among equals; NaN counts as smallest.
    fn predict<R: Real>(
        &self,
        desc: Predict,
        logits: Part<'_, Self, R>,
        predicted: PartMut<'_, Self, u8>,
    ) -> Result<()>;

    /// Writes out the `x` [rows, features] that `input` stands for.
    fn activate<R: Real>(
        &self,
        desc: Activate,
        input: &Input<'_, Self, R>,
        x: PartMut<'_, Self, R>,
    ) -> Result<()>;

    /// Standard normals ξ [rows, cols] by Philox4x32-10 and Box–Muller, computed in f64 and rounded once:
    /// key = seed, counter = (row id, column/4, trial, stream). Row ids are consecutive or those listed. The same bits
    /// on all processors, whichever other rows and columns are in the call.
    fn normals<R: Real>(&self, desc: Normals, rows: Rows<'_, Self>, out: PartMut<'_, Self, R>) -> Result<()>;

    /// `out = x + alpha · y`, element by element.
    fn add_scaled<R: Real>(
        &self,
        alpha: f64,
        x: Part<'_, Self, R>,
        y: Part<'_, Self, R>,
        out: PartMut<'_, Self, R>,
    ) -> Result<()>;

    /// For every neuron and class, the mass of that class in each of `bins` equal bins of the normalised
    /// rank axis, ranks descending: `mass` is f64 [neurons, classes, bins] and sums to the number of
    /// samples of the class. Equal keys share their interval of positions; −0 equals +0. The keys are
    /// the local fields h of `field`. Exact and independent of the order of samples. Source: paper A,
    /// Sec. II.C. A NaN key is an [`Error::Failed`], and so is a label that is no class.
    fn rank_mass<R: Real>(
        &self,
        desc: RankMass,
        field: &Field<'_, Self, R>,
        labels: Labels<'_, Self>,
        mass: PartMut<'_, Self, f64>,
    ) -> Result<()>;

    /// Adds to `sums` (f64 [classes, features]) the rows of `input`, each to its class and one after the other: the bits
    /// do not depend on how the caller cuts a set into calls, and from the same x they are those of all processors.
    /// A label that is no class is an [`Error::Failed`].
    fn class_sums<R: Real>(
        &self,
        desc: ClassSums,
        input: &Input<'_, Self, R>,
        labels: Labels<'_, Self>,
        sums: PartMut<'_, Self, f64>,
    ) -> Result<()>;

    /// Cosine of every row of `input` with the centre of its class (`centres` f64 [classes, features]);
    /// a zero vector has cosine 0. `cosines` is f64 \[rows\]. A label that is no class is an [`Error::Failed`].
    fn class_cosines<R: Real>(
        &self,
        desc: ClassSums,
        input: &Input<'_, Self, R>,
        labels: Labels<'_, Self>,
        centres: Part<'_, Self, f64>,
        cosines: PartMut<'_, Self, f64>,
    ) -> Result<()>;

    /// Adds to `products` (f64 [features, features + targets]) the sums over rows of
    /// `(x − centre)(x − centre)ᵀ | (x − centre) (y − y_centre)ᵀ`; `centre` is f64 [features + targets], `y`
    /// [rows, targets]. Normal equations of the linear perceptron (paper B, "LP").
    fn gram<R: Real>(
        &self,
        desc: Gram,
        input: &Input<'_, Self, R>,
        targets: Part<'_, Self, R>,
        centre: Part<'_, Self, f64>,
        products: PartMut<'_, Self, f64>,
    ) -> Result<()>;
}

pub(crate) fn shape(op: &'static str, fits: bool, what: impl FnOnce() -> String) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::Shape { op, what: what() }) }
}
