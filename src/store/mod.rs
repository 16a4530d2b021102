//! Everything the program keeps: atomic writes, run directories, figure files.

mod atomic;
mod figure;

pub use atomic::*;
pub use figure::*;
