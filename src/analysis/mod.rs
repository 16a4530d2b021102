//! A network and a data set in, numbers out: the definitions of the papers.
//!
//! Nothing here reads or writes files. Layers are numbered as in paper A: input 1, first hidden layer 2.

mod document;
mod accuracy;
mod linalg;
mod lmap;
mod basin;
mod cones;
mod geometry;
mod linalg;
mod norms;
mod options;
mod perceptron;
mod phase;
mod prune;
mod rpd;
mod plane;
mod projection;

pub use document::Document;
pub use accuracy::*;
pub use lmap::*;
pub use basin::{Basin, ClassBasin, Point, SampleBasin, Size, basin, basin_size};
pub use cones::*;
pub use geometry::*;
pub use norms::*;
pub use options::*;
pub use perceptron::*;
pub use phase::*;
pub use prune::*;
pub use rpd::*;
pub use projection::*;
