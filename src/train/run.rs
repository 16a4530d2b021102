//! One training run in its directory, from the first step or from the newest checkpoint.

use super::snapshot::Keeper;
use super::{Config, Shuffler, checkpoint};
use crate::backend::{Backend, Real, Rows};
use crate::data::Split;
use crate::model::file::Numbers;
use crate::model::{Net, Samples, Trainer, network};
use crate::store::{Manifest, RunDir, Status};
use crate::{Error, Result};
use std::path::Path;
use std::time::Instant;

/// The data of a run.
pub struct Data<'a> {
    /// Training samples, already limited.
    pub train: &'a Split,
    /// Test samples, if there are any.
    pub test: Option<&'a Split>,
}

/// What measures a network on the way.
pub trait Probes<B: Backend, R: Real> {
    /// Names of the values of a row, after the fixed columns.
    fn columns(&self) -> Vec<String>;

    /// Measures the network after `step` updates and stores what does not fit into a row in `dir`.
    fn measure(&mut self, at: &Moment<'_, '_, B, R>, dir: &RunDir) -> Result<Row>;
}

/// The state a probe sees.
pub struct Moment<'a, 'b, B: Backend, R: Real> {
    /// Updates done.
    pub step: u64,
    /// The network.
    pub net: &'a Net<'b, B, R>,
    /// Training samples.
    pub train: &'a Samples<B>,
    /// Test samples.
    pub test: Option<&'a Samples<B>>,
}

/// Values of one row of the metrics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    /// train_loss, train_accuracy, test_loss, test_accuracy; none where not measured.
    pub fixed: [Option<f64>; 4],
    /// In the order of [`Probes::columns`].
    pub values: Vec<Option<f64>>,
}

/// The fixed columns of `metrics.csv`.
pub const COLUMNS: [&str; 7] =
    ["step", "epoch", "seconds", "train_loss", "train_accuracy", "test_loss", "test_accuracy"];

/// Updates from one look at the status to the next, where nothing else asks for one: on a card a look waits for all
/// that is queued.
const CHECKED_EVERY: u64 = 32;

/// What the surroundings tell a run, and hear from it.
pub trait Control: Sync {
    /// Why the run should stop now, if it should.
    fn stop(&self) -> Option<Error>;

    /// A piece of long work begins: its name, and how many units it has.
    fn begin(&self, what: &str, total: u64);

    /// So many units of it are done.
    fn progress(&self, done: u64);

    /// A line for the log.
    fn say(&self, line: &str);
}

