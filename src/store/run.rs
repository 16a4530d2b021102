//! A run directory: configuration, manifest, metrics, analyses, checkpoints.
//!
//! Every file but the metrics is written whole under a temporary name and renamed. The metrics grow by
//! whole rows; a row cut short by a crash is dropped when the run continues.

use super::write_atomic;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder of one training run.
#[derive(Clone, Debug)]
pub struct RunDir {
    path: PathBuf,
}

/// `manifest.json`: where the numbers of a run come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `netdyn/run/1`
    pub schema: String,
    /// Version of the program.
    pub version: String,
    /// Git commit of the program, if it was built from one.
    pub commit: Option<String>,
    /// Processor.
    pub device: String,
    /// Driver of the device; none for the CPU.
    pub driver: Option<String>,
    /// Threads of the CPU.
    pub threads: usize,
    /// As in `--precision`.
    pub precision: String,
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of the raw files that were used.
    pub sha256: Vec<String>,
    /// Key of every random number.
    pub seed: u64,
    /// RFC 3339.
    pub start: String,
    /// RFC 3339; none while it runs.
    pub end: Option<String>,
    /// Wall time of training and of probes, seconds, summed over all resumptions.
    pub seconds: [f64; 2],
    /// Updates done.
    pub step: u64,
    /// How far it is.
    pub status: Status,
}

/// The metrics of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// Column names.
    pub columns: Vec<String>,
    /// Values by row; none where a cell is empty.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Under way, or killed.
    Running,
    /// Stopped with its state saved.
    Stopped,
    /// All steps are done.
    Done,
    /// Stopped on a value that was not finite.
    NonFinite,
}

impl RunDir {
    /// The directory at `path`, made if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be made or written to.
    pub fn create(path: &Path) -> Result<RunDir> {
        for folder in ["analysis", "checkpoints", "snapshots"] {
            let folder = path.join(folder);
            fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
            remove_leftovers(&folder)?;
        }
        remove_leftovers(path)?;
        Ok(RunDir { path: path.to_owned() })
    }

    /// The directory at `path`, there or not; nothing is written.
    pub fn at(path: &Path) -> RunDir {
        RunDir { path: path.to_owned() }
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, text: &str) -> Result<()> {
        self.write("config.toml", text.as_bytes())
    }

    /// Reads `config.toml`, if there is one.
    pub fn config(&self) -> Result<Option<String>> {
        read_if_there(&self.path.join("config.toml"))
    }

