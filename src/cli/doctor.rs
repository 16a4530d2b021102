//! `netdyn doctor`

use super::common::Common;
use super::output;
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
        line("kernels", "no CUDA kernels in this build: everything runs on the CPU");
        line("driver", &driver());
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

fn driver() -> String {
    let about = fs::read_to_string("/proc/driver/nvidia/version").unwrap_or_default();
    about.lines().next().map_or("no NVIDIA driver found; the CPU needs none".into(), str::to_owned)
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
