//! Everything the program keeps: atomic writes, run directories, figure files.

mod atomic;
mod figure;
mod run;

pub use atomic::write_atomic;
pub use figure::*;
pub use run::*;