/// Trains as `config` (resolved) says, in `dir`, from the newest checkpoint there if there is one. Answers the
/// finished manifest.
///
/// The state at any step is a function of configuration and data alone, so a resumed run ends in the same
/// bits as one that was never stopped.
///
/// # Errors
/// What [`Control::stop`] answers, after the state was saved; [`Error::NonFinite`], with the last good state
/// kept; [`Error::File`] if a checkpoint in `dir` is damaged or of another run.
pub fn run<B: Backend, R: Real>(
    backend: &B,
    config: &Config,
    data: &Data<'_>,
    dir: &RunDir,
    mut manifest: Manifest,
    probes: &mut dyn Probes<B, R>,
    control: &dyn Control,
) -> Result<Manifest> {
    let start = network::<R>(&config.spec(), config.init(), config.input()?, config.seed);
    let train = Samples::new(backend, data.train)?;
    let test = data.test.map(|test| Samples::new(backend, test)).transpose()?;
    let batch = if config.train.batch == 0 { train.len } else { config.train.batch };
    let net = Net::<B, R>::new(backend, &start)?;
    let mut trainer = Trainer::new(net, config.train.loss, config.update(), config.seed, batch)?;
    let resumed = checkpoint::restore_newest(&mut trainer, dir)?;

    let columns: Vec<String> = COLUMNS.iter().map(|c| c.to_string()).chain(probes.columns()).collect();
    dir.start_metrics(&columns, resumed)?;
    dir.write_config(&config.to_toml())?;
    dir.write_manifest(&manifest)?;

    let steps = config.steps();
    let due = config.probed();
    let mut keeper = Keeper::new(&config.checkpoint.snapshots, dir, Numbers::of::<R>(), steps)?;
    let shuffler =
        Shuffler::new::<R>(config.data.order, config.seed, train.len, &config.spec(), config.init.rng);
    let mut batches = Batches::new(backend, &shuffler, train.len, batch)?;
    control.begin(&format!("train {}", config.spec().shape()), steps);
    let mut clock = Instant::now();
    let mut next = due.partition_point(|step| resumed.is_some_and(|resumed| *step <= resumed));
    loop {
        let step = trainer.step;
        let stop = control.stop();
        let probed = due.get(next) == Some(&step);
        let every = config.checkpoint.every;
        let regular = every > 0 && step > 0 && step.is_multiple_of(every) && resumed != Some(step);
        let saved = stop.is_some() || step >= steps || regular;
        if (probed || saved || step.is_multiple_of(CHECKED_EVERY))
            && let Err(error) = trainer.check()
        {
            let Error::NonFinite { step: met, .. } = error else { return Err(error) };
            trainer.step = met - 1; // that update was not done, and none after it
            manifest.status = Status::NonFinite;
            manifest.end = Some(now());
            manifest.step = trainer.step;
            checkpoint::save(&trainer, config, dir)?;
            dir.write_manifest(&manifest)?;
            return Err(kept_in(error, &dir.checkpoint(trainer.step)));
        }
        if probed {
            let [training, probing] = &mut manifest.seconds;
            *training += lap(&mut clock);
            let moment = Moment { step, net: &trainer.net, train: &train, test: test.as_ref() };
            let row = probes.measure(&moment, dir)?;
            *probing += lap(&mut clock);
            let epoch = step as f64 / batches.per_epoch as f64;
            let fixed = [step.to_string(), cell(Some(epoch)), cell(Some(*training))];
            let values = row.fixed.iter().chain(&row.values).map(|value| cell(*value));
            dir.add_metrics(&fixed.into_iter().chain(values).collect::<Vec<_>>())?;
            keeper.take(step, &row, || trainer.net.to_network())?;
            next += 1;
        }
        control.progress(step);
        if saved {
            checkpoint::save(&trainer, config, dir)?;
            dir.prune_checkpoints(config.checkpoint.keep)?;
        }
        if stop.is_some() || step >= steps {
            manifest.seconds[0] += lap(&mut clock);
            manifest.status = if step >= steps { Status::Done } else { Status::Stopped };
            manifest.end = Some(now());
            manifest.step = step;
            dir.write_manifest(&manifest)?;
            return match stop {
                Some(stop) if step < steps => Err(stop),
                _ => Ok(manifest),
            };
        }
        let (rows, count) = batches.at(step)?;
        trainer.step(&train, rows, count)?;
    }
}

/// Batches by step: consecutive runs of each epoch's order.
struct Batches<'a, B: Backend> {
    backend: &'a B,
    shuffler: &'a Shuffler,
    samples: usize,
    batch: usize,
    per_epoch: u64,
    epoch: Option<u64>,
    index: B::Buf<u32>,
}

impl<'a, B: Backend> Batches<'a, B> {
    fn new(backend: &'a B, shuffler: &'a Shuffler, samples: usize, batch: usize) -> Result<Self> {
        let per_epoch = samples.div_ceil(batch) as u64;
        Ok(Batches { backend, shuffler, samples, batch, per_epoch, epoch: None, index: backend.zeros(0)? })
    }

    /// Rows and number of samples of the update after `step` updates.
    fn at(&mut self, step: u64) -> Result<(Rows<'_, B>, usize)> {
        if self.batch == self.samples {
            return Ok((Rows::From(0), self.samples)); // a full batch needs no order
        }
        let epoch = step / self.per_epoch;
        if self.epoch != Some(epoch) {
            self.index = self.backend.upload(&self.shuffler.epoch(epoch))?;
            self.epoch = Some(epoch);
        }
        let start = (step % self.per_epoch) as usize * self.batch;
        Ok((Rows::Listed { index: &self.index, start }, self.batch.min(self.samples - start)))
    }
}

/// Says where the state before the failure lies.
fn kept_in(error: Error, checkpoint: &Path) -> Error {
    match error {
        Error::NonFinite { step, layer, tensor, .. } => {
            let kept = format!("the last good state is in {}", checkpoint.display());
            Error::NonFinite { step, layer, tensor, kept }
        }
        other => other,
    }
}

fn lap(clock: &mut Instant) -> f64 {
    let seconds = clock.elapsed().as_secs_f64();
    *clock = Instant::now();
    seconds
}

/// Now, RFC 3339.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// A value as a cell: shortest text that reads back as the same number.
fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