    /// Writes `manifest.json`.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        self.write("manifest.json", to_json(manifest)?.as_bytes())
    }

    /// Reads `manifest.json`, if there is one.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        let path = self.path.join("manifest.json");
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let manifest = serde_json::from_str(&text);
        manifest.map(Some).map_err(|e| {
            let remedy = "remove it, and the run goes on from its newest checkpoint";
            Error::file(&path, format!("is no manifest of a run ({e}); {remedy}"))
        })
    }

    /// Writes `analysis/<what>-step-<step>.json`.
    pub fn write_analysis(&self, what: &str, step: u64, document: &impl Serialize) -> Result<()> {
        self.write_result(&at_step(what, step), document)
    }

    /// Reads an analysis of one step.
    pub fn analysis<T: for<'a> Deserialize<'a>>(&self, what: &str, step: u64) -> Result<T> {
        let missing = || Error::Failed(format!("{} has no {what} of step {step}", self.path.display()));
        self.result(&at_step(what, step))?.ok_or_else(missing)
    }

    /// Writes `analysis/<name>.json`.
    pub fn write_result(&self, name: &str, document: &impl Serialize) -> Result<()> {
        self.write(&format!("analysis/{name}.json"), to_json(document)?.as_bytes())
    }

    /// Reads `analysis/<name>.json`, if it is there.
    pub fn result<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<Option<T>> {
        let path = self.path.join(format!("analysis/{name}.json"));
        let Some(text) = read_if_there(&path)? else { return Ok(None) };
        let result = serde_json::from_str(&text);
        result.map(Some).map_err(|e| Error::file(&path, format!("is no {name} result: {e}")))
    }

    /// Whether `analysis/<name>.json` is there.
    pub fn has_result(&self, name: &str) -> bool {
        self.path.join(format!("analysis/{name}.json")).is_file()
    }

    /// Where the checkpoint of a step stands.
    pub fn checkpoint(&self, step: u64) -> PathBuf {
        self.path.join(format!("checkpoints/step-{step:08}.safetensors"))
    }

    /// Where the snapshot of this name stands.
    pub fn snapshot(&self, name: impl Display) -> PathBuf {
        self.path.join(format!("snapshots/{name}.safetensors"))
    }

    /// Steps of the stored checkpoints, ascending.
    pub fn checkpoints(&self) -> Result<Vec<u64>> {
        let folder = self.path.join("checkpoints");
        let mut steps = Vec::new();
        for entry in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
            let name = entry.map_err(Error::io("read", &folder))?.file_name();
            let number = name.to_str().and_then(|n| n.strip_prefix("step-")?.strip_suffix(".safetensors"));
            steps.extend(number.and_then(|n| n.parse::<u64>().ok()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// Removes all but the `keep` newest checkpoints.
    pub fn prune_checkpoints(&self, keep: usize) -> Result<()> {
        let steps = self.checkpoints()?;
        for &step in steps.iter().rev().skip(keep.max(1)) {
            let path = self.checkpoint(step);
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    /// Starts `metrics.csv`, or, when a run continues from `step`, keeps its rows up to there. Rows under other
    /// columns, from before the probes were changed, move to `metrics-to-step-<step>.csv`.
    pub fn start_metrics(&self, columns: &[String], step: Option<u64>) -> Result<()> {
        let header = columns.join(",");
        let mut text = header.clone() + "\n";
        if let Some(step) = step
            && let Some(old) = read_if_there(&self.path.join("metrics.csv"))?
        {
            if old.lines().next() != Some(&header) {
                self.write(&format!("metrics-to-step-{step:08}.csv"), old.as_bytes())?;
                return self.write("metrics.csv", text.as_bytes());
            }
            for row in old.lines().skip(1) {
                let whole = row.split(',').count() == columns.len();
                let before =
                    row.split(',').next().and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n <= step);
                if whole && before {
                    text += row;
                    text.push('\n');
                }
            }
        }
        self.write("metrics.csv", text.as_bytes())
    }

    /// Adds one row to `metrics.csv`.
    pub fn add_metrics(&self, row: &[String]) -> Result<()> {
        let path = self.path.join("metrics.csv");
        let mut file = fs::OpenOptions::new().append(true).open(&path).map_err(Error::io("open", &path))?;
        file.write_all((row.join(",") + "\n").as_bytes()).map_err(Error::io("write", &path))
    }

    /// All of `metrics.csv`.
    pub fn metrics(&self) -> Result<Metrics> {
        let path = self.path.join("metrics.csv");
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let mut lines = text.lines();
        let columns: Vec<String> = lines.next().unwrap_or_default().split(',').map(str::to_owned).collect();
        let rows = lines.map(|line| line.split(',').map(|cell| cell.parse().ok()).collect()).collect();
        Ok(Metrics { columns, rows })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomic(&self.path.join(name), |file| file.write_all(bytes))
    }
}

fn at_step(what: &str, step: u64) -> String {
    format!("{what}-step-{step:08}")
}

/// Removes what a killed process left of files it was writing. The folder has one writer at a time.
fn remove_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        if super::atomic::is_temporary(&path) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Pretty JSON with a final newline.
pub fn to_json(value: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(value);
    text.map(|text| text + "\n").map_err(|e| Error::Failed(format!("cannot write a result as JSON: {e}")))
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io("read", path)(e)),
    }
}
