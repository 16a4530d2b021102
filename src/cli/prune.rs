//! `netdyn prune`

use super::analyze::{Measuring, Model, Reading, Splits, models};
use super::common::Common;
use super::output::{self, check_writable};
use super::table::Table;
use crate::analysis::{self, Cost, Method, Options, PruneFrom, Pruned};
use crate::backend::{Backend, Job, Real, with};
use crate::data::{Split, Which};
use crate::model::file::{self, Names};
use crate::model::{Net, Samples};
use crate::train::Control;
use crate::{Error, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// Replace the last layers of a network by one linear layer, into a smaller network file.
///
/// From the earliest layer that costs little enough accuracy, by the linear map of the weights, or by a fit.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn prune net.safetensors --out small.safetensors --max-loss 0.001")]
pub struct Prune {
    /// Network file.
    model: PathBuf,
    /// Network file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Accuracy that may be lost.
    #[arg(long, value_name = "SHARE", default_value_t = 0.001, conflicts_with = "from")]
    max_loss: f64,
    /// Prune from this layer on, whatever it costs; the first hidden layer is 2.
    #[arg(long, value_name = "LAYER")]
    from: Option<usize>,
    /// Fit the linear layer on the training set (LP) instead of taking the map of the weights (L-map).
    #[arg(long)]
    lp: bool,
    /// Names of the tensors written.
    #[arg(long, default_value = "modulelist")]
    names: Names,
    #[command(flatten)]
    measuring: Measuring,
    #[command(flatten)]
    reading: Reading,
}

impl Prune {
    pub fn run(self, common: &Common) -> Result<()> {
        let processor = common.processor()?;
        let console = common.console();
        if !(0.0..=1.0).contains(&self.max_loss) {
            return Err(Error::Usage(format!("--max-loss {}: use a share from 0 to 1", self.max_loss)));
        }
        let same = |path: &Path| path.canonicalize().ok();
        if same(&self.out).is_some() && same(&self.out) == same(&self.model) {
            let out = self.out.display();
            return Err(Error::Usage(format!(
                "--out {out} is the network to be pruned; choose another file"
            )));
        }
        check_writable(&self.out)?;
        let models = models(std::slice::from_ref(&self.model), &self.reading, self.measuring.bn, &console)?;
        let Some(model) = models.first() else { return Ok(()) };
        let split = self.measuring.split.unwrap_or(Which::Test);
        let needed = if self.lp { vec![split, Which::Train] } else { vec![split] };
        let splits = Splits::load(&common.source()?, &needed, &console)?;
        splits.check(model)?;
        console.say(&processor.line);

        let measured = if split == Which::Train { &splits.train } else { &splits.test };
        let Some(measured) = measured else {
            return Err(Error::Failed(format!("the {split} set was not loaded")));
        };
        let pruning = Pruning {
            model,
            measured,
            fit: splits.train.as_ref().filter(|_| self.lp),
            from: self.from.map_or(PruneFrom::Loss(self.max_loss), PruneFrom::Layer),
            options: self.measuring.options(common.seed),
            precision: common.precision_name(),
        };
        let pruned = with(processor.choice, pruning)?;
        file::write(&self.out, &pruned.network, self.names)?;
        output::print(&text(&pruned, model, &self.out.display().to_string()))
    }
}

struct Pruning<'a> {
    model: &'a Model,
    measured: &'a Split,
    /// Samples for a linear perceptron.
    fit: Option<&'a Split>,
    from: PruneFrom,
    options: Options,
    precision: String,
}

impl Job for Pruning<'_> {
    type Output = Pruned;

    fn run<B: Backend>(self, backend: &B) -> Result<Pruned> {
        match self.precision.as_str() {
            "f64" => self.precise::<B, f64>(backend),
            _ => self.precise::<B, f32>(backend),
        }
    }
}

impl Pruning<'_> {
    fn precise<B: Backend, R: Real>(self, backend: &B) -> Result<Pruned> {
        let network = &self.model.network;
        let net = Net::<B, R>::new(backend, network)?;
        let measured = Samples::new(backend, self.measured)?;
        let fit = self.fit.map(|split| Samples::new(backend, split)).transpose()?;
        let method = fit.as_ref().map_or(Method::Lmap, |fit| Method::Lp { fit });
        analysis::prune(&net, network, method, self.from, &measured, &self.options)
    }
}

/// Before and after.
fn text(pruned: &Pruned, model: &Model, out: &str) -> String {
    let summary = &pruned.summary;
    let mut table = Table::new(&["", "shape", "accuracy", "parameters", "us per sample"]);
    let mut add = |name: &str, shape: &str, cost: &Cost| {
        let time = 1e6 * cost.seconds_per_sample;
        table.row([name.into(), shape.into(), cost.accuracy.into(), cost.parameters.into(), time.into()]);
    };
    add("before", &model.network.spec.shape(), &summary.before);
    add("after", &pruned.network.spec.shape(), &summary.after);
    format!("{}pruned from layer {} into {out}\n", table.to_text(), summary.from)
}
