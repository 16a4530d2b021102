//! The analyses as probes of a training run: a row of numbers, and the full results beside it.

use crate::Result;
use crate::analysis::{self, Document, Options, Space};
use crate::backend::{Backend, LossKind, Real};
use crate::model::{BnMode, Network, Samples, outcome};
use crate::store::RunDir;
use crate::train::{Config, Moment, Probe, Probes, Row};

/// Measures what `[probe]` asks for, in `eval` mode and, for networks with batch norm, also in `batch` mode.
pub struct NetworkProbes {
    what: Vec<Probe>,
    loss: LossKind,
    layers: usize,
    modes: Vec<BnMode>,
    options: Options,
    sample_amplitudes: Vec<f64>,
    weight_amplitudes: Vec<f64>,
    model: String,
}

impl NetworkProbes {
    /// The probes of a run called `model` in its results.
    pub fn new(config: &Config, model: String) -> Self {
        let probe = &config.probe;
        NetworkProbes {
            what: probe.what.clone(),
            loss: config.train.loss,
            layers: config.model.widths.len(),
            modes: if config.model.bn { vec![BnMode::Eval, BnMode::Batch] } else { vec![BnMode::Eval] },
            options: Options {
                limit: (probe.limit > 0).then_some(probe.limit),
                seed: config.seed,
                bins: probe.bins,
                trials: probe.trials,
                ..Options::default()
            },
            sample_amplitudes: probe.sample_amplitudes.clone(),
            weight_amplitudes: probe.weight_amplitudes.clone(),
            model,
        }
    }

    /// Columns of one probe in one mode.
    fn names(&self, probe: Probe, mode: BnMode) -> Vec<String> {
        let mode = mode.name();
        let hidden = || 2..self.layers;
        match probe {
            Probe::Accuracy => ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
                .map(|name| format!("{name}.{mode}.all"))
                .to_vec(),
            Probe::TestAccuracy => {
                ["test_loss", "test_accuracy"].map(|name| format!("{name}.{mode}.all")).to_vec()
            }
            Probe::Rpd => hidden().map(|layer| format!("rpd_gradient.{mode}.{layer}")).collect(),
            Probe::BasinSample => vec![format!("basin_sample.{mode}.all")],
            Probe::BasinWeight => vec![format!("basin_weight.{mode}.all")],
            Probe::Lmap => hidden().map(|layer| format!("lmap_accuracy.{mode}.{layer}")).collect(),
            Probe::Lp => hidden().map(|layer| format!("lp_accuracy.{mode}.{layer}")).collect(),
            Probe::Geometry => (1..self.layers)
                .flat_map(|layer| {
                    ["within_cosine_distance", "between_cosine_similarity"]
                        .map(|name| format!("{name}.{mode}.{layer}"))
                })
                .collect(),
            Probe::Norms => std::iter::once(format!("weight_norm.{mode}.all"))
                .chain((2..=self.layers).map(|layer| format!("weight_norm.{mode}.{layer}")))
                .collect(),
        }
    }

    /// Modes a probe is measured in: the weights have no mode.
    fn modes(&self, probe: Probe) -> &[BnMode] {
        if probe == Probe::Norms { &self.modes[..1] } else { &self.modes }
    }

