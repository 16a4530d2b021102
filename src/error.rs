//! The one error type: every variant says what happened, where, and what to do about it.
//!
//! The exit codes are a contract with scripts; they are decided here and nowhere else.

use std::path::{Path, PathBuf};

/// Result of everything in the crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something failed. `Display` is one sentence for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A wrong command line or configuration value: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A data set or network file that is missing or corrupt: exit code 3.
    #[error("{}: {what}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong, where in the file, and what to do.
        what: String,
    },
    /// Buffers that do not fit the description of an operation: a defect of the caller, exit code 1.
    #[error("{op}: {what}")]
    Shape {
        /// Name of the operation.
        op: &'static str,
        /// Description and lengths.
        what: String,
    },
    /// A device that is absent or unusable: exit code 4.
    #[error("{0}")]
    Device(String),
    /// More memory of a device than it has left: exit code 4.
    #[error(
        "out of memory on {device}: {} MiB more were needed, {} of {} MiB are free; {advice}",
        needed.div_ceil(1 << 20), free >> 20, total >> 20
    )]
    Memory {
        /// Its name.
        device: String,
        /// Bytes of the allocation that failed.
        needed: usize,
        /// Bytes that nobody holds.
        free: usize,
        /// Bytes in all.
        total: usize,
        /// What to do; see [`Error::advise`].
        advice: String,
    },
    /// Training met a NaN or an infinity: exit code 5.
    #[error(
        "training stopped at step {step}: {tensor} of layer {layer} is not finite; {kept}; \
         lower train.lr or check the input scaling"
    )]
    NonFinite {
        /// The update that was not done.
        step: u64,
        /// Number of the layer, as in the papers.
        layer: usize,
        /// What in the layer.
        tensor: String,
        /// Where the last good state is.
        kept: String,
    },
    /// Something went wrong while reading or writing: exit code 1.
    #[error("cannot {doing} {}: {source}{}", path.display(), remedy(source))]
    Io {
        /// A verb: read, write, create.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The state is saved and the same command continues: exit code 75.
    #[error("{0}")]
    Again(String),
    /// A signal ended the run after its state was saved: exit code 128 + signal.
    #[error("stopped by {}; {saved}", signal_name(*signal))]
    Interrupted {
        /// Its number.
        signal: i32,
        /// What was saved, and how to go on.
        saved: String,
    },
    /// Anything else that failed while running: exit code 1.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// A closure for `map_err` that names what was being done to which path.
    pub fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { doing, path, source }
    }

    /// A defect of a data or network file.
    pub fn file(file: &Path, what: impl Into<String>) -> Error {
        Error::File { file: file.to_owned(), what: what.into() }
    }

    /// The same error; where memory ran out, with what to do about it in the work at hand.
    pub fn advise(self, advice: impl FnOnce() -> String) -> Error {
        match self {
            Error::Memory { device, needed, free, total, .. } => {
                Error::Memory { device, needed, free, total, advice: advice() }
            }
            other => other,
        }
    }

    /// The process exit code of the contract.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::File { .. } => 3,
            Error::Device(_) | Error::Memory { .. } => 4,
            Error::NonFinite { .. } => 5,
            Error::Again(_) => 75,
            Error::Interrupted { signal, .. } => 128 + *signal as u8,
            Error::Shape { .. } | Error::Io { .. } | Error::Failed(_) => 1,
        }
    }
}

fn signal_name(signal: i32) -> String {
    match signal {
        2 => "SIGINT".into(),
        15 => "SIGTERM".into(),
        other => format!("signal {other}"),
    }
}

fn remedy(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::*;
    match source.kind() {
        PermissionDenied | ReadOnlyFilesystem => "; choose a folder you may write to",
        StorageFull | QuotaExceeded => "; free some space, then run the same command again",
        _ => "",
    }
}

/// The name in `known` nearest to `name` by letters added, left out, changed or swapped; none only if nothing
/// is known.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::normalized_damerau_levenshtein(name, candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
