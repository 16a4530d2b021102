//! `sample`: the first 2,000 training and 1,000 test samples of MNIST, in file order, part of the program.
//!
//! Enough to try everything without a network; made by `scripts/make-sample`.

use super::{Split, Which, split};
use crate::error::Result;
use std::path::Path;

/// The name of the set.
pub const NAME: &str = "sample";

/// Loads a split of the sample.
pub fn load(which: Which) -> Result<Split> {
    let (images, labels): (&[u8], &[u8]) = match which {
        Which::Train => (
            include_bytes!("../../data/sample/train-images-idx3-ubyte.gz"),
            include_bytes!("../../data/sample/train-labels-idx1-ubyte.gz"),
        ),
        Which::Test => (
            include_bytes!("../../data/sample/t10k-images-idx3-ubyte.gz"),
            include_bytes!("../../data/sample/t10k-labels-idx1-ubyte.gz"),
        ),
    };
    split::read((images, Path::new("sample images")), (labels, Path::new("sample labels")))
}
