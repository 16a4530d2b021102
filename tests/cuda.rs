//! The tests of the operations and analyses on a card: the same functions as on the CPU, one program that can be
//! carried to another machine.
//!
//! Without a card every test is listed as ignored, by name; `NETDYN_REQUIRE_CUDA=1` makes that a failure. With
//! `NETDYN_MEASURED=1` a line on stderr follows each test that compares numbers, `measured NAME ERROR BOUND`: its
//! comparison that came closest to its bound, or broke it.
#![allow(dead_code, unused_imports, unused_macros)] // the modules hold tests for the CPU too

use libtest_mimic::{Arguments, Failed, Trial};
use netdyn::backend::{Backend, Precision, cuda::Cuda};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A test and its path.
type Case = (&'static str, &'static str, fn(&Cuda));
/// The same, of a test that is told the precision of the card, and in which ones it has something to say.
type PreciseCase = (&'static str, &'static str, fn(&Cuda, Precision), &'static [Precision]);
/// One that needs the stand-in for the driver (`tests/host_cuda`), whose card is as the test wants it.
type StandInCase = (&'static str, fn());

/// Lists each `fn test<B: Backend>(backend: &B)` for [`main`].
macro_rules! on_each_backend {
    ($($test:ident),+ $(,)?) => {
        pub const ON_CUDA: &[crate::Case] = &[$((module_path!(), stringify!($test), $test)),+];
    };
}

/// Lists each `fn test<B: Backend>(backend: &B, precision: Precision)`, to be run in every precision.
macro_rules! on_each_precision {
    ($($test:ident),+ $(,)?) => {
        pub const IN_EACH_PRECISION: &[crate::PreciseCase] =
            &[$((module_path!(), stringify!($test), $test, crate::PRECISIONS)),+];
    };
}

/// Lists such tests for some precisions alone.
macro_rules! in_precisions {
    ($($test:ident: $precisions:expr),+ $(,)?) => {
        pub const IN_SOME_PRECISIONS: &[crate::PreciseCase] =
            &[$((module_path!(), stringify!($test), $test, &$precisions)),+];
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
    cuda_runtime,
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

mod cuda_cli;
mod engines;

const PRECISE: &[&[PreciseCase]] = &[
    engines::IN_EACH_PRECISION,
    engines::IN_SOME_PRECISIONS,
    forward::IN_EACH_PRECISION,
    linear::IN_EACH_PRECISION,
    linear_backward::IN_EACH_PRECISION,
];

const PRECISIONS: &[Precision] = &[Precision::F32, Precision::Tf32, Precision::Bf16, Precision::Simt];

fn main() {
    let arguments = Arguments::from_args();
    let open = || PRECISIONS.iter().map(|&precision| Ok(Arc::new(Cuda::open(0, precision)?))).collect();
    let cards: netdyn::Result<Vec<Arc<Cuda>>> = open();
    if let Err(why) = &cards {
        assert!(std::env::var_os("NETDYN_REQUIRE_CUDA").is_none(), "NETDYN_REQUIRE_CUDA is set, but: {why}");
        eprintln!("all tests of this program are skipped: {why}");
    }
    let card = |precision| {
        let at = PRECISIONS.iter().position(|&other| other == precision).unwrap();
        cards.as_ref().ok().map(|cards| cards[at].clone())
    };
    let usual = || card(Precision::F32);
    let plain =
        MODULES.iter().copied().flatten().map(|&(module, name, test)| trial(usual(), module, name, test));
    let precise = PRECISE.iter().copied().flatten().flat_map(|&(module, name, test, precisions)| {
        let in_precision = move |&precision: &Precision| {
            let name = format!("{name}::{}", precision.name());
            trial(card(precision), module, &name, move |card| test(card, precision))
        };
        precisions.iter().map(in_precision)
    });
    let stand_in = usual().filter(|card| card.name().contains("standing in for a GPU"));
    let programs = cuda_cli::ON_STAND_IN
        .iter()
        .map(|&(name, test)| trial(stand_in.clone(), "cuda::cuda_cli", name, move |_| test()));
    libtest_mimic::run(&arguments, plain.chain(precise).chain(programs).collect()).exit();
}

/// Runs `test` on the card; without one it is ignored.
fn trial(
    card: Option<Arc<Cuda>>,
    module: &str,
    name: &str,
    test: impl FnOnce(&Cuda) + Send + 'static,
) -> Trial {
    let path = format!("{}::{name}", module.trim_start_matches("cuda::"));
    let skipped = card.is_none();
    let name = path.clone();
    let run = move || {
        let card = card.ok_or("no card")?;
        common::take_closest(); // of the test before
        let done = catch_unwind(AssertUnwindSafe(|| test(&card)));
        if let Some((off, limit)) = common::take_closest()
            && std::env::var_os("NETDYN_MEASURED").is_some()
        {
            eprintln!("measured {name} {off:e} {limit:e}");
        }
        done.map_err(|_| Failed::without_message())
    };
    Trial::test(path, run).with_ignored_flag(skipped)
}
