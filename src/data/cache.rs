//! The cache: CACHE/NAME/FILE, every file complete and with the right checksum, or not there.

use super::catalog::{Known, Remote};
use super::{Split, Which, sha256, split};
use crate::error::{Error, Result};
use etcetera::BaseStrategy;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Where fetched data sets lie, and what may be used to fill it.
#[derive(Clone, Debug)]
pub struct Cache {
    /// The folder that has one folder per data set.
    pub root: PathBuf,
    /// Whether downloads are allowed.
    pub access: Access,
    /// The npm program.
    pub npm: OsString,
}

/// Whether downloads are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Mirrors and npm may be asked.
    Online,
    /// `NETDYN_OFFLINE` is set: nothing is asked.
    Offline,
}

impl Access {
    /// The meaning of a value of `NETDYN_OFFLINE`: unset, empty and `0` are online.
    pub fn of(offline: Option<&OsStr>) -> Access {
        match offline {
            Some(value) if !value.is_empty() && value != "0" => Access::Offline,
            _ => Access::Online,
        }
    }
}

impl Cache {
    /// The cache of the environment: `NETDYN_CACHE`, else `netdyn` in the user's cache folder.
    pub fn from_env() -> Result<Cache> {
        let given = std::env::var_os("NETDYN_CACHE").filter(|root| !root.is_empty()).map(PathBuf::from);
        let home = || etcetera::choose_base_strategy().ok().map(|base| base.cache_dir().join("netdyn"));
        let root = given.or_else(home).ok_or_else(|| {
            Error::Usage(
                "there is no home folder to keep data sets in: set NETDYN_CACHE to a folder".to_owned(),
            )
        })?;
        Ok(Cache { access: Access::of(std::env::var_os("NETDYN_OFFLINE").as_deref()), ..Cache::at(root) })
    }

    /// A cache in this folder, online, with the npm of the search path.
    pub fn at(root: impl Into<PathBuf>) -> Cache {
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        Cache { root: root.into(), access: Access::Online, npm: npm.into() }
    }

    /// The folder of a data set.
    pub fn folder(&self, known: &Known) -> PathBuf {
        self.root.join(known.name)
    }

    /// Where a file of a data set lies, or would.
    pub fn path(&self, known: &Known, file: &Remote) -> PathBuf {
        self.folder(known).join(file.file_name())
    }

    /// Whether both files of a split are there.
    pub fn has(&self, known: &Known, which: Which) -> bool {
        known.split(which).iter().all(|file| self.path(known, file).exists())
    }

    /// Loads a split; a file whose checksum is wrong is an [`Error::File`].
    pub fn load(&self, known: &Known, which: Which) -> Result<Split> {
        let files = known.split(which);
        let [images_file, labels_file] = files.map(|file| self.path(known, &file));
        let [images, labels] = files.map(|file| self.read(known, &file));
        split::read((&images?[..], &images_file), (&labels?[..], &labels_file))
    }

    /// SHA-256 of a cached file, none where it is not there.
    pub fn checksum(&self, known: &Known, file: &Remote) -> Result<Option<String>> {
        let path = self.path(known, file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(sha256(&[&bytes]))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn read(&self, known: &Known, file: &Remote) -> Result<Vec<u8>> {
        let path = self.path(known, file);
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        let found = sha256(&[&bytes]);
        if found != file.sha256 {
            let what = format!(
                "corrupt in the cache: {} bytes with SHA-256 {found}, expected {} bytes with {}; \
                 `netdyn data fetch {}` replaces it",
                bytes.len(),
                file.bytes,
                file.sha256,
                known.name
            );
            return Err(Error::file(&path, what));
        }
        Ok(bytes)
    }
}

/// The right to write into one folder of the cache, given back on drop.
pub struct Writer {
    folder: PathBuf,
    _lock: File,
}

impl Writer {
    /// Waits until no other process writes into `folder`; calls `waiting` once if it has to.
    pub fn wait(folder: &Path, waiting: impl FnOnce()) -> Result<Writer> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = folder.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(Error::io("create", &path))?;
        let held = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                waiting();
                lock.lock().is_ok()
            }
            // Some network file systems have no locks. Checksums and renames keep the cache whole without them too.
            Err(TryLockError::Error(_)) => false,
        };
        let writer = Writer { folder: folder.to_owned(), _lock: lock };
        if held {
            writer.sweep()?;
        }
        Ok(writer)
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A name beside the cached files for something unfinished; the next writer sweeps it away.
    pub fn temporary(&self, stem: &str) -> PathBuf {
        self.folder.join(format!(".{stem}.{}.tmp", std::process::id()))
    }

    /// Makes `bytes` the cached `file`: a reader, and a crash at any instant, finds all of it or none.
    pub fn store(&self, file: &Remote, bytes: &[u8]) -> Result<PathBuf> {
        let (path, temporary) = (self.path(&file.file_name()), self.temporary(file.name));
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            drop(file);
            fs::rename(&temporary, &path)
        });
        if let Err(error) = written {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
            return Err(Error::io("write", &path)(error));
        }
        sync_folder(&self.folder)?;
        let part = self.path(&file.part_name());
        match fs::remove_file(&part) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", &part)(error)),
            _ => Ok(path),
        }
    }

    /// Removes what a writer that died left behind.
    fn sweep(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(Error::io("read", &self.folder))? {
            let path = entry.map_err(Error::io("read", &self.folder))?.path();
            if path.extension() == Some(OsStr::new("tmp")) {
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed.map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("write", folder))
}

/// Elsewhere a folder cannot be opened to be synced, and a rename is the file system's to keep.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<()> {
    Ok(())
}
