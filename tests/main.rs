//! All integration tests, one program: one module per operation, analysis or command.

mod basin;
mod basin_size;
mod common;
mod torch_start;
mod trajectory;
