//! A folder with IDX files, as the user has it: raw or gzipped, flat or in torchvision's layout.

use super::{Split, Which, idx::Idx, split};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The two files of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Images, three dimensions.
    pub images: PathBuf,
    /// Labels, one dimension.
    pub labels: PathBuf,
}

/// Loads a split from `dir`; only the files of that split have to be there.
///
/// `classes` counts the labels of both splits where both are there, so that a network fits either.
pub fn load(dir: &Path, which: Which) -> Result<Split> {
    let Some(pair) = find(dir, which)? else { return Err(missing(dir, which)) };
    let mut split = split::read((open(&pair.images)?, &pair.images), (open(&pair.labels)?, &pair.labels))?;
    // The other split is not asked for: whatever is wrong with it is none of this one's business.
    let other = find(dir, which.other()).ok().flatten();
    let labels =
        other.and_then(|other| Idx::open(open(&other.labels).ok()?, &other.labels, 1).ok()?.read().ok());
    split.classes = split.classes.max(labels.map_or(0, |labels| split::classes(&labels.bytes)));
    Ok(split)
}

/// The files of a split in `dir`, `dir/raw` or one `dir/NAME/raw`; none where there is neither images nor labels.
///
/// Fails where only one of the two is there, or where several data sets lie below `dir`.
pub fn find(dir: &Path, which: Which) -> Result<Option<Pair>> {
    for flat in [dir.to_owned(), dir.join("raw")] {
        if let Some(pair) = pair(&flat, which)? {
            return Ok(Some(pair));
        }
    }
    let mut nested = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(Error::io("read", dir))? {
        nested.push(entry.map_err(Error::io("read", dir))?.path());
    }
    nested.sort();
    let mut found = None;
    for set in nested {
        let Some(pair) = pair(&set.join("raw"), which)? else { continue };
        if let Some((first, _)) = &found {
            let first: &PathBuf = first;
            let what = format!(
                "holds several data sets; choose one: --data {} or {}",
                first.display(),
                set.display()
            );
            return Err(Error::file(dir, what));
        }
        found = Some((set, pair));
    }
    Ok(found.map(|(_, pair)| pair))
}

fn pair(dir: &Path, which: Which) -> Result<Option<Pair>> {
    let prefix = which.prefix();
    let file = |kind: &str, rank: u8| {
        ["-", "."]
            .iter()
            .flat_map(|dot| {
                ["", ".gz"].map(|end| dir.join(format!("{prefix}-{kind}{dot}idx{rank}-ubyte{end}")))
            })
            .find(|path| path.is_file())
    };
    match (file("images", 3), file("labels", 1)) {
        (Some(images), Some(labels)) => Ok(Some(Pair { images, labels })),
        (None, None) => Ok(None),
        (Some(images), None) => Err(Error::file(
            &images,
            format!("its labels, {prefix}-labels-idx1-ubyte[.gz], are missing beside it"),
        )),
        (None, Some(labels)) => Err(Error::file(
            &labels,
            format!("its images, {prefix}-images-idx3-ubyte[.gz], are missing beside it"),
        )),
    }
}

fn missing(dir: &Path, which: Which) -> Error {
    let prefix = which.prefix();
    let wanted = format!(
        "no {prefix}-images-idx3-ubyte[.gz] and {prefix}-labels-idx1-ubyte[.gz] here, in raw/ or in NAME/raw/"
    );
    let other = match find(dir, which.other()) {
        Ok(Some(_)) => format!(" (the other split, {}, is here)", which.other()),
        _ => String::new(),
    };
    Error::file(dir, format!("{wanted}{other}; give a folder that holds them with --data"))
}

fn open(path: &Path) -> Result<BufReader<File>> {
    File::open(path).map(BufReader::new).map_err(Error::io("read", path))
}
