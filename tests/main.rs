//! All integration tests, one program: one module per operation, analysis or command.

mod atomic;
mod common;
mod network_file;
mod torch_start;
mod trajectory;
