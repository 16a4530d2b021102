//! Files that are either the old one or the new one, whole, at every instant.

use crate::error::{Error, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `path` so that a crash at any instant leaves the old content or the new one, never a part.
///
/// The content goes to a temporary name in the same folder, reaches the disk, and is then renamed. On any
/// failure the temporary file is removed. A symbolic link keeps pointing where it did; a device or pipe is
/// written directly.
///
/// # Errors
/// [`Error::Io`]: an unwritable or missing folder, a full disk, or what `write` answers.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = match fs::metadata(&target) {
        Ok(old) if !old.is_file() && !old.is_dir() => write_through(&target, write),
        _ => write_beside(&target, write),
    };
    written.map_err(Error::io("write", path))
}

/// For what cannot be replaced by a rename, such as `/dev/stdout`.
fn write_through(target: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(OpenOptions::new().write(true).open(target)?);
    write(&mut out)?;
    out.flush()
}

fn write_beside(target: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = target.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::IsADirectory, "not a file"))?;

    let temporary = Temporary { path: folder.join(temporary_name(&name.to_string_lossy())) };
    let mut out = BufWriter::new(OpenOptions::new().write(true).create_new(true).open(&temporary.path)?);
    write(&mut out)?;
    let file = out.into_inner().map_err(|failed| failed.into_error())?;
    file.sync_all()?;
    fs::rename(&temporary.path, target)?;
    sync_folder(folder)
}

/// Unique among the processes of a machine and the threads of a process.
fn temporary_name(name: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(".{name}.{}-{count}.tmp", std::process::id())
}

/// Whether this is the name of a temporary file of [`write_atomic`].
pub(super) fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Removes its file when dropped, which after the rename finds nothing to remove.
struct Temporary {
    path: PathBuf,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // A failure here follows one that is already being reported.
        let _ = fs::remove_file(&self.path);
    }
}

/// A rename is on disk once its folder is, where the file system can say so.
fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(why) if matches!(why.kind(), InvalidInput | PermissionDenied | Unsupported) => Ok(()),
        other => other,
    }
}
