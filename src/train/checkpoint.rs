//! Stored states of a run: a network file that also holds what the optimiser needs to go on.

use super::Config;
use crate::backend::{Backend, Real};
use crate::model::file::{self, Extra, Names, Numbers, ReadOptions, Tensor};
use crate::model::{OptimizerState, Trainer};
use crate::store::RunDir;
use crate::{Error, Result};
use std::path::Path;

const FIRST: &str = "optimizer.first";
const SECOND: &str = "optimizer.second";

/// Stores the state after the trainer's last step.
pub fn save<B: Backend, R: Real>(trainer: &Trainer<'_, B, R>, config: &Config, dir: &RunDir) -> Result<()> {
    let mut network = trainer.net.to_network()?;
    network.step = Some(trainer.step);
    network.config = Some(config.to_toml());
    let state = trainer.optimizer_state()?;
    let mut extra = Extra::default();
    for (name, values) in [(FIRST, &state.first), (SECOND, &state.second)] {
        if !values.is_empty() {
            extra.tensors.insert(name.into(), Tensor::of(&[values.len()], values));
        }
    }
    let path = dir.checkpoint(trainer.step);
    file::write_with(&path, &network, Names::Modulelist, Numbers::of::<R>(), extra)
}

/// Puts the newest stored state of the directory into the trainer and answers its step; none if there is no
/// state.
///
/// # Errors
/// [`Error::File`] if the state is corrupt or of another network or optimiser.
pub fn restore_newest<B: Backend, R: Real>(
    trainer: &mut Trainer<'_, B, R>,
    dir: &RunDir,
) -> Result<Option<u64>> {
    let Some(&step) = dir.checkpoints()?.last() else { return Ok(None) };
    let path = dir.checkpoint(step);
    let options = ReadOptions { activation: Some(trainer.net.spec.activation), ..ReadOptions::default() };
    let read = file::read(&path, &options).and_then(|(network, _)| Ok((network, file::read_extra(&path)?)));
    let (network, extra) = read.map_err(|e| damaged(&path, e))?;
    let values = |name: &str| extra.tensors.get(name).and_then(Tensor::values::<f64>).unwrap_or_default();
    let state = OptimizerState { first: values(FIRST), second: values(SECOND) };
    trainer.restore(&network, &state, step).map_err(|e| other_run(&path, &e))?;
    Ok(Some(step))
}

/// A damaged state need not end the run: the one before it is as good.
fn damaged(path: &Path, why: Error) -> Error {
    match why {
        Error::File { what, .. } => {
            Error::file(path, format!("{what}; or remove it, and the run goes on from the state before it"))
        }
        other => other,
    }
}

fn other_run(path: &Path, why: &Error) -> Error {
    Error::file(path, format!("is not a state of this run ({why}); use another folder or remove this one"))
}
