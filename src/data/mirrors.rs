//! One file after the other from a list of mirrors, checked before it is cached.

use super::cache::Writer;
use super::catalog::{Kept, Known, Remote};
use super::http::{Client, Outcome};
use super::progress::{Event, Progress};
use super::sha256;
use crate::error::{Error, Result};
use flate2::bufread::MultiGzDecoder;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Without progress for so long, the mirrors are left for the next source.
const PATIENCE: Duration = Duration::from_secs(30);

/// The mirrors of a data set, during one fetch.
pub struct Mirrors<'a> {
    known: &'a Known<'a>,
    writer: &'a Writer,
    progress: &'a dyn Progress,
    client: Client,
    reasons: Vec<String>,
}

impl<'a> Mirrors<'a> {
    /// All mirrors, not asked yet.
    pub fn new(known: &'a Known<'a>, writer: &'a Writer, progress: &'a dyn Progress) -> Self {
        Mirrors { known, writer, progress, client: Client::new(PATIENCE), reasons: Vec::new() }
    }

    /// Caches `file` from the first mirror that has it whole; false if none has.
    pub fn get(&mut self, file: &Remote) -> Result<bool> {
        let part = self.writer.path(&file.part_name());
        let limit = match file.kept {
            Kept::Gzip => file.bytes,
            // Deflate adds a little to what it cannot compress.
            Kept::Raw => file.bytes + file.bytes / 1000 + 1024,
        };
        for mirror in self.known.mirrors {
            let url = format!("{mirror}{}.gz", file.name);
            let reason = match self.get_from(&url, file, &part, limit)? {
                Ok(()) => return Ok(true),
                Err(reason) => reason,
            };
            self.progress.event(Event::Failed { source: &url, reason: &reason });
            self.reasons.push(format!("{url}: {reason}"));
        }
        Ok(false)
    }

    /// Why mirrors failed, one sentence for each time.
    pub fn into_reasons(self) -> Vec<String> {
        self.reasons
    }

    fn get_from(&mut self, url: &str, file: &Remote, part: &Path, limit: u64) -> Result<Result<(), String>> {
        let mut resumed = part.metadata().is_ok_and(|part| part.len() > 0);
        loop {
            if let Outcome::Refused(reason) = self.client.download(url, part, limit, self.progress)? {
                return Ok(Err(reason));
            }
            let contents = contents(part, file)?;
            if let Some(contents) = contents {
                let path = self.writer.store(file, &contents)?;
                self.progress.event(Event::Stored { path: &path });
                return Ok(Ok(()));
            }
            fs::remove_file(part).map_err(Error::io("remove", part))?;
            if !resumed {
                return Ok(Err("its checksum is wrong".to_owned()));
            }
            // What another mirror or an earlier attempt left may be what is wrong: once more, from the start.
            resumed = false;
        }
    }
}

/// The downloaded file in the form in which it is kept, if the checksum is right.
fn contents(part: &Path, file: &Remote) -> Result<Option<Vec<u8>>> {
    let mut contents = fs::read(part).map_err(Error::io("read", part))?;
    if file.kept == Kept::Raw {
        let mut raw = Vec::new();
        if MultiGzDecoder::new(&contents[..]).take(file.bytes + 1).read_to_end(&mut raw).is_err() {
            return Ok(None);
        }
        contents = raw;
    }
    Ok(Some(contents).filter(|contents| sha256(&[contents]) == file.sha256))
}
