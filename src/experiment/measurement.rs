//! Analyses of a finished run's networks: what a figure measures once, rather than along the way.

use super::runs::digest;
use crate::analysis::{self, Document, Options, Space, View, no_progress};
use crate::backend::{Backend, Choice, Job, Real, with};
use crate::data::Which;
use crate::model::{BnMode, Net, Network, Samples};
use crate::store::{Manifest, RunDir};
use crate::train::{Config, Control, Data, Snapshot, snapshot};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Instant;

/// One analysis of one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// The network.
    pub at: Snapshot,
    /// The analysis.
    pub what: Analysis,
    /// The samples it is measured on; the run's own part of the training set.
    pub split: Which,
    /// Its choices; the seed is that of the run.
    pub options: Options,
}

/// What can be measured of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Analysis {
    /// [`analysis::accuracy()`]
    Accuracy,
    /// [`analysis::rpd()`]
    Rpd,
    /// [`analysis::lmap()`]
    Lmap,
    /// [`analysis::lp()`], fitted on the training set.
    Lp,
    /// [`analysis::basin()`]
    Basin,
    /// [`analysis::geometry()`]
    Geometry,
    /// [`ClassDistances`] of the first samples of one class.
    Distances {
        /// The class.
        class: u8,
        /// So many samples of it.
        count: usize,
    },
    /// [`analysis::project()`]
    Projection,
    /// [`analysis::cones()`] in the space of the last hidden layer.
    Cones,
}

/// 1 − cosine of single samples with the centre of their class, layer by layer. Source: paper B, Fig. 3(c).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassDistances {
    /// Layer numbers, from 1 for the input.
    pub layers: Vec<usize>,
    /// \[layer\]\[sample\]
    pub distances: Vec<Vec<f64>>,
}

impl Analysis {
    fn name(self) -> &'static str {
        match self {
            Analysis::Accuracy => "accuracy",
            Analysis::Rpd => "rpd",
            Analysis::Lmap => "lmap",
            Analysis::Lp => "lp",
            Analysis::Basin => "basin",
            Analysis::Geometry => "geometry",
            Analysis::Distances { .. } => "distances",
            Analysis::Projection => "project",
            Analysis::Cones => "cones",
        }
    }
}

impl Measurement {
    /// An analysis of a snapshot on the samples that it is usually measured on, in evaluation mode.
    pub fn new(what: Analysis, at: Snapshot) -> Measurement {
        let split = match what {
            Analysis::Accuracy | Analysis::Lmap | Analysis::Lp | Analysis::Projection => Which::Test,
            _ => Which::Train,
        };
        Measurement { at, what, split, options: Options::default() }
    }

    /// A basin: where its noise acts, its amplitudes, and the draws at each.
    pub fn basin(at: Snapshot, space: Space, amplitudes: &[f64], trials: usize) -> Measurement {
        let measurement = Measurement::new(Analysis::Basin, at);
        measurement.with(|options| {
            options.space = space;
            options.amplitudes = amplitudes.to_vec();
            options.trials = trials;
        })
    }

    /// The same on another split.
    pub fn on(self, split: Which) -> Measurement {
        Measurement { split, ..self }
    }

    /// The same in this batch-norm mode.
    pub fn in_mode(self, bn: BnMode) -> Measurement {
        self.with(|options| options.bn = bn)
    }

    /// The same on the first `limit` samples only.
    pub fn limited(self, limit: usize) -> Measurement {
        self.with(|options| options.limit = Some(limit))
    }

    /// The same with other choices.
    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Measurement {
        change(&mut self.options);
        self
    }

    /// Name of its file: what, where, and eight digits of the SHA-256 of all choices.
    fn file(&self) -> String {
        let bn = self.options.bn.name();
        format!("{}-{bn}-{}-{}", self.what.name(), self.at, digest(&format!("{self:?}")))
    }

    /// Its result in the directory of a run; none if the run has no such snapshot.
    ///
    /// # Errors
    /// [`Error::File`] for a damaged result.
    pub fn result<T: for<'a> Deserialize<'a>>(&self, dir: &RunDir) -> Result<Option<T>> {
        let document: Option<Document<T>> = dir.result(&self.file())?;
        Ok(document.map(|document| document.result))
    }

    fn is_done(&self, dir: &RunDir) -> bool {
        dir.has_result(&self.file())
    }
}

