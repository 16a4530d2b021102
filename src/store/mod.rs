//! Everything the program keeps: atomic writes, run directories, figure files.

mod figure;

pub use figure::*;
