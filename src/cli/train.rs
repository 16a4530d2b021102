//! `netdyn train`

use super::common::{Common, load};
use super::console::Console;
use super::lock::Lock;
use super::output;
use crate::backend::Choice;
use crate::data::{Source, Split, Which, folder};
use crate::experiment::train;
use crate::model::Layout;
use crate::store::{Manifest, Metrics, RunDir};
use crate::train::{Config, Control, Data, check_memory, disk, flops, measured_speed, memory};
use crate::{Error, Result};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};

/// Train one network, with metrics, checkpoints and analyses on a schedule.
///
/// The folder then holds config.toml, manifest.json, metrics.csv, analysis/ and checkpoints/.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn train --data sample --set model.widths=[784,100,100,10] --out run")]
pub struct Train {
    /// Settings [default: those of the run that is resumed, else a small network on MNIST].
    #[arg(value_name = "CONFIG.toml")]
    config: Option<PathBuf>,
    /// Override a setting, for example train.lr=0.01; see the file config.toml of a run for all of them.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Folder of the run.
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    /// Go on with the run in the folder, bit for bit; more steps, other probes and checkpoints are allowed.
    #[arg(long)]
    resume: bool,
    /// Stop after this time with the state saved (exit code 75), for example 2h30m.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_time: Option<Duration>,
    /// Print resolved settings, parameters, memory, what is left to do and the time it takes, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Train {
    pub fn run(self, common: &Common) -> Result<()> {
        let console =
            common.console().resumable(self.max_time, "run the same command with --resume to go on");
        let earlier = self.out.as_deref().map(Earlier::read).transpose()?.unwrap_or_default();
        self.check_folder(&earlier)?;
        let config = self.parse(common, earlier.config.as_deref())?;
        let processor = common.processor_for(&config.train.precision)?;
        console.say(&processor.line);
        let (training, test) = load_both(&Source::parse(&config.data.name)?, &console)?;
        let config = config.resolve(training.len(), training.pixels, training.classes)?;
        let data = Data { train: &training, test: test.as_ref() };
        earlier.check(&config, &data)?;
        let plan = plan(&config, training.len(), earlier.step, processor.choice)?;
        if self.dry_run {
            return output::print(&format!("{}\n{plan}\n", config.to_toml()));
        }
        let Some(out) = self.out else { return Err(Error::Usage("--out DIR is missing".into())) };
        check_memory(processor.choice, &[&config], 1, training.len())?;
        let _lock = Lock::take(&out)?;
        let dir = RunDir::create(&out)?;
        console.say(&plan);
        let manifest = train(processor.choice, &config, &data, &dir, &console)?;
        console.end();
        output::print(&summary(&manifest, &dir)?)
    }

    /// Refuses a folder that holds a run nobody asked to go on with.
    fn check_folder(&self, earlier: &Earlier) -> Result<()> {
        match &self.out {
            Some(out) if out.exists() && !out.is_dir() => RunDir::create(out).map(drop),
            Some(out) if self.resume && earlier.config.is_none() => {
                Err(Error::Usage(format!("{} holds no run to go on with; leave out --resume", out.display())))
            }
            Some(out) if earlier.config.is_none() && holds_files(out) => Err(Error::Usage(format!(
                "{} holds files but no run; choose an empty or a new folder",
                out.display()
            ))),
            Some(out) if !self.resume && earlier.config.is_some() => Err(Error::Usage(format!(
                "{} holds a run: add --resume to go on with it, or choose another folder",
                out.display()
            ))),
            _ => Ok(()),
        }
    }

    /// The configuration of file and options; `stored` is that of the run to be resumed.
    fn parse(&self, common: &Common, stored: Option<&str>) -> Result<Config> {
        let (mut text, origin) = match (&self.config, stored) {
            (Some(path), _) => {
                let what =
                    |error| Error::Usage(format!("cannot read the settings {}: {error}", path.display()));
                (fs::read_to_string(path).map_err(what)?, path.display().to_string())
            }
            (None, Some(stored)) => (stored.to_owned(), "the stored config.toml".to_owned()),
            (None, None) => (String::new(), "--set".to_owned()),
        };
        if self.config.is_none() && self.sets.iter().any(|set| set.trim_start().starts_with("train.epochs")) {
            // What is stored is resolved to steps, which would contradict the epochs asked for.
            let mut config = Config::parse(&text, &origin, &[])?;
            config.train.steps = None;
            text = config.to_toml();
        }
        let quoted = |text: &str| Value::String(text.to_owned()).to_string();
        let mut sets = self.sets.clone();
        sets.extend(common.seed.map(|seed| format!("seed={seed}")));
        sets.extend(common.data.as_deref().map(|name| format!("data.name={}", quoted(name))));
        sets.extend(common.precision_given().map(|name| format!("train.precision={}", quoted(&name))));
        Config::parse(&text, &origin, &sets)
    }
}

/// Whether a folder holds anything that a new run could overwrite.
fn holds_files(folder: &Path) -> bool {
    let visible = |entry: fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    fs::read_dir(folder).is_ok_and(|entries| entries.flatten().any(visible))
}

