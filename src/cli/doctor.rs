//! `netdyn doctor`

use super::common::Common;
use super::output;
use crate::backend::cuda::{self, Card};
use crate::data::{self, cache::Cache, catalog};
use crate::{Error, Result};
use clap::Args;
use std::fs;

/// Say what is there and what is missing: devices, kernels, driver, data, versions.
///
/// For everything that is missing, the command that mends it.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn doctor")]
pub struct Doctor {}

impl Doctor {
    pub fn run(self, common: &Common) -> Result<()> {
        let mut text = String::new();
        let mut line = |name: &str, what: &str| text += &format!("{name:<10}{what}\n");
        line("program", &program());
        line("cpu", &format!("{}, {} threads, {}", processor(), common.threads(), simd()));
        line("kernels", &kernels());
        for (name, what) in cards() {
            line(&name, &what);
        }
        for (name, what) in data_sets() {
            line(name, &what);
        }
        output::print(&text)
    }
}

fn program() -> String {
    let commit = crate::commit().map_or("commit unknown".to_owned(), |commit| format!("commit {commit}"));
    let (arch, system) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("netdyn {}, {commit}, {arch}-{system}", env!("CARGO_PKG_VERSION"))
}

/// The processor by name where the system tells it.
fn processor() -> String {
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or(std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

/// The widest vector instructions that the engine will use.
#[cfg(target_arch = "x86_64")]
fn simd() -> &'static str {
    if is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        "AVX2"
    } else {
        "SSE2"
    }
}

/// The widest vector instructions that the engine will use.
#[cfg(not(target_arch = "x86_64"))]
fn simd() -> &'static str {
    "the architecture's own vectors"
}

/// What the kernels are compiled for, or what would bring some.
fn kernels() -> String {
    match cuda::kernels() {
        Ok(about) => about.to_owned(),
        Err(why) => format!("no CUDA kernels in this build, so everything runs on the CPU: {why}"),
    }
}

/// A line for the driver, and one for each card.
fn cards() -> Vec<(String, String)> {
    let release = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    // NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  ...
    let release =
        release.lines().next().and_then(|line| line.split("Module").nth(1)?.split_whitespace().next());
    let release = release.map_or(String::new(), |release| format!(", release {release}"));
    match cuda::cards() {
        Err(missing) => vec![("driver".into(), format!("{missing}{release}; the CPU needs none"))],
        Ok((version, cards)) => {
            let of_card = |card: &cuda::Card| (format!("cuda:{}", card.ordinal), about(card));
            std::iter::once(("driver".into(), version + &release)).chain(cards.iter().map(of_card)).collect()
        }
    }
}

/// What a card has, and whether it can be used.
fn about(card: &cuda::Card) -> String {
    let Card { name, capability, processors, memory, .. } = card;
    let fits = match (cuda::kernels(), card.fits()) {
        (Err(_), _) => "this build has no kernels for it".to_owned(),
        (Ok(_), Ok(())) => "the kernels run on it".to_owned(),
        (Ok(_), Err(missing)) => format!("of no use: {missing}"),
    };
    let (major, minor, memory) = (capability / 10, capability % 10, *memory as f64 / f64::from(1 << 30));
    format!(
        "{name}, compute capability {major}.{minor}, {processors} multiprocessors, {memory:.1} GiB; {fits}"
    )
}

/// A line for each data set.
fn data_sets() -> Vec<(&'static str, String)> {
    let place = match Cache::from_env() {
        Ok(cache) => cache.root.display().to_string(),
        Err(error) => error.to_string(),
    };
    let state = |name: &'static str| match data::verify(name) {
        // What is part of the program has no files to verify.
        Err(Error::Usage(_)) => format!("{name}: part of the program"),
        Err(error) => format!("{name}: {error}"),
        Ok(checks) if checks.iter().all(data::Check::is_right) => {
            let sums: Vec<&str> = checks.iter().map(|check| &check.expected[..12]).collect();
            format!("{name}: complete, checksums right ({})", sums.join(" "))
        }
        Ok(checks) => {
            let (there, all) = (checks.iter().filter(|check| check.is_right()).count(), checks.len());
            format!("{name}: {there} of {all} files; `netdyn data fetch {name}` brings the others")
        }
    };
    let sets = catalog::names().into_iter().map(|name| ("data", state(name)));
    std::iter::once(("cache", place)).chain(sets).collect()
}
