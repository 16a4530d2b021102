//! All integration tests, one program: one module per operation, analysis or command.

mod common;

mod class_sums;
mod gram;
mod linalg;
mod normals;
mod rank_mass;
mod torch_start;
mod trajectory;
