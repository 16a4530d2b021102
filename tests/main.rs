//! All integration tests, one program: one module per operation, analysis or command.

mod common;
mod host;
mod reference;

mod accuracy;
mod activate;
mod add_scaled;
mod atomic;
mod basin;
mod basin_size;
mod batch_norm;
mod class_sums;
mod cli;
mod cli_analyze;
mod cli_train;
mod cones;
mod config;
mod data;
#[cfg(feature = "download")]
mod download;
mod figures;
mod geometry;
mod gram;
mod idx;
mod linalg;
mod linear;
mod linear_backward;
mod lmap;
mod loss;
mod moments;
mod network_file;
mod network_names;
mod network_refused;
mod normals;
mod norms;
#[cfg(feature = "download")]
mod npm;
mod perceptron;
mod phase;
mod predict;
mod projection;
mod prune;
mod rank_mass;
mod reference_analyses;
mod report;
mod rpd;
mod tidy;
mod torch_start;
mod trajectory;
mod update;
