//! The training runs behind figures: each is trained once, kept, and continued where it stopped.

use super::measurement::{Measurement, measure};
use super::probes::NetworkProbes;
use crate::backend::{Backend, Choice, Job, Real, with};
use crate::data::Split;
use crate::store::{Manifest, RunDir, Status};
use crate::train::{Config, Control, Data, now, run};
use crate::{Error, Result};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::path::Path;

/// A run some figure needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Name within the figure family: `tanh-600`.
    pub name: String,
    /// Everything it depends on but the seed; resolved.
    pub config: Config,
    /// What is measured when it is finished.
    pub after: Vec<Measurement>,
}

impl Plan {
    /// The same run with more to measure when it is finished.
    pub fn measuring(mut self, after: impl IntoIterator<Item = Measurement>) -> Plan {
        self.after.extend(after);
        self
    }
}

/// Finished runs by name, one directory per seed, and the data they were trained on.
pub struct Runs<'a> {
    /// The whole training set.
    pub train: &'a Split,
    /// The test set.
    pub test: &'a Split,
    runs: Vec<(String, Vec<RunDir>)>,
}

impl<'a> Runs<'a> {
    /// No runs yet.
    pub fn new(train: &'a Split, test: &'a Split) -> Self {
        Runs { train, test, runs: vec![] }
    }

    /// Adds a finished run with its repetitions.
    pub fn add(&mut self, name: &str, seeds: Vec<RunDir>) {
        self.runs.push((name.to_owned(), seeds));
    }

    /// The repetitions of a run.
    pub fn of(&self, name: &str) -> Result<&[RunDir]> {
        let found = self.runs.iter().find(|(known, _)| known == name);
        found.map(|(_, dirs)| &dirs[..]).ok_or_else(|| Error::Failed(format!("run {name} is not there")))
    }

    /// A measurement of a run, one for each repetition that has such a snapshot.
    pub fn found<T: for<'d> Deserialize<'d>>(&self, name: &str, what: &Measurement) -> Result<Vec<T>> {
        let results = self.of(name)?.iter().map(|dir| what.result(dir));
        Ok(results.collect::<Result<Vec<Option<T>>>>()?.into_iter().flatten().collect())
    }

    /// Wall time of the runs with these names, all repetitions: seconds of training and of measuring.
    pub fn seconds(&self, names: &[String]) -> Result<[f64; 2]> {
        let mut sum = [0.0; 2];
        for (_, dirs) in self.runs.iter().filter(|(name, _)| names.contains(name)) {
            for dir in dirs {
                let seconds = dir.manifest()?.map_or([0.0; 2], |manifest| manifest.seconds);
                sum = [sum[0] + seconds[0], sum[1] + seconds[1]];
            }
        }
        Ok(sum)
    }
}

/// Where a run of this configuration stands below `out`: its name, and eight digits of the configuration's
/// SHA-256, so that a changed setting never meets the results of another.
pub fn folder(out: &Path, name: &str, config: &Config) -> std::path::PathBuf {
    out.join("runs").join(format!("{name}-seed{}-{}", config.seed, digest(&config.to_toml())))
}

/// Eight digits of a SHA-256.
pub fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the run in `folder` is finished.
pub fn is_done(folder: &Path) -> Result<bool> {
    let manifest = RunDir::at(folder).manifest()?;
    Ok(manifest.is_some_and(|manifest| manifest.status == Status::Done))
}

/// The finished run of `config` (resolved), trained and measured now as far as that was not done yet.
pub fn ensure(
    choice: Choice,
    plan: &Plan,
    config: &Config,
    data: &Data<'_>,
    out: &Path,
    control: &dyn Control,
) -> Result<RunDir> {
    let folder = folder(out, &plan.name, config);
    let done = is_done(&folder)?;
    let dir = RunDir::create(&folder)?;
    match done {
        true => control.say(&format!("{}: done before", plan.name)),
        false => drop(train(choice, config, data, &dir, control)?),
    }
    let limited = limited(config, data.train);
    let data = Data { train: limited.as_ref().unwrap_or(data.train), test: data.test };
    measure(choice, &plan.after, config, &data, &dir, control)?;
    Ok(dir)
}

/// The part of the training set that a run takes, if it is not the whole.
fn limited(config: &Config, train: &Split) -> Option<Split> {
    let limit = config.data.limit;
    (limit != 0 && limit < train.len()).then(|| train.first(limit))
}

/// Trains `config` (resolved) in `dir`, with the probes it asks for, from the newest checkpoint if there is
/// one. Answers the finished manifest.
pub fn train(
    choice: Choice,
    config: &Config,
    data: &Data<'_>,
    dir: &RunDir,
    control: &dyn Control,
) -> Result<Manifest> {
    let limited = limited(config, data.train);
    let data = Data { train: limited.as_ref().unwrap_or(data.train), test: data.test };
    with(choice.computing(&config.train.precision)?, Training { config, data, dir, control })
}

struct Training<'a> {
    config: &'a Config,
    data: Data<'a>,
    dir: &'a RunDir,
    control: &'a dyn Control,
}

impl Job for Training<'_> {
    type Output = Manifest;

    fn run<B: Backend>(self, backend: &B) -> Result<Manifest> {
        match self.config.train.precision.as_str() {
            "f64" => self.precise::<B, f64>(backend),
            _ => self.precise::<B, f32>(backend),
        }
    }
}

impl Training<'_> {
    fn precise<B: Backend, R: Real>(self, backend: &B) -> Result<Manifest> {
        let name = self.dir.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let mut probes = NetworkProbes::new(self.config, name.unwrap_or_default());
        let fresh = manifest(backend, self.config, &self.data);
        let manifest = match self.dir.manifest()? {
            Some(earlier) => resumed(earlier, fresh),
            None => fresh,
        };
        run::<B, R>(backend, self.config, &self.data, self.dir, manifest, &mut probes, self.control)
    }
}

/// The manifest of a run that goes on, perhaps on another processor.
fn resumed(earlier: Manifest, now: Manifest) -> Manifest {
    let also = |earlier: String, now: String| match earlier.split(", then ").last() == Some(&now) {
        true => earlier,
        false => format!("{earlier}, then {now}"),
    };
    Manifest {
        device: also(earlier.device, now.device),
        driver: now.driver.or(earlier.driver),
        status: Status::Running,
        end: None,
        ..earlier
    }
}

/// The manifest of a run that begins now.
fn manifest<B: Backend>(backend: &B, config: &Config, data: &Data<'_>) -> Manifest {
    let checksums = |split: &Split| split.sha256.clone();
    Manifest {
        schema: "netdyn/run/1".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: crate::commit().map(str::to_owned),
        device: backend.name(),
        driver: backend.driver(),
        threads: backend.threads(),
        precision: config.train.precision.clone(),
        data: config.data.name.clone(),
        sha256: checksums(data.train)
            .into_iter()
            .chain(data.test.map(checksums).into_iter().flatten())
            .collect(),
        seed: config.seed,
        start: now(),
        end: None,
        seconds: [0.0; 2],
        step: 0,
        status: Status::Running,
    }
}
