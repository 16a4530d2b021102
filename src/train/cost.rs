//! What a run will take: operations, memory, disk, and how fast a processor multiplies.

use super::{Config, Probe};
use crate::backend::{Backend, Choice, Field, Input, Job, Linear, Part, PartMut, with};
use crate::model::Layout;
use crate::{Error, Result};
use std::time::Instant;

/// Floating-point operations of all updates of a run (resolved) on `samples` training samples.
pub fn flops(config: &Config, samples: usize) -> f64 {
    let used = used(config, samples);
    let batch = if config.train.batch == 0 { used } else { config.train.batch };
    let widths = &config.model.widths;
    let weights: f64 = widths.windows(2).map(|w| (w[0] * w[1]) as f64).sum();
    // Forward, gradient of the weights, gradient of the inputs; the last not for the first layer.
    let per_sample = 6.0 * weights - 2.0 * (widths[0] * widths[1]) as f64;
    config.steps() as f64 * batch as f64 * per_sample
}

/// Bytes a run (resolved) leaves on disk, about: checkpoints with two moments of every parameter, snapshots, and the
/// rank distributions of every probe as JSON. What is measured afterwards comes on top.
pub fn disk(config: &Config) -> f64 {
    let parameters = word(config) * Layout::of(&config.spec()).params as f64;
    let stored = 3 * (config.checkpoint.keep + 1) + config.checkpoint.snapshots.len();
    let widths = &config.model.widths;
    let (layers, classes) = (widths.len() - 2, widths[widths.len() - 1]);
    let modes = if config.model.bn { 2 } else { 1 };
    let ranked = if config.probe.what.contains(&Probe::Rpd) { config.probed().len() * modes } else { 0 };
    let numbers = ranked * layers * (1 + classes) * config.probe.bins;
    stored as f64 * parameters + NUMBER * numbers as f64
}

/// Bytes of a number in the JSON of rank distributions, with what stands around it.
const NUMBER: f64 = 32.0;

/// Bytes a run (resolved) holds at its peak: data, parameters, fields of a batch, and a full pass of the probes.
pub fn memory(config: &Config, samples: usize) -> f64 {
    let used = used(config, samples);
    let batch = if config.train.batch == 0 { used } else { config.train.batch };
    let widths = &config.model.widths;
    let word = word(config);
    let weights: f64 = widths.windows(2).map(|w| (w[0] * w[1]) as f64).sum();
    let fields: f64 = widths[1..].iter().map(|n| *n as f64).sum();
    let widest = widths[1..].iter().max().map_or(0.0, |n| *n as f64);
    let data = (samples + used) as f64 * widths[0] as f64;
    data + word * (4.0 * weights + batch as f64 * (fields + 2.0 * widest) + 2.0 * used as f64 * widest)
}

/// Refuses runs (resolved) of which some, `jobs` at a time, may need more memory than their processor has, where that is
/// known.
///
/// # Errors
/// [`Error::Device`] with both numbers.
pub fn check_memory(choice: Choice, configs: &[&Config], jobs: usize, samples: usize) -> Result<()> {
    let mut needed: Vec<(f64, &Config)> =
        configs.iter().map(|config| (memory(config, samples), *config)).collect();
    needed.sort_by(|a, b| b.0.total_cmp(&a.0));
    needed.truncate(jobs);
    let total: f64 = needed.iter().map(|(bytes, _)| bytes).sum();
    let card = choice.memory()?.map(|bytes| bytes as f64);
    let Some(installed) = card.or_else(installed_memory).filter(|installed| total > *installed) else {
        return Ok(());
    };
    let shape = needed[0].1.spec().shape();
    let (what, advice) = match needed.len() {
        1 => (shape, "smaller model.widths or train.batch"),
        _ => (format!("{shape}, with {} runs beside it,", needed.len() - 1), "fewer --jobs"),
    };
    Err(Error::Device(format!(
        "{what} takes {:.1} GB of memory and there are {:.1}; choose {advice}",
        total / 1e9,
        installed / 1e9
    )))
}

/// Bytes of main memory, where `/proc/meminfo` says it.
fn installed_memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| 1024.0 * kib)
}

/// Bytes of a number in memory.
fn word(config: &Config) -> f64 {
    if config.train.precision == "f64" { 8.0 } else { 4.0 }
}

fn used(config: &Config, samples: usize) -> usize {
    if config.data.limit == 0 { samples } else { config.data.limit }
}

/// FLOP/s of a processor's matrix product, from a few milliseconds of it; a guess where even that fails.
pub fn measured_speed(choice: Choice) -> f64 {
    with(choice, Speed).unwrap_or(5e10)
}

struct Speed;

impl Job for Speed {
    type Output = f64;

    fn run<B: Backend>(self, backend: &B) -> Result<f64> {
        const LARGE: Linear = Linear { rows: 2048, inputs: 512, outputs: 512 };
        const SMALL: Linear = Linear { rows: 128, ..LARGE };
        let x = backend.upload(&vec![0.5f32; LARGE.rows * LARGE.inputs])?;
        let weight = backend.upload(&vec![0.25f32; LARGE.inputs * LARGE.outputs])?;
        let mut z = backend.zeros::<f32>(LARGE.rows * LARGE.outputs)?;
        let mut product = |desc: Linear| -> Result<f64> {
            let field = Field { z: Part::new(&x, 0, desc.rows * desc.inputs), noise: None, norm: None };
            let weight = Part::new(&weight, 0, desc.inputs * desc.outputs);
            let out = PartMut::new(&mut z, 0, desc.rows * desc.outputs);
            let clock = Instant::now();
            backend.linear(desc, &Input::plain(field), weight, None, out, None, None)?;
            backend.download(Part::new(&z, 0, 1))?; // waits
            Ok(2.0 * (desc.rows * desc.inputs * desc.outputs) as f64 / clock.elapsed().as_secs_f64())
        };
        product(SMALL)?; // loads what has to be loaded
        let small = product(SMALL)?;
        if small < 1e9 {
            return Ok(small); // more would take too long
        }
        (0..3).try_fold(small, |best, _| Ok(best.max(product(LARGE)?)))
    }
}