    /// One probe in one mode: its values, and its full result in `dir`.
    fn probe<B: Backend, R: Real>(
        &self,
        probe: Probe,
        options: &Options,
        network: &Network,
        at: &Moment<'_, '_, B, R>,
        dir: &RunDir,
    ) -> Result<Vec<Option<f64>>> {
        let keep = |what: &str, samples: usize, result: serde_json::Value| -> Result<()> {
            let analysis = if what.starts_with("basin") { "basin" } else { what };
            let model = &self.model;
            let document = Document::new::<B, R>(at.net.backend, analysis, model, samples, options, result);
            dir.write_analysis(&format!("{what}-{}", options.bn.name()), at.step, &document)
        };
        let tested = at.test.unwrap_or(at.train);
        let on_train = options.limit.unwrap_or(usize::MAX).min(at.train.len);
        let whole = Options { limit: None, ..options.clone() };
        Ok(match probe {
            Probe::Accuracy => {
                let train = self.accuracy(at, at.train, on_train, options.bn)?;
                let test = at.test.map(|test| self.accuracy(at, test, test.len, options.bn)).transpose()?;
                let split = |pair: Option<(f64, f64)>| [pair.map(|p| p.0), pair.map(|p| p.1)];
                split(Some(train)).into_iter().chain(split(test)).collect()
            }
            Probe::TestAccuracy => {
                let test = at.test.map(|test| self.accuracy(at, test, test.len, options.bn)).transpose()?;
                vec![test.map(|(loss, _)| loss), test.map(|(_, accuracy)| accuracy)]
            }
            Probe::Rpd => {
                let rpd = analysis::rpd(at.net, network, at.train, options)?;
                keep("rpd", on_train, json(&rpd))?;
                rpd.layers.iter().map(|layer| Some(layer.gradient)).collect()
            }
            Probe::BasinSample | Probe::BasinWeight => {
                let (space, name, amplitudes) = match probe {
                    Probe::BasinSample => (Space::Sample, "basin_sample", &self.sample_amplitudes),
                    _ => (Space::Weight, "basin_weight", &self.weight_amplitudes),
                };
                let options = Options { space, amplitudes: amplitudes.clone(), ..options.clone() };
                let basin = analysis::basin(at.net, network, at.train, &options, &mut |_, _| {})?;
                let size = basin.size;
                keep(name, on_train, json(&basin))?;
                vec![size]
            }
            Probe::Lmap => {
                let curve = analysis::lmap(at.net, network, tested, &whole)?;
                keep("lmap", tested.len, json(&curve))?;
                curve.layers.iter().map(|layer| Some(layer.accuracy)).collect()
            }
            Probe::Lp => {
                let curve = analysis::lp(at.net, at.train, tested, &whole)?;
                keep("lp", tested.len, json(&curve))?;
                curve.layers.iter().map(|layer| Some(layer.accuracy)).collect()
            }
            Probe::Geometry => {
                let geometry = analysis::geometry(at.net, at.train, options)?;
                keep("geometry", on_train, json(&geometry))?;
                let values = geometry.layers.iter();
                values
                    .flat_map(|layer| [Some(layer.within_cosine_distance), layer.between_cosine_similarity])
                    .collect()
            }
            Probe::Norms => {
                let norms = analysis::norms(network);
                keep("norms", 0, json(&norms))?;
                std::iter::once(norms.total).chain(norms.layers).map(Some).collect()
            }
        })
    }

    /// Loss (of training) and accuracy on the first `len` samples.
    fn accuracy<B: Backend, R: Real>(
        &self,
        at: &Moment<'_, '_, B, R>,
        samples: &Samples<B>,
        len: usize,
        bn: BnMode,
    ) -> Result<(f64, f64)> {
        let outcome = outcome(at.net, samples, len, bn)?;
        Ok((outcome.loss(self.loss), outcome.accuracy(&samples.host_labels[..len])))
    }
}

impl<B: Backend, R: Real> Probes<B, R> for NetworkProbes {
    fn columns(&self) -> Vec<String> {
        let each = self
            .what
            .iter()
            .flat_map(|&probe| self.modes(probe).iter().flat_map(move |&mode| self.names(probe, mode)));
        each.collect()
    }

    fn measure(&mut self, at: &Moment<'_, '_, B, R>, dir: &RunDir) -> Result<Row> {
        let network = at.net.to_network()?;
        let mut row = Row::default();
        for &probe in &self.what {
            for &mode in self.modes(probe) {
                let options = Options { bn: mode, ..self.options.clone() };
                let values = self.probe(probe, &options, &network, at, dir)?;
                if probe == Probe::Accuracy {
                    // The papers' convention: training in train mode, test in evaluation mode.
                    let train_mode = self.modes[self.modes.len() - 1];
                    if mode == train_mode {
                        row.fixed[..2].copy_from_slice(&values[..2]);
                    }
                    if mode == BnMode::Eval {
                        row.fixed[2..].copy_from_slice(&values[2..]);
                    }
                }
                if probe == Probe::TestAccuracy && mode == BnMode::Eval {
                    row.fixed[2..].copy_from_slice(&values);
                }
                row.values.extend(values);
            }
        }
        Ok(row)
    }
}

fn json(result: &impl serde::Serialize) -> serde_json::Value {
    serde_json::to_value(result).unwrap_or_default()
}
