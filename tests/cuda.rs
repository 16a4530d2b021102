//! The tests of the operations and analyses on a card: the same functions as on the CPU, one program that can be
//! carried to another machine.
//!
//! Without a card every test is listed as ignored, by name; `NETDYN_REQUIRE_CUDA=1` makes that a failure.
#![allow(dead_code, unused_imports, unused_macros)] // the modules hold tests for the CPU too

use libtest_mimic::{Arguments, Failed, Trial};
use netdyn::backend::{Precision, cuda::Cuda};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A test and its path.
type Case = (&'static str, &'static str, fn(&Cuda));

/// Lists each `fn test<B: Backend>(backend: &B)` for [`main`].
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        pub const ON_CUDA: &[crate::Case] = &[$((module_path!(), stringify!($test), $test)),+];
    };
}

macro_rules! on_cpu {
    ($($test:ident),+ $(,)?) => {};
}

mod common;
mod host;
mod reference;

/// Declares the modules and collects their tests.
macro_rules! modules {
    ($($module:ident),+ $(,)?) => {
        $(mod $module;)+
        const MODULES: &[&[Case]] = &[$($module::ON_CUDA),+];
    };
}

modules!(
    accuracy,
    activate,
    add_scaled,
    basin,
    batch_norm,
    class_sums,
    cones,
    forward,
    geometry,
    gram,
    linear,
    linear_backward,
    lmap,
    loss,
    moments,
    normals,
    perceptron,
    phase,
    predict,
    projection,
    prune,
    rank_mass,
    rank_sort,
    rpd,
    trajectory,
    update,
);

fn main() {
    let arguments = Arguments::from_args();
    let card = Cuda::open(0, Precision::F32);
    if let Err(why) = &card {
        assert!(std::env::var_os("NETDYN_REQUIRE_CUDA").is_none(), "NETDYN_REQUIRE_CUDA is set, but: {why}");
        eprintln!("all tests of this program are skipped: {why}");
    }
    let card = card.ok().map(Arc::new);
    let skipped = card.is_none();
    let trials = MODULES.iter().copied().flatten().map(|&(module, name, test)| {
        let card = card.clone();
        let path = format!("{}::{name}", module.trim_start_matches("cuda::"));
        let run = move || match card {
            Some(card) => {
                catch_unwind(AssertUnwindSafe(|| test(&card))).map_err(|_| Failed::without_message())
            }
            None => Err("no card".into()),
        };
        Trial::test(path, run)
    });
    let trials = trials.map(|trial| trial.with_ignored_flag(skipped)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}
