//! Memory of the card with a type and a length.

use super::driver::{Device, Memory};
use crate::Result;
use crate::backend::Element;
use std::marker::PhantomData;
use std::sync::Arc;

/// Elements on the card.
pub struct Buffer<T> {
    memory: Memory,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Element> Buffer<T> {
    /// `len` elements with unspecified contents.
    pub(super) fn new(device: &Arc<Device>, len: usize) -> Result<Buffer<T>> {
        Ok(Buffer { memory: device.alloc(len * size_of::<T>())?, len, element: PhantomData })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first element, as kernels see it.
    pub(super) fn address(&self) -> u64 {
        self.memory.address()
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }
}
