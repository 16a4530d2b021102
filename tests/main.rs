//! All integration tests but those of a card (`tests/cuda.rs`), one program: one module per operation, analysis or
//! command.

/// Runs each `fn test<B: Backend>(backend: &B)` here on the CPU, and in `tests/cuda.rs` on a card.
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        mod cpu {
            $(#[test] fn $test() { crate::common::cpu(super::$test) })+
        }
    };
}

/// Runs each `fn test<B: Backend>(backend: &B, precision: Precision)` here on the CPU, and in `tests/cuda.rs` on a card
/// in every precision.
macro_rules! on_each_precision {
    ($($test:ident),+ $(,)?) => {
        mod cpu_precise {
            use netdyn::backend::Precision;
            $(#[test] fn $test() { crate::common::cpu(|cpu| super::$test(cpu, Precision::F32)) })+
        }
    };
}

/// Runs each `fn test<B: Backend>(backend: &B)` on the CPU alone: what needs f64.
macro_rules! on_cpu {
    ($($test:ident),+ $(,)?) => {
        mod cpu_only {
            $(#[test] fn $test() { crate::common::cpu(super::$test) })+
        }
    };
}

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
mod finite_differences;
mod forward;
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
mod snapshot;
mod sparse_pixels;
mod tidy;
mod torch_start;
mod trajectory;
mod update;
