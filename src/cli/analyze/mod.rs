//! `netdyn analyze`

mod figure;
mod flat;
mod load;
mod measure;
mod options;
mod summary;

pub use load::{Model, Splits, models};
pub use options::{Measuring, Reading};

use super::common::Common;
use super::output::{self, check_writable};
use crate::analysis::Document;
use crate::backend::with;
use crate::data::Which;
use crate::store::to_json;
use crate::train::Control;
use crate::{Error, Result, report};
use clap::{Args, ValueEnum};
use measure::{Found, Measurement};
use serde_json::Value;
use std::path::PathBuf;

/// Measure network files, whoever trained them: .safetensors with any names of the tensors.
///
/// What was understood of a file is said on stderr. Results are a table, or what the options ask for; `-` stands
/// for the standard output. A result of `all` has one key per analysis, one of several networks is a list.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: netdyn analyze basin net.safetensors --amplitudes 0,0.1,0.2,0.4 --json basin.json"
)]
pub struct Analyze {
    /// What to measure.
    what: What,
    /// Network files.
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as a flat table.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draw the results; .svg or .png.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    #[command(flatten)]
    measuring: Measuring,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    details: options::Details,
}

/// WHAT
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Accuracy and losses.
    Accuracy,
    /// Rank probability distributions of the hidden layers.
    Rpd,
    /// Accuracy with the last layers replaced by their linear map.
    Lmap,
    /// Accuracy with the last layers replaced by a linear perceptron, fitted on the training set.
    Lp,
    /// Attraction basins: accuracy under noise.
    Basin,
    /// How the samples of a class lie around their centre.
    Geometry,
    /// Samples in the plane that the output layer sees best.
    Project,
    /// Where noise carries single samples.
    Cones,
    /// Norms of the weights.
    Norms,
    /// The learning phase.
    Phase,
    /// All of these.
    All,
}

impl What {
    const EACH: [What; 10] = [
        What::Accuracy,
        What::Rpd,
        What::Lmap,
        What::Lp,
        What::Basin,
        What::Geometry,
        What::Project,
        What::Cones,
        What::Norms,
        What::Phase,
    ];

    fn name(self) -> &'static str {
        match self {
            What::Accuracy => "accuracy",
            What::Rpd => "rpd",
            What::Lmap => "lmap",
            What::Lp => "lp",
            What::Basin => "basin",
            What::Geometry => "geometry",
            What::Project => "project",
            What::Cones => "cones",
            What::Norms => "norms",
            What::Phase => "phase",
            What::All => "all",
        }
    }

    fn needs_samples(self) -> bool {
        self != What::Norms
    }

    /// The split it is measured on, where the user does not say: `given`.
    fn split(self, given: Option<Which>) -> Which {
        given.unwrap_or(match self {
            What::Rpd | What::Basin | What::Geometry | What::Cones | What::Phase => Which::Train,
            _ => Which::Test,
        })
    }
}

impl Analyze {
    pub fn run(self, common: &Common) -> Result<()> {
        let processor = common.processor()?;
        let console = common.console();
        self.check_outputs()?;
        let what = if self.what == What::All { What::EACH.to_vec() } else { vec![self.what] };
        for option in self.details.without_effect(&what) {
            console.say(&format!("note: {option} has no effect on {}", self.what.name()));
        }
        let models = models(&self.models, &self.reading, self.measuring.bn, &console)?;
        let splits = match self.needed(&what) {
            none if none.is_empty() => Splits::default(),
            needed => Splits::load(&common.source()?, &needed, &console)?,
        };
        models.iter().try_for_each(|model| splits.check(model))?;
        console.say(&processor.line);

        let options = self.details.options(self.measuring.options(common.seed));
        let mut found = Vec::new();
        for model in &models {
            let (split, precision) = (self.measuring.split, &common.precision_name());
            let measurement = Measurement {
                what: &what,
                model,
                splits: &splits,
                split,
                options: &options,
                precision,
                console: &console,
            };
            found.push(with(processor.choice, measurement)?);
        }
        console.end();
        self.show(&what, &found)
    }

    /// The splits that the analyses take.
    fn needed(&self, what: &[What]) -> Vec<Which> {
        let split = |what: &What| match what {
            What::Norms => vec![],
            What::Lp => vec![Which::Train, what.split(self.measuring.split)],
            What::Accuracy if self.what == What::All => vec![Which::Train, Which::Test],
            _ => vec![what.split(self.measuring.split)],
        };
        what.iter().flat_map(split).collect()
    }

    /// Refuses before the work what would fail after it.
    fn check_outputs(&self) -> Result<()> {
        if let Some(path) = &self.plot {
            if self.what == What::All {
                return Err(Error::Usage("--plot draws one analysis, not all of them: name one".into()));
            }
            load::check_picture(path)?;
        }
        [&self.json, &self.csv, &self.plot].into_iter().flatten().try_for_each(|path| check_writable(path))
    }

    fn show(&self, what: &[What], found: &[Vec<Document<Found>>]) -> Result<()> {
        if let Some(path) = &self.json {
            output::store(path, &to_json(&self.json(what, found)?)?)?;
        }
        if let Some(path) = &self.csv {
            output::store(path, &flat::table(what, found).to_csv()?)?;
        }
        if let Some(path) = &self.plot {
            report::plot(path, &figure::figure(self.what, found))?;
        }
        if self.json.is_some() || self.csv.is_some() || self.plot.is_some() {
            return Ok(());
        }
        output::print(&summary::text(what, found))
    }

    /// One network: an object; several: a list in the order given.
    fn json(&self, what: &[What], found: &[Vec<Document<Found>>]) -> Result<Value> {
        let value = |document: &Document<Found>| {
            serde_json::to_value(document)
                .map_err(|e| Error::Failed(format!("cannot write a result as JSON: {e}")))
        };
        let mut all = Vec::new();
        for documents in found {
            let mut values = documents.iter().map(value).collect::<Result<Vec<Value>>>()?;
            all.push(match self.what {
                What::All => what.iter().map(|what| what.name().to_owned()).zip(values).collect(),
                _ => values.pop().unwrap_or_default(),
            });
        }
        Ok(match self.models.len() {
            1 => all.pop().unwrap_or_default(),
            _ => Value::Array(all),
        })
    }
}
