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

/// Rows of text in columns, the first row being their heads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// As many cells each.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: &[&str]) -> Table {
        Table { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// For people: columns aligned by blanks.
    pub fn to_text(&self) -> String {
        let lines = || std::iter::once(&self.columns).chain(&self.rows);
        let width = |at: usize| lines().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut text = String::new();
        for row in lines() {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// For programs: comma-separated values.
    pub fn to_csv(&self) -> Result<String> {
        let failed = |error: csv::Error| Error::Failed(format!("cannot write a result as CSV: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in std::iter::once(&self.columns).chain(&self.rows) {
            writer.write_record(row).map_err(failed)?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.into_error().into()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}
