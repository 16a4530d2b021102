//! All integration tests, one program: one module per operation, analysis or command.

mod common;
mod torch_start;
mod trajectory;
mod data;
#[cfg(feature = "download")]
mod download;
mod idx;
