//! What a data set holds, and whether the cache still holds what was fetched.

use super::cache::Cache;
use super::{Source, Split, Which, catalog, folder, sample};
use crate::error::{Error, Result};
use std::path::PathBuf;

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Name or folder.
    pub name: String,
    /// Where it lies: a folder, or `part of the program`.
    pub place: String,
    /// The splits that are there, training set first.
    pub splits: Vec<SplitInfo>,
}

/// What a split holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitInfo {
    /// Which split.
    pub which: Which,
    /// Number of samples.
    pub samples: usize,
    /// Pixels of an image.
    pub pixels: usize,
    /// Number of classes.
    pub classes: usize,
    /// \[classes\]: samples of each.
    pub per_class: Vec<usize>,
    /// SHA-256 of the two raw files, images then labels, hexadecimal.
    pub sha256: [String; 2],
}

/// One file of the cache against its known checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The file.
    pub file: PathBuf,
    /// SHA-256 it should have, hexadecimal.
    pub expected: String,
    /// SHA-256 it has; none where it is not there.
    pub found: Option<String>,
}

impl Check {
    /// Whether the file is there and right.
    pub fn is_right(&self) -> bool {
        self.found.as_ref() == Some(&self.expected)
    }
}

/// What a data set holds, read from where it lies; nothing is fetched.
pub fn info(source: &Source) -> Result<Info> {
    match source {
        Source::Named(name) if name == sample::NAME => {
            report(source, "part of the program".to_owned(), |which| sample::load(which).map(Some))
        }
        Source::Named(name) => {
            let (known, cache) = (catalog::find(name)?, Cache::from_env()?);
            report(source, cache.folder(known).display().to_string(), |which| {
                cache.has(known, which).then(|| cache.load(known, which)).transpose()
            })
        }
        Source::Folder(folder) => report(source, folder.display().to_string(), |which| {
            folder::find(folder, which)?.map(|_| folder::load(folder, which)).transpose()
        }),
    }
}

/// The files of a known data set in the cache against their checksums; what is missing or wrong is for the caller to say.
pub fn verify(name: &str) -> Result<Vec<Check>> {
    let (known, cache) = (catalog::find(name)?, Cache::from_env()?);
    let check = |file: &catalog::Remote| {
        let found = cache.checksum(known, file)?;
        Ok(Check { file: cache.path(known, file), expected: file.sha256.to_owned(), found })
    };
    known.files.iter().map(check).collect()
}

fn report(source: &Source, place: String, load: impl Fn(Which) -> Result<Option<Split>>) -> Result<Info> {
    let mut splits = Vec::new();
    for which in [Which::Train, Which::Test] {
        splits.extend(load(which)?.map(|split| SplitInfo {
            which,
            samples: split.len(),
            pixels: split.pixels,
            classes: split.classes,
            per_class: split.per_class(),
            sha256: split.sha256,
        }));
    }
    if splits.is_empty() {
        let what = match source {
            Source::Named(name) => {
                format!("{name} is not in the cache; bring it with `netdyn data fetch {name}`")
            }
            Source::Folder(_) => {
                "holds no IDX files of a training or test set; choose another folder".to_owned()
            }
        };
        return Err(Error::file(place.as_ref(), what));
    }
    Ok(Info { name: source.to_string(), place, splits })
}
