//! A split of a data set on the device.

use crate::Result;
use crate::backend::{Backend, Labels, Rows};
use crate::data::Split;

/// Images and labels on a backend, as bytes; they become network inputs when they are read.
pub struct Samples<B: Backend> {
    /// [len, inputs]
    pub pixels: B::Buf<u8>,
    /// \[len\]
    pub labels: B::Buf<u8>,
    /// The labels on the host.
    pub host_labels: Vec<u8>,
    /// Number of samples.
    pub len: usize,
    /// Pixels of a sample.
    pub inputs: usize,
    /// K
    pub classes: usize,
}

impl<B: Backend> Samples<B> {
    /// Uploads a split.
    pub fn new(backend: &B, split: &Split) -> Result<Self> {
        Ok(Samples {
            pixels: backend.upload(&split.images)?,
            labels: backend.upload(&split.labels)?,
            host_labels: split.labels.clone(),
            len: split.len(),
            inputs: split.pixels,
            classes: split.classes,
        })
    }

    /// Labels of some samples, for an operation.
    pub fn labels<'a>(&'a self, rows: Rows<'a, B>) -> Labels<'a, B> {
        Labels { labels: &self.labels, rows }
    }
}
