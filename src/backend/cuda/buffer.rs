//! Memory of the card with a type and a length.

use super::driver::{Device, Memory};
use crate::Result;
use crate::backend::Element;
use half::bf16;
use std::marker::PhantomData;
use std::sync::Arc;

/// Elements on the card.
pub struct Buffer<T> {
    memory: Memory,
    len: usize,
    narrow: bool,
    element: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    /// `len` elements with unspecified contents.
    pub(super) fn new(device: &Arc<Device>, len: usize) -> Result<Buffer<T>> {
        Ok(Buffer { memory: device.alloc(len * size_of::<T>())?, len, narrow: false, element: PhantomData })
    }

    /// The same, rounded to bf16 at rest; `T` is f32.
    pub(super) fn new_narrow(device: &Arc<Device>, len: usize) -> Result<Buffer<T>> {
        Ok(Buffer { memory: device.alloc(len * size_of::<bf16>())?, len, narrow: true, element: PhantomData })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first element, for kernels that take `T` as it is.
    pub(super) fn address(&self) -> u64 {
        assert!(!self.narrow, "a kernel would read bf16 as something else");
        self.memory.address()
    }

    /// Whether elements rest in bf16.
    pub(super) fn is_narrow(&self) -> bool {
        self.narrow
    }

    /// Bytes from one element to the next.
    pub(super) fn pitch(&self) -> usize {
        if self.narrow { size_of::<bf16>() } else { size_of::<T>() }
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}
