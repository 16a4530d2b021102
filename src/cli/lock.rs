//! One process to a folder.

use crate::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::path::Path;

/// The right to train into a folder, given back on drop and when the process ends, however it ends.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`Error::Failed`] while another process has it; [`Error::Io`] where nothing can be written.
    pub fn take(folder: &Path) -> Result<Lock> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let path = folder.join(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(Error::io("create", &path))?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Err(Error::Failed(format!(
                "{}: another process works in this folder; wait for it or choose another with --out",
                folder.display()
            ))),
            // Some network file systems have no locks; refusing to run there would help nobody.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Lock { _file: file }),
        }
    }
}
