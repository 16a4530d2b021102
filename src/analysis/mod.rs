//! A network and a data set in, numbers out: the definitions of the papers.
//!
//! Nothing here reads or writes files. Layers are numbered as in paper A: input 1, first hidden layer 2.

mod accuracy;
mod basin;
mod cones;
mod document;
mod geometry;
pub mod linalg;
mod lmap;
mod norms;
mod options;
mod perceptron;
mod phase;
mod plane;
mod projection;
mod prune;
mod rpd;

pub use accuracy::*;
pub use basin::{Basin, ClassBasin, Point, SampleBasin, Size, basin, basin_size};
pub use cones::*;
pub use document::Document;
pub use geometry::*;
pub use lmap::*;
pub use norms::*;
pub use options::*;
pub use perceptron::*;
pub use phase::*;
pub use projection::*;
pub use prune::*;
pub use rpd::*;
