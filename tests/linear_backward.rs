//! `linear_backward` against its definition and against finite differences of a whole net.
