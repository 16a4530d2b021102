//! The CPU to run on, and the one comparison every numeric test uses.
#![allow(dead_code)] // each module uses some of it

pub mod network_file;
pub mod slow;

use netdyn::Error;
use netdyn::backend::cpu::Cpu;
use netdyn::train::Control;
use std::cell::Cell;

/// Runs `test` on a CPU backend with two threads.
pub fn cpu(test: impl FnOnce(&Cpu) + Send) {
    let run = |cpu: &Cpu| {
        test(cpu);
        Ok(())
    };
    Cpu::new(2).unwrap().install(run).unwrap();
}

/// Fails at the first element off by more than `rtol * |want| + atol`, and at any NaN.
#[track_caller]
pub fn assert_close(what: &str, got: &[f64], want: &[f64], rtol: f64, atol: f64) {
    assert_eq!(got.len(), want.len(), "{what}: length");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let off = (got - want).abs();
        let close = is_within(off, rtol * want.abs() + atol);
        assert!(close, "{what}[{i}]: got {got:e}, want {want:e}, off by {off:e}");
    }
}

/// Hears nothing, and stops nothing.
pub struct Quiet;

impl Control for Quiet {
    fn stop(&self) -> Option<Error> {
        None
    }
    fn begin(&self, _: &str, _: u64) {}
    fn progress(&self, _: u64) {}
    fn say(&self, _: &str) {}
}

/// Whether an error is within its bound; NaN is not.
pub fn is_within(off: f64, limit: f64) -> bool {
    // `off > limit` would be the natural test, and would let NaN through.
    let within = off <= limit;
    let share = |(off, limit): (f64, f64)| if off == 0.0 { 0.0 } else { off / limit };
    CLOSEST.with(|closest| {
        let nearer = closest.get().is_none_or(|before| share((off, limit)) > share(before));
        if nearer || !within {
            closest.set(Some((off, limit)));
        }
    });
    within
}

thread_local! {
    /// Of the comparisons on this thread the one that came closest to its bound, or broke it: error and bound.
    static CLOSEST: Cell<Option<(f64, f64)>> = const { Cell::new(None) };
}

/// The closest comparison on this thread since the last call.
pub fn take_closest() -> Option<(f64, f64)> {
    CLOSEST.take()
}
