//! `update` against PyTorch's formulas.
