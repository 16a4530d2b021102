//! A network and a data set in, numbers out: the definitions of the papers.
//!
//! Nothing here reads or writes files. Layers are numbered as in paper A: input 1, first hidden layer 2.

mod basin;
mod options;

pub use basin::{Basin, ClassBasin, Point, SampleBasin, Size, basin, basin_size};
pub use options::*;
