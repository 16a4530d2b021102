//! A network and a data set in, numbers out: the definitions of the papers.
//!
//! Nothing here reads or writes files. Layers are numbered as in paper A: input 1, first hidden layer 2.

mod document;
mod accuracy;
mod lmap;
mod basin;
pub mod linalg;
mod options;
mod perceptron;
mod phase;
mod prune;
mod rpd;

pub use document::Document;
pub use accuracy::*;
pub use lmap::*;
pub use basin::{Basin, ClassBasin, Point, SampleBasin, Size, basin, basin_size};
pub use options::*;
pub use perceptron::*;
pub use phase::*;
pub use prune::*;
pub use rpd::*;