/// Measures what is not there yet of a finished run. The time it takes is added to that of the run's probes.
///
/// # Errors
/// What [`Control::stop`] answers, between two measurements; what an analysis answers.
pub fn measure(
    choice: Choice,
    measurements: &[Measurement],
    config: &Config,
    data: &Data<'_>,
    dir: &RunDir,
    control: &dyn Control,
) -> Result<()> {
    let clock = Instant::now();
    let mut left: Vec<(&Measurement, Network)> = Vec::new();
    for measurement in measurements.iter().filter(|measurement| !measurement.is_done(dir)) {
        left.extend(snapshot(dir, measurement.at)?.map(|network| (measurement, network)));
    }
    if left.is_empty() {
        return Ok(());
    }
    let done =
        with(choice.computing(&config.train.precision)?, Measuring { left, config, data, dir, control });
    if let Some(manifest) = dir.manifest()? {
        let [training, probing] = manifest.seconds;
        let seconds = [training, probing + clock.elapsed().as_secs_f64()];
        dir.write_manifest(&Manifest { seconds, ..manifest })?;
    }
    done
}

struct Measuring<'a> {
    left: Vec<(&'a Measurement, Network)>,
    config: &'a Config,
    data: &'a Data<'a>,
    dir: &'a RunDir,
    control: &'a dyn Control,
}

impl Job for Measuring<'_> {
    type Output = ();

    fn run<B: Backend>(self, backend: &B) -> Result<()> {
        match self.config.train.precision.as_str() {
            "f64" => self.precise::<B, f64>(backend),
            _ => self.precise::<B, f32>(backend),
        }
    }
}

impl Measuring<'_> {
    fn precise<B: Backend, R: Real>(&self, backend: &B) -> Result<()> {
        let train = Samples::new(backend, self.data.train)?;
        let test = self.data.test.map(|test| Samples::new(backend, test)).transpose()?;
        self.control.begin("measure", self.left.len() as u64);
        for (done, (measurement, network)) in self.left.iter().enumerate() {
            self.control.progress(done as u64);
            if let Some(stop) = self.control.stop() {
                return Err(stop);
            }
            let used = match (measurement.split, &test) {
                (Which::Train, _) => &train,
                (Which::Test, Some(test)) => test,
                (Which::Test, None) => return Err(Error::Failed("the run has no test set".into())),
            };
            let net = Net::<B, R>::new(backend, network)?;
            let options = Options { seed: self.config.seed, ..measurement.options.clone() };
            let result = one(measurement.what, &net, network, &train, used, &options)?;
            let (name, model) =
                (measurement.what.name(), format!("snapshots/{}.safetensors", measurement.at));
            let rows = options.rows(used.len)?;
            let document = Document::new::<B, R>(backend, name, model, rows, &options, result);
            self.dir.write_result(&measurement.file(), &document)?;
        }
        Ok(())
    }
}

fn one<B: Backend, R: Real>(
    what: Analysis,
    net: &Net<'_, B, R>,
    network: &Network,
    train: &Samples<B>,
    used: &Samples<B>,
    options: &Options,
) -> Result<Value> {
    Ok(match what {
        Analysis::Accuracy => json(&analysis::accuracy(net, used, Which::Test, options)?),
        Analysis::Rpd => json(&analysis::rpd(net, network, used, options)?),
        Analysis::Lmap => json(&analysis::lmap(net, network, used, options)?),
        Analysis::Lp => json(&analysis::lp(net, train, used, options)?),
        Analysis::Basin => json(&analysis::basin(net, network, used, options, &mut no_progress)?),
        Analysis::Geometry => json(&analysis::geometry(net, used, options)?),
        Analysis::Distances { class, count } => json(&distances(net, used, options, class, count)?),
        Analysis::Projection => json(&analysis::project(net, network, used, options)?),
        Analysis::Cones => {
            let view = View::Features;
            json(&analysis::cones(net, network, used, options, view, None, &mut no_progress)?)
        }
    })
}

fn distances<B: Backend, R: Real>(
    net: &Net<'_, B, R>,
    samples: &Samples<B>,
    options: &Options,
    class: u8,
    count: usize,
) -> Result<ClassDistances> {
    let layers = analysis::distances(net, samples, options)?;
    let of_class = |distances: &[f64]| -> Vec<f64> {
        let own = distances.iter().zip(&samples.host_labels).filter(|(_, label)| **label == class);
        own.map(|(distance, _)| *distance).take(count).collect()
    };
    Ok(ClassDistances {
        layers: layers.iter().map(|layer| layer.layer).collect(),
        distances: layers.iter().map(|layer| of_class(&layer.distances)).collect(),
    })
}

fn json(result: &impl Serialize) -> Value {
    serde_json::to_value(result).unwrap_or_default()
}
