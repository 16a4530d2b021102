//! What operations are given: runs of buffers, and the forms in which a layer's input and gradient are stored.

use super::{Activation, Backend, Dropout, Element, NormSpans, Real, Span};

/// A run of elements of a buffer, to read.
pub struct Part<'a, B: Backend, T: Element> {
    /// The whole buffer.
    pub buf: &'a B::Buf<T>,
    /// First element and number of elements.
    pub span: Span,
}

impl<B: Backend, T: Element> Clone for Part<'_, B, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, T: Element> Copy for Part<'_, B, T> {}

impl<'a, B: Backend, T: Element> Part<'a, B, T> {
    /// `len` elements of `buf` from `start`.
    pub fn new(buf: &'a B::Buf<T>, start: usize, len: usize) -> Self {
        Part { buf, span: Span { start, len } }
    }

    /// The elements of `buf` that `span` names.
    pub fn at(buf: &'a B::Buf<T>, span: Span) -> Self {
        Part { buf, span }
    }
}

/// A run of elements of a buffer, to write.
pub struct PartMut<'a, B: Backend, T: Element> {
    /// The whole buffer.
    pub buf: &'a mut B::Buf<T>,
    /// First element and number of elements.
    pub span: Span,
}

impl<'a, B: Backend, T: Element> PartMut<'a, B, T> {
    /// `len` elements of `buf` from `start`.
    pub fn new(buf: &'a mut B::Buf<T>, start: usize, len: usize) -> Self {
        PartMut { buf, span: Span { start, len } }
    }

    /// The elements of `buf` that `span` names.
    pub fn at(buf: &'a mut B::Buf<T>, span: Span) -> Self {
        PartMut { buf, span }
    }
}

/// Column means and variances to be written, two runs of one buffer.
pub struct Moments<'a, B: Backend, R: Real> {
    /// Holds both.
    pub buf: &'a mut B::Buf<R>,
    /// \[features\]
    pub mean: Span,
    /// \[features\]
    pub var: Span,
}

/// Running statistics, which training feeds as long as its status (see [`Backend::update`]) is not set.
pub struct Running<'a, B: Backend, R: Real> {
    /// Mean and variance.
    pub moments: Moments<'a, B, R>,
    /// Two words.
    pub status: &'a B::Buf<u32>,
}

/// Which rows of a stored set take part, in order.
pub enum Rows<'a, B: Backend> {
    /// Consecutive rows from this one.
    From(usize),
    /// The rows listed, from a position of the list.
    Listed {
        /// Row numbers.
        index: &'a B::Buf<u32>,
        /// First position used.
        start: usize,
    },
}

impl<B: Backend> Clone for Rows<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for Rows<'_, B> {}

/// Labels of the rows that take part: `labels[rows]`.
pub struct Labels<'a, B: Backend> {
    /// One class per stored sample.
    pub labels: &'a B::Buf<u8>,
    /// Which of them, in order.
    pub rows: Rows<'a, B>,
}

impl<B: Backend> Clone for Labels<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend> Copy for Labels<'_, B> {}

/// The input x(l−1) of a layer, in the form in which it is stored.
pub enum Input<'a, B: Backend, R: Real> {
    /// x = scale · byte + shift, from 8-bit pixels [samples, inputs].
    Pixels {
        /// All stored samples.
        pixels: &'a B::Buf<u8>,
        /// Those that take part.
        rows: Rows<'a, B>,
        /// Maps a byte to the network's input range.
        scale: R,
        /// Maps a byte to the network's input range.
        shift: R,
    },
    /// x = dropout(f(h)) of the layer below.
    Field {
        /// The local field h.
        field: Field<'a, B, R>,
        /// f.
        activation: Activation,
        /// Training only.
        dropout: Option<Dropout>,
    },
}

impl<B: Backend, R: Real> Clone for Input<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Input<'_, B, R> {}

impl<'a, B: Backend, R: Real> Input<'a, B, R> {
    /// The field itself, with nothing applied to it.
    pub fn plain(field: Field<'a, B, R>) -> Self {
        Input::Field { field, activation: Activation::Identity, dropout: None }
    }
}

/// A local field: h = γ (z + a ξ − mean) · inv_std + β, without the parts that are absent.
pub struct Field<'a, B: Backend, R: Real> {
    /// z, [rows, features].
    pub z: Part<'a, B, R>,
    /// Noise that entered the layer linearly.
    pub noise: Option<Noise<'a, B, R>>,
    /// Batch normalisation.
    pub norm: Option<Norm<'a, B, R>>,
}

impl<B: Backend, R: Real> Clone for Field<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Field<'_, B, R> {}

/// Adds `amplitude[row] · xi[row, feature]` to z.
pub struct Noise<'a, B: Backend, R: Real> {
    /// [rows, features]
    pub xi: Part<'a, B, R>,
    /// \[rows\]
    pub amplitude: Part<'a, B, R>,
}

impl<B: Backend, R: Real> Clone for Noise<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Noise<'_, B, R> {}

/// Batch normalisation with given statistics; each part \[features\].
pub struct Norm<'a, B: Backend, R: Real> {
    /// μ
    pub mean: Part<'a, B, R>,
    /// 1/√(σ² + ε)
    pub inv_std: Part<'a, B, R>,
    /// γ
    pub gamma: Part<'a, B, R>,
    /// β
    pub beta: Part<'a, B, R>,
}

impl<B: Backend, R: Real> Clone for Norm<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Norm<'_, B, R> {}

/// dz of a layer, formed from what the layer above left: `dz = grad`, or through the layer's batch norm
/// `dz = γ inv_std (grad − grads[beta]/rows − x̂ grads[gamma]/rows)`.
pub struct Delta<'a, B: Backend, R: Real> {
    /// dL/dh, [rows, outputs].
    pub grad: &'a B::Buf<R>,
    /// The layer's norm in the forward pass, with its field z.
    pub norm: Option<DeltaNorm<'a, B, R>>,
}

/// The batch norm a gradient passes on its way down.
pub struct DeltaNorm<'a, B: Backend, R: Real> {
    /// z, [rows, outputs].
    pub z: Part<'a, B, R>,
    /// As in the forward pass.
    pub norm: Norm<'a, B, R>,
    /// Where the gradients of γ and β stand in `grads`.
    pub at: NormSpans,
}

/// A linear layer and, below another one, what follows it.
pub struct Layer<'a, B: Backend, R: Real> {
    /// Rows of W.
    pub outputs: usize,
    /// W, [outputs, inputs].
    pub weight: Part<'a, B, R>,
    /// b, \[outputs\].
    pub bias: Option<Part<'a, B, R>>,
    /// With given statistics; the last layer has none.
    pub norm: Option<Norm<'a, B, R>>,
}

impl<B: Backend, R: Real> Clone for Layer<'_, B, R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<B: Backend, R: Real> Copy for Layer<'_, B, R> {}
