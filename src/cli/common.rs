//! The options common to all verbs, and what follows from them.

use super::console::{Console, Level, Show};
use super::device::{Device, PrecisionName, Processor};
use crate::Result;
use crate::data::{self, Source, Split, Which};
use clap::{Args, ValueEnum};

/// More threads than any machine has processors for this work would only wait for each other.
const MOST_THREADS: i64 = 1024;

#[derive(Args, Debug)]
#[command(next_help_heading = "Options common to all verbs")]
pub struct Common {
    /// Processor: auto, cpu, cuda or cuda:N; auto takes a card if one can be used, and says which.
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto")]
    device: Device,
    /// Threads of the CPU [default: RAYON_NUM_THREADS, else all processors].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MOST_THREADS))]
    threads: Option<u16>,
    /// Arithmetic [default: f32]; the CPU offers f32 and f64, CUDA all but f64.
    #[arg(long, global = true)]
    precision: Option<PrecisionName>,
    /// Key of every random number [default: 0].
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Data set: mnist, fashion-mnist, sample (built in), or a folder with IDX files [default: mnist].
    #[arg(long, global = true, value_name = "NAME|DIR")]
    pub data: Option<String>,
    /// Say nothing but errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more.
    #[arg(long, short, global = true)]
    verbose: bool,
    /// Draw no progress bar.
    #[arg(long, global = true)]
    no_progress: bool,
}

impl Common {
    /// The processor to work on, in the precision asked for.
    ///
    /// # Errors
    /// As [`Processor::choose`].
    pub fn processor(&self) -> Result<Processor> {
        self.processor_for(&self.precision_name())
    }

    /// The processor to work on in this precision.
    ///
    /// # Errors
    /// As [`Processor::choose`].
    pub fn processor_for(&self, precision: &str) -> Result<Processor> {
        let threads = self.threads();
        let processor = Processor::choose(self.device, precision, threads)?;
        // What is counted on the host beside the engine keeps to the same number. A pool that is there already is as good.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        Ok(processor)
    }

    /// Threads of the CPU.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        let wish = || {
            std::env::var("RAYON_NUM_THREADS")
                .ok()?
                .trim()
                .parse()
                .ok()
                .filter(|&n: &usize| n > 0 && n <= MOST_THREADS as usize)
        };
        self.threads.map(usize::from).or_else(wish).unwrap_or_else(all)
    }

    /// `f32` where the user does not say.
    pub fn precision_name(&self) -> String {
        self.precision_given().unwrap_or_else(|| "f32".into())
    }

    /// As the user wrote it.
    pub fn precision_given(&self) -> Option<String> {
        Some(self.precision?.to_possible_value()?.get_name().to_owned())
    }

    /// The data set, MNIST where the user does not say.
    pub fn source(&self) -> Result<Source> {
        Source::parse(self.data.as_deref().unwrap_or("mnist"))
    }

    /// Where progress is shown.
    pub fn console(&self) -> Console {
        let level = match (self.quiet, self.verbose) {
            (true, _) => Level::Quiet,
            (_, true) => Level::Verbose,
            _ => Level::Normal,
        };
        Console::new(level, if self.no_progress { Show::Lines } else { Show::Bar })
    }
}

/// Loads a split and says so.
pub fn load(source: &Source, which: Which, console: &Console) -> Result<Split> {
    let split = data::load(source, which, console)?;
    console.end();
    console.detail(&format!(
        "{source} {which}: {} samples of {} pixels, SHA-256 {} and {}",
        split.len(),
        split.pixels,
        split.sha256[0],
        split.sha256[1]
    ));
    Ok(split)
}
