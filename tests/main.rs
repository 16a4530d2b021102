//! All integration tests, one program: one module per operation, analysis or command.

mod atomic;
mod basin;
mod basin_size;
mod common;

mod accuracy;
mod class_sums;
mod common;
mod gram;
mod host;
mod linalg;
mod lmap;
mod network_file;
mod network_file;
mod network_names;
mod network_refused;
mod normals;
mod perceptron;
mod phase;
mod prune;
mod rank_mass;
mod reference_analyses;
mod rpd;
mod torch_start;
mod trajectory;

mod activate;
mod add_scaled;
mod batch_norm;
mod data;
mod data;
#[cfg(feature = "download")]
mod download;
#[cfg(feature = "download")]
mod download;
mod idx;
mod idx;
mod linear;
mod linear_backward;
mod loss;
mod moments;
#[cfg(feature = "download")]
mod npm;
mod predict;
mod reference;
mod report;
mod update;
