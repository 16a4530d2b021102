//! Analyses on a device.

use super::What;
use super::load::{Model, Splits};
use crate::analysis::{self, Accuracy, Basin, Cones, Document, Geometry, LearningPhase, Norms, Options};
use crate::analysis::{Projection, PruningCurve, Rpd, View};
use crate::backend::{Backend, Job, Real};
use crate::cli::console::Console;
use crate::data::{Split, Which};
use crate::model::{Net, Samples};
use crate::train::Control;
use crate::{Error, Result};
use serde::Serialize;

/// What an analysis found.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Found {
    Accuracy(Accuracy),
    Rpd(Rpd),
    Pruning(PruningCurve),
    Basin(Basin),
    Geometry(Geometry),
    Projection(Projection),
    Cones(Cones),
    Norms(Norms),
    Phase(LearningPhase),
    /// Of several analyses one that this network or data does not allow, with the reason.
    Inapplicable {
        inapplicable: String,
    },
}

/// Analyses of one network.
pub struct Measurement<'a> {
    pub what: &'a [What],
    pub model: &'a Model,
    pub splits: &'a Splits,
    /// As the user says; else each analysis takes its own.
    pub split: Option<Which>,
    pub options: &'a Options,
    /// As in `--precision`.
    pub precision: &'a str,
    pub console: &'a Console,
}

impl Job for Measurement<'_> {
    type Output = Vec<Document<Found>>;

    fn run<B: Backend>(self, backend: &B) -> Result<Self::Output> {
        match self.precision {
            "f64" => self.precise::<B, f64>(backend),
            _ => self.precise::<B, f32>(backend),
        }
    }
}

impl Measurement<'_> {
    fn precise<B: Backend, R: Real>(&self, backend: &B) -> Result<Vec<Document<Found>>> {
        let net = Net::<B, R>::new(backend, &self.model.network)?;
        let upload =
            |split: &Option<Split>| split.as_ref().map(|split| self.upload(backend, split)).transpose();
        let (train, test) = (upload(&self.splits.train)?, upload(&self.splits.test)?);
        let samples = |which: Which| {
            let samples = if which == Which::Train { &train } else { &test };
            samples.as_ref().ok_or_else(|| Error::Failed(format!("the {which} set was not loaded")))
        };
        let mut documents = Vec::new();
        for &what in self.what {
            let used = if what.needs_samples() { Some(samples(what.split(self.split))?) } else { None };
            let found = match used {
                None => Found::Norms(analysis::norms(&self.model.network)),
                Some(used) => match self.one(what, &net, used, &samples) {
                    Err(Error::Usage(inapplicable)) if self.what.len() > 1 => {
                        self.console.say(&format!("{} is left out: {inapplicable}", what.name()));
                        Found::Inapplicable { inapplicable }
                    }
                    found => found?,
                },
            };
            self.console.end();
            let rows = used.map_or(Ok(0), |used| match what {
                What::Lp => Ok(used.len), // the limit bounds the fit
                _ => self.options.rows(used.len),
            })?;
            let name = &self.model.name;
            documents.push(Document::new::<B, R>(backend, what.name(), name, rows, self.options, found));
        }
        Ok(documents)
    }

    /// Samples whose classes are those of the network.
    fn upload<B: Backend>(&self, backend: &B, split: &Split) -> Result<Samples<B>> {
        Ok(Samples { classes: self.model.network.spec.classes(), ..Samples::new(backend, split)? })
    }

    fn one<'s, B: Backend + 's, R: Real>(
        &self,
        what: What,
        net: &Net<'_, B, R>,
        used: &Samples<B>,
        samples: &impl Fn(Which) -> Result<&'s Samples<B>>,
    ) -> Result<Found> {
        let (network, options) = (&self.model.network, self.options);
        let title = format!("{} of {}", what.name(), self.model.name);
        let mut progress = |done: usize, total: usize| self.console.at(&title, done as u64, total as u64);
        Ok(match what {
            What::Accuracy => Found::Accuracy(self.accuracy(net, used, samples)?),
            What::Rpd => Found::Rpd(analysis::rpd(net, network, used, options)?),
            What::Lmap => Found::Pruning(analysis::lmap(net, network, used, options)?),
            What::Lp => Found::Pruning(analysis::lp(net, samples(Which::Train)?, used, options)?),
            What::Basin => Found::Basin(analysis::basin(net, network, used, options, &mut progress)?),
            What::Geometry => Found::Geometry(analysis::geometry(net, used, options)?),
            What::Project => Found::Projection(analysis::project(net, network, used, options)?),
            What::Cones => {
                let view = View::Features;
                Found::Cones(analysis::cones(net, network, used, options, view, None, &mut progress)?)
            }
            What::Norms => Found::Norms(analysis::norms(network)),
            What::Phase => Found::Phase(analysis::learning_phase(net, network, used, options)?),
            What::All => return Err(Error::Failed("all is not one analysis".into())),
        })
    }

    /// Of the split measured; among other analyses the accuracy of both.
    fn accuracy<'s, B: Backend + 's, R: Real>(
        &self,
        net: &Net<'_, B, R>,
        used: &Samples<B>,
        samples: &impl Fn(Which) -> Result<&'s Samples<B>>,
    ) -> Result<Accuracy> {
        let which = What::Accuracy.split(self.split);
        let mut accuracy = analysis::accuracy(net, used, which, self.options)?;
        if self.what.len() > 1 {
            let other = analysis::accuracy(net, samples(which.other())?, which.other(), self.options)?;
            accuracy.train = accuracy.train.or(other.train);
            accuracy.test = accuracy.test.or(other.test);
        }
        Ok(accuracy)
    }
}
