//! All integration tests, one program: one module per operation, analysis or command.

mod atomic;
mod basin;
mod basin_size;
mod common;

mod class_sums;
mod gram;
mod linalg;
mod network_file;
mod normals;
mod rank_mass;
mod network_file;
mod network_names;
mod network_refused;
mod reference_analyses;
mod accuracy;
mod common;
mod host;
mod lmap;
mod perceptron;
mod phase;
mod prune;
mod rpd;
mod torch_start;
mod trajectory;

mod activate;
mod add_scaled;
mod batch_norm;
mod data;
#[cfg(feature = "download")]
mod download;
mod idx;
mod linear;
mod linear_backward;
mod loss;
mod predict;
mod reference;
mod update;
mod data;
#[cfg(feature = "download")]
mod download;
mod idx;
#[cfg(feature = "download")]
mod npm;
mod report;
