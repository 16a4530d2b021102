//! Data sets: labelled grey-scale images as bytes, from a folder, the cache or the network.

pub mod cache;
pub mod catalog;
pub mod fetch;
pub mod folder;
#[cfg(feature = "download")]
pub mod http;
pub mod idx;
mod info;
#[cfg(feature = "download")]
mod mirrors;
#[cfg(feature = "download")]
pub mod npm;
pub mod progress;
mod sample;
mod scale;
mod split;

pub use info::{Check, Info, SplitInfo, info, verify};
pub use progress::{Event, Progress};
pub use scale::InputScale;

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// Loads one split. A known data set that is not in the cache yet is fetched first.
///
/// Fails with [`Error::File`] where the data are missing or corrupt, naming file and offset.
pub fn load(source: &Source, which: Which, progress: &dyn Progress) -> Result<Split> {
    match source {
        Source::Named(name) if name == sample::NAME => sample::load(which),
        Source::Named(name) => {
            let (known, cache) = (catalog::find(name)?, cache::Cache::from_env()?);
            if !cache.has(known, which) {
                fetch::fetch(known, &cache, progress)?;
            }
            cache.load(known, which)
        }
        Source::Folder(folder) => folder::load(folder, which),
    }
}

/// Brings a known data set into the cache, or mends what is wrong there; the folder it lies in.
pub fn fetch(name: &str, progress: &dyn Progress) -> Result<PathBuf> {
    let (known, cache) = (catalog::find(name)?, cache::Cache::from_env()?);
    fetch::fetch(known, &cache, progress)?;
    Ok(cache.folder(known))
}

/// One split: `labels.len()` images of `pixels` bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// [samples, pixels], row-major.
    pub images: Vec<u8>,
    /// \[samples\], below `classes`.
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

    /// \[classes\]: samples of each class.
    pub fn per_class(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for label in &self.labels {
            counts[usize::from(*label)] += 1;
        }
        counts
    }

    /// The first `limit` samples, in file order.
    pub fn first(&self, limit: usize) -> Split {
        let len = limit.min(self.len());
        Split {
            images: self.images[..len * self.pixels].to_vec(),
            labels: self.labels[..len].to_vec(),
            pixels: self.pixels,
            classes: self.classes,
            sha256: self.sha256.clone(),
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

impl Which {
    /// The one that is not this.
    pub fn other(self) -> Which {
        match self {
            Which::Train => Which::Test,
            Which::Test => Which::Train,
        }
    }

    /// How the names of its files begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Which::Train => "train",
            Which::Test => "t10k",
        }
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Which::Train => "train",
            Which::Test => "test",
        })
    }
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A known name: `mnist`, `fashion-mnist`, or `sample`, the subset built into the program.
    Named(String),
    /// A folder with IDX files, raw or gzipped.
    Folder(PathBuf),
}

impl Source {
    /// What `--data` says: a known name, else a folder (`./mnist` for a folder of such a name).
    ///
    /// A folder that does not exist is an [`Error::File`] that names the nearest known name.
    pub fn parse(text: &str) -> Result<Source> {
        if catalog::names().contains(&text) {
            return Ok(Source::Named(text.to_owned()));
        }
        let folder = PathBuf::from(text);
        if folder.is_dir() {
            return Ok(Source::Folder(folder));
        }
        let what = if folder.exists() { "is not a folder" } else { "no such folder" };
        let names = catalog::names().join(", ");
        let what = format!(
            "{what}, nor a known data set{}; --data takes a folder with IDX files or one of {names}",
            catalog::suggestion(text)
        );
        Err(Error::file(&folder, what))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Named(name) => f.write_str(name),
            Source::Folder(folder) => write!(f, "{}", folder.display()),
        }
    }
}

/// SHA-256 of the parts one after the other, hexadecimal.
fn sha256(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
