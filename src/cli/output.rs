//! Where text goes: results to stdout or a file, everything else to stderr.

use crate::store::write_atomic;
use crate::{Error, Result};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// Writes a result to stdout. A reader that has had enough (`| head`) is no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::io("write", Path::new("the standard output"))),
    }
}

/// Writes a result to a file, or to stdout for `-`.
pub fn store(path: &Path, text: &str) -> Result<()> {
    match path == Path::new("-") {
        true => print(text),
        false => write_atomic(path, |file| file.write_all(text.as_bytes())),
    }
}

/// A line on stderr; if nobody reads it, nothing is lost.
pub fn log(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Fails now where [`store`] would fail after the work.
pub fn check_writable(path: &Path) -> Result<()> {
    if path == Path::new("-") {
        return Ok(());
    }
    let there = path.exists();
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map_err(Error::io("write", path))?;
    if !there {
        std::fs::remove_file(path).map_err(Error::io("write", path))?;
    }
    Ok(())
}
