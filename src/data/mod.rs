//! Data sets: labelled grey-scale images as bytes, from a folder, the cache or the network.

use crate::error::Result;
use std::path::PathBuf;

/// One split: `labels.len()` images of `pixels` bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// [samples, pixels], row-major.
    pub images: Vec<u8>,
    /// [samples], below `classes`.
    pub labels: Vec<u8>,
    /// Pixels of an image (784 for MNIST).
    pub pixels: usize,
    /// Number of classes: one more than the largest label of the set, at least 10 for the MNIST family.
    pub classes: usize,
    /// SHA-256 of the two raw files, images then labels, hexadecimal.
    pub sha256: [String; 2],
}

impl Split {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The first `limit` samples, in file order.
    pub fn first(&self, limit: usize) -> Split {
        let len = limit.min(self.len());
        Split {
            images: self.images[..len * self.pixels].to_vec(),
            labels: self.labels[..len].to_vec(),
            ..self.clone()
        }
    }
}

/// How bytes become network inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputScale {
    /// byte/255, in [0, 1].
    Unit,
    /// (byte/255 − mean)/std.
    Affine {
        /// Subtracted.
        mean: f64,
        /// Divided by; positive.
        std: f64,
    },
}

impl InputScale {
    /// MNIST's customary standardisation.
    pub const STANDARDIZED: InputScale = InputScale::Affine { mean: 0.1307, std: 0.3081 };

    /// `(scale, shift)` with x = scale · byte + shift.
    pub fn of_byte(self) -> (f64, f64) {
        match self {
            InputScale::Unit => (1.0 / 255.0, 0.0),
            InputScale::Affine { mean, std } => (1.0 / (255.0 * std), -mean / std),
        }
    }

    /// Factor from the unit range [0, 1] to the network's range: noise of amplitude a there is `a · factor` here.
    pub fn of_unit(self) -> f64 {
        match self {
            InputScale::Unit => 1.0,
            InputScale::Affine { std, .. } => 1.0 / std,
        }
    }
}

impl std::fmt::Display for InputScale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            InputScale::Unit => write!(f, "unit"),
            InputScale::STANDARDIZED => write!(f, "standardized"),
            InputScale::Affine { mean, std } => write!(f, "{mean},{std}"),
        }
    }
}

impl std::str::FromStr for InputScale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unit" => Ok(InputScale::Unit),
            "standardized" => Ok(InputScale::STANDARDIZED),
            _ => {
                let (mean, std) = text
                    .split_once(',')
                    .and_then(|(mean, std)| Some((mean.trim().parse().ok()?, std.trim().parse().ok()?)))
                    .filter(|(mean, std): &(f64, f64)| mean.is_finite() && std.is_finite() && *std > 0.0)
                    .ok_or_else(|| {
                        format!(
                            "input scaling '{text}' is neither unit, standardized nor MEAN,STD with STD > 0"
                        )
                    })?;
                Ok(InputScale::Affine { mean, std })
            }
        }
    }
}

/// Which split of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Which {
    /// 60,000 samples of MNIST.
    Train,
    /// 10,000 samples of MNIST.
    Test,
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A known name: `mnist`, `fashion-mnist`, or `sample`, the subset built into the program's repository.
    Named(String),
    /// A folder with IDX files, raw or gzipped.
    Folder(PathBuf),
}
