//! From an images file and a labels file to a [`Split`].

use super::Split;
use super::idx::Idx;
use crate::error::{Error, Result};
use std::io::BufRead;
use std::path::Path;

/// Reads one split from its images and its labels; the paths are for messages.
///
/// The counts are compared before any image is read. `classes` is one more than the largest label, at least 10.
pub fn read(images: (impl BufRead, &Path), labels: (impl BufRead, &Path)) -> Result<Split> {
    let ((images, images_file), (labels, labels_file)) = (images, labels);
    let images = Idx::open(images, images_file, 3)?;
    let labels = Idx::open(labels, labels_file, 1)?;
    let [samples, rows, columns] = *images.dims() else {
        return Err(Error::file(images_file, "offset 3: expected 3 dimensions"));
    };
    if labels.dims() != [samples] {
        let what = format!(
            "offset 4: {} labels, expected {samples}, the number of images in {}",
            labels.dims()[0],
            images_file.display()
        );
        return Err(Error::file(labels_file, what));
    }
    let labels = labels.read()?;
    let images = images.read()?;
    Ok(Split {
        classes: classes(&labels.bytes),
        images: images.bytes,
        labels: labels.bytes,
        pixels: rows * columns,
        sha256: [images.sha256, labels.sha256],
    })
}

/// One more than the largest label, at least 10.
pub fn classes(labels: &[u8]) -> usize {
    labels.iter().max().map_or(0, |largest| usize::from(*largest) + 1).max(10)
}
