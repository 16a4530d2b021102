//! What a download says while it runs; drawing it is the caller's affair.

use std::path::Path;

/// Listens to a download.
pub trait Progress {
    /// Called in order, from the thread that downloads, after every piece received: it should return soon.
    fn event(&self, event: Event<'_>);
}

/// A step of a download.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// Another process is filling the same folder of the cache; this one waits for it.
    Waiting,
    /// A source is asked: an address, or an npm package.
    Asking {
        /// The source.
        source: &'a str,
    },
    /// Bytes of a file received so far, and in all where the source says so.
    Received {
        /// Name of the file at its source.
        file: &'a str,
        /// Bytes so far, those of an earlier, interrupted attempt included.
        bytes: u64,
        /// All bytes.
        total: Option<u64>,
    },
    /// A source failed; the next is asked.
    Failed {
        /// The source.
        source: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A file with the right checksum lies in the cache.
    Stored {
        /// The file.
        path: &'a Path,
    },
}

/// Says nothing.
impl Progress for () {
    fn event(&self, _: Event<'_>) {}
}

impl<F: Fn(Event<'_>)> Progress for F {
    fn event(&self, event: Event<'_>) {
        self(event)
    }
}
