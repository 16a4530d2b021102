//! What kernels read: the twins of the structs in `kernels/input.cuh`, field for field.
//!
//! Every kernel takes one struct by value. Addresses are plain numbers, 0 where a part is absent.

use super::{Buffer, Cuda};
use crate::backend::{self as host, Activation, Element, Part, PartMut, Real, Span};
use bytemuck::{Pod, Zeroable};

/// An address on the card; 0 is null.
pub(super) type Address = u64;

/// The first element of a part.
pub(super) fn address<T: Element>(part: Part<'_, Cuda, T>) -> Address {
    address_of(part.buf, part.span)
}

/// The first element of a part to be written.
pub(super) fn address_mut<T: Element>(part: &PartMut<'_, Cuda, T>) -> Address {
    address_of(part.buf, part.span)
}

/// The first element of a span.
pub(super) fn address_of<T: Element>(buf: &Buffer<T>, span: Span) -> Address {
    buf.address() + (span.start * size_of::<T>()) as u64
}

/// `Values` of `kernels/input.cuh`: numbers, and how they rest in memory.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Values {
    pub data: Address,
    narrow: u64,
}

impl Values {
    /// f32 as it is.
    pub fn in_f32(data: Address) -> Values {
        Values { data, narrow: 0 }
    }

    /// `span` of `buf`.
    pub fn of<R: Real>(buf: &Buffer<R>, span: Span) -> Values {
        Values {
            data: buf.memory().address() + (span.start * buf.pitch()) as u64,
            narrow: buf.is_narrow().into(),
        }
    }

    /// Whether they are in bf16.
    pub fn is_narrow(self) -> bool {
        self.narrow != 0
    }

    /// All of `buf`.
    pub fn all<R: Real>(buf: &Buffer<R>) -> Values {
        Values::of(buf, Span { start: 0, len: buf.len() })
    }
}

/// The first elements of mean and variance.
pub(super) fn moments<R: Real>(moments: &host::Moments<'_, Cuda, R>) -> (Address, Address) {
    (address_of(moments.buf, moments.mean), address_of(moments.buf, moments.var))
}

/// The number of `kernels/activation.cuh`.
pub(super) fn activation(f: Activation) -> u32 {
    match f {
        Activation::Relu => 0,
        Activation::Tanh => 1,
        Activation::Identity => 2,
        Activation::Gaussian => 3,
        Activation::LeakyRelu => 4,
        Activation::Sigmoid => 5,
        Activation::Gelu => 6,
    }
}

/// [`host::Rows`]
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RowList {
    index: Address,
    first: u64,
}

impl From<host::Rows<'_, Cuda>> for RowList {
    fn from(rows: host::Rows<'_, Cuda>) -> RowList {
        match rows {
            host::Rows::From(first) => RowList { index: 0, first: first as u64 },
            host::Rows::Listed { index, start } => RowList { index: index.address(), first: start as u64 },
        }
    }
}

/// [`host::Norm`]; a mean of 0 stands for none.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Norm {
    pub mean: Address,
    pub inv_std: Address,
    pub gamma: Address,
    pub beta: Address,
}

impl<R: Real> From<host::Norm<'_, Cuda, R>> for Norm {
    fn from(norm: host::Norm<'_, Cuda, R>) -> Norm {
        let host::Norm { mean, inv_std, gamma, beta } = norm;
        Norm { mean: address(mean), inv_std: address(inv_std), gamma: address(gamma), beta: address(beta) }
    }
}

/// [`host::Field`]
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Field {
    z: Values,
    xi: Address,
    amplitude: Address,
    norm: Norm,
}

impl<R: Real> From<&host::Field<'_, Cuda, R>> for Field {
    fn from(field: &host::Field<'_, Cuda, R>) -> Field {
        let host::Field { z, noise, norm } = *field;
        Field {
            z: Values::of(z.buf, z.span),
            xi: noise.map_or(0, |noise| address(noise.xi)),
            amplitude: noise.map_or(0, |noise| address(noise.amplitude)),
            norm: norm.map_or(Norm::zeroed(), Norm::from),
        }
    }
}

/// [`host::Dropout`]; a scale of 0 stands for none.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Dropout {
    seed: u64,
    step: u32,
    stream: u32,
    keep_from: u32,
    scale: f32,
}

impl From<host::Dropout> for Dropout {
    fn from(dropout: host::Dropout) -> Dropout {
        let host::Dropout { rate, seed, step, stream } = dropout;
        // The first word w with (w + ½) 2⁻³² ≥ rate. Scaling by a power of two is exact.
        let keep_from = (rate * 4_294_967_296.0 - 0.5).ceil().max(0.0) as u32;
        Dropout { seed, step, stream, keep_from, scale: (1.0 / (1.0 - rate)) as f32 }
    }
}

/// [`host::Input`]
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Input {
    pixels: Address,
    rows: RowList,
    scale: f32,
    shift: f32,
    field: Field,
    dropout: Dropout,
    activation: u32,
    unused: u32,
}

impl Input {
    /// Norm and f of a layer, for kernels that have its z in registers.
    pub fn of_layer<R: Real>(norm: Option<host::Norm<'_, Cuda, R>>, f: Activation) -> Input {
        let field = Field { norm: norm.map_or(Norm::zeroed(), Norm::from), ..Field::zeroed() };
        Input { field, activation: activation(f), ..Input::zeroed() }
    }

    /// Whether it says where z is.
    pub fn has_field(&self) -> bool {
        self.field.z.data != 0
    }
}

impl<R: Real> From<&host::Input<'_, Cuda, R>> for Input {
    fn from(input: &host::Input<'_, Cuda, R>) -> Input {
        match *input {
            host::Input::Pixels { pixels, rows, scale, shift } => Input {
                pixels: pixels.address(),
                rows: rows.into(),
                scale: scale.wide() as f32,
                shift: shift.wide() as f32,
                ..Zeroable::zeroed()
            },
            host::Input::Field { field, activation: f, dropout } => Input {
                field: (&field).into(),
                dropout: dropout.map_or(Dropout::zeroed(), Dropout::from),
                activation: activation(f),
                ..Zeroable::zeroed()
            },
        }
    }
}
