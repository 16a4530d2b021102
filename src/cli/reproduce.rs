//! `netdyn reproduce`

use super::common::Common;
use super::lock::Lock;
use super::output;
use crate::experiment::{self, Request, Scale};
use crate::train::{Config, Control};
use crate::{Result, report};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Make the papers' figures: data, training, analysis, plots, claims, then report.html.
///
/// Finished runs are kept and interrupted ones go on: the same command continues wherever it stopped.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn reproduce A2a A7b --scale quick --out out")]
pub struct Reproduce {
    /// Figures (A2a), families (A2: all its panels), or all [default: A2a-A2e A7a A7b A7g S1].
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// List all figures with their settings and the time they take here, and do nothing.
    #[arg(long)]
    list: bool,
    /// Size of the runs: minutes on two processors, or the papers' own.
    #[arg(long, default_value = "quick")]
    scale: Scale,
    /// Repetitions of every run, for error bands.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Override a setting of every run, for example train.steps=100.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder of runs, figures and report.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Runs at a time; they share the threads and the memory. Small batches are done sooner this way, large ones are not.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    jobs: u64,
    /// Stop after this time with the state saved (exit code 75), for example 2h30m.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
    /// Say what is left to do and what it takes, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Reproduce {
    pub fn run(self, common: &Common) -> Result<()> {
        let processor = common.processor()?;
        if self.list {
            return output::print(&experiment::list(processor.choice, &self.out)?);
        }
        let console = common.console().resumable(self.max_time, "run the same command again to go on");
        let request = Request {
            ids: self.ids,
            scale: self.scale,
            seeds: self.seeds,
            seed: common.seed.unwrap_or(0),
            sets: self.sets,
            data: common.data.clone(),
            precision: common.precision_name(),
            out: self.out,
            jobs: self.jobs as usize,
            command: command_line(),
        };
        // What can be refused without data is refused before a folder is made.
        experiment::select(&request.ids)?;
        Config::parse("", "--set", &request.sets)?;
        console.say(&processor.line);
        if self.dry_run {
            return output::print(&(experiment::plan(processor.choice, &request, &console)? + "\n"));
        }
        let _lock = Lock::take(&request.out)?;
        let figures = experiment::reproduce(processor.choice, &request, &console, &console)?;
        console.end();
        console.say(&format!("figures: {}", figures.join(" ")));
        let page = report::build(&request.out)?;
        output::print(&format!("{}\n", page.display()))
    }
}

/// The command as it can be typed again.
fn command_line() -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+%@".contains(c);
    let quoted = |word: String| match !word.is_empty() && word.chars().all(plain) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    std::iter::once("netdyn".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