/// What the folder holds of a run.
#[derive(Default)]
struct Earlier {
    folder: PathBuf,
    config: Option<String>,
    manifest: Option<Manifest>,
    /// Updates behind the newest checkpoint; the manifest of a run that was killed does not know them.
    step: u64,
}

impl Earlier {
    fn read(folder: &Path) -> Result<Earlier> {
        if !folder.is_dir() {
            return Ok(Earlier::default());
        }
        let dir = RunDir::at(folder);
        let config = dir.config()?;
        let step = if config.is_some() { dir.checkpoints()?.last().copied().unwrap_or(0) } else { 0 };
        Ok(Earlier { folder: folder.to_owned(), config, manifest: dir.manifest()?, step })
    }

    /// Refuses to go on with other settings or data than those of the run.
    fn check(&self, config: &Config, data: &Data<'_>) -> Result<()> {
        let Some(stored) = &self.config else { return Ok(()) };
        let folder = self.folder.display();
        let stored = Config::parse(stored, &format!("{folder}/config.toml"), &[])?;
        if let Some((key, then, now)) = first_difference(&flat(&stored), &flat(config)) {
            return Err(Error::Usage(format!(
                "{folder}: the run there has {key} = {then}, not {now}; resume it as it is, or choose another folder"
            )));
        }
        if config.steps() < self.step {
            return Err(Error::Usage(format!(
                "{folder}: train.steps = {}, but {} are done; ask for more, or choose another folder",
                config.steps(),
                self.step
            )));
        }
        let now: Vec<&String> =
            data.train.sha256.iter().chain(data.test.into_iter().flat_map(|test| &test.sha256)).collect();
        match &self.manifest {
            Some(manifest) if manifest.sha256.iter().collect::<Vec<_>>() != now => Err(Error::file(
                Path::new(&config.data.name),
                format!("other samples than those the run in {folder} began with (SHA-256); bring them back"),
            )),
            _ => Ok(()),
        }
    }
}

/// The settings that make a run what it is, `section.key` and value, by key.
fn flat(config: &Config) -> Vec<(String, String)> {
    let table = Table::try_from(config).unwrap_or_default();
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                all.extend(
                    section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value.to_string())),
                );
            }
            value => all.push((key, value.to_string())),
        }
    }
    all.retain(|(key, _)| {
        key != "train.steps" && !key.starts_with("probe.") && !key.starts_with("checkpoint.")
    });
    all.sort();
    all
}

/// The first key whose value differs, with both values.
fn first_difference<'a>(
    then: &'a [(String, String)],
    now: &'a [(String, String)],
) -> Option<(&'a str, &'a str, &'a str)> {
    let value = |all: &'a [(String, String)], key: &str| {
        all.iter().find(|(known, _)| known == key).map_or("nothing", |(_, value)| value.as_str())
    };
    let keys = then.iter().chain(now).map(|(key, _)| key.as_str());
    keys.map(|key| (key, value(then, key), value(now, key))).find(|(_, then, now)| then != now)
}

/// The training set, and the test set if there is one.
fn load_both(source: &Source, console: &Console) -> Result<(Split, Option<Split>)> {
    let training = load(source, Which::Train, console)?;
    let no_test = match source {
        Source::Folder(folder) => folder::find(folder, Which::Test)?.is_none(),
        Source::Named(_) => false,
    };
    let test = if no_test { None } else { Some(load(source, Which::Test, console)?) };
    Ok((training, test))
}

/// What is left to do of a run, `done` of whose updates are stored, and what it takes.
fn plan(config: &Config, samples: usize, done: u64, choice: Choice) -> Result<String> {
    let (steps, parameters) = (config.steps(), Layout::of(&config.spec()).params);
    let left = steps.saturating_sub(done);
    let share = left as f64 / (steps.max(1)) as f64;
    // Half again for passes over memory and probes.
    let seconds = 1.5 * share * flops(config, samples) / measured_speed(choice);
    let kind = if choice.memory()?.is_some() { "GPU memory" } else { "memory" };
    Ok(format!(
        "{}: {parameters} parameters, {left} of {steps} steps to do, about {:.0} MB of {kind}, {:.1} MB on disk, {}",
        config.spec().shape(),
        (memory(config, samples) / 1e6).max(1.0),
        disk(config) / 1e6,
        humantime::format_duration(Duration::from_secs(seconds.max(1.0) as u64)),
    ))
}

/// How good the network is, how long it took, where it is.
fn summary(manifest: &Manifest, dir: &RunDir) -> Result<String> {
    let Metrics { columns, rows } = dir.metrics()?;
    let last = |name: &str| {
        let column = columns.iter().position(|column| column == name)?;
        rows.iter().rev().find_map(|row| *row.get(column)?)
    };
    let accuracy = match (last("test_accuracy"), last("train_accuracy")) {
        (Some(test), Some(train)) => format!("test accuracy {test:.4}, training accuracy {train:.4}"),
        (None, Some(train)) => format!("training accuracy {train:.4}"),
        _ => "accuracy not measured".into(),
    };
    let seconds: f64 = manifest.seconds.iter().sum();
    let place = dir.checkpoint(manifest.step);
    Ok(format!("step {}: {accuracy}, {seconds:.1} s, {}\n", manifest.step, place.display()))
}
