//! Hot loops compiled for the widest vectors this processor has.

/// Runs `work` with the vector instructions found at run time.
///
/// The build targets the oldest x86-64; a loop inlined into `work` is compiled again for AVX2 and
/// AVX-512. Only the width changes: nothing is fused or reordered, so the bits are the same everywhere.
#[inline(always)]
pub(super) fn simd<T>(work: impl FnOnce() -> T) -> T {
    pulp::Arch::new().dispatch(work)
}
