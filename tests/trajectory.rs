//! Twenty steps of training against PyTorch's own in float64, as `fixtures/trajectory.py` recorded them.
//!
//! Operation tests cannot see what this does: the order of the parts, state carried from step to step,
//! and how far rounding errors grow.

use crate::common::assert_close;
use netdyn::backend::{Activation, Backend, LossKind, Optimizer, Real, Rows, Update};
use netdyn::data::{InputScale, Split};
use netdyn::model::{BnSpec, Layout, Momentum, Net, Network, Samples, Spec, Trainer};
use safetensors::{SafeTensors, tensor::TensorView};
use serde::Deserialize;

on_each_backend!(f32_engine_follows_pytorch);
on_cpu!(f64_engine_follows_pytorch);

fn f64_engine_follows_pytorch<B: Backend>(backend: &B) {
    for_each_case(|case, record| {
        let got = train::<B, f64>(backend, case, record);
        let want = Trajectory::recorded(case, record);
        for (what, got, want) in got.tensors(&want) {
            assert_close(&format!("{}.{what}", case.name), got, want, 0.0, 1e-9);
        }
    });
}

/// PyTorch in f32 stays within 1e-6 of the record (`f32` in the index), so 1e-4 leaves room for another
/// order of summation only.
fn f32_engine_follows_pytorch<B: Backend>(backend: &B) {
    for_each_case(|case, record| {
        let got = train::<B, f32>(backend, case, record);
        let want = Trajectory::recorded(case, record);
        let kept = |values: &[f64]| determined(&case.layout(record), values);
        let close = |what: &str, got: &[f64], want: &[f64]| {
            assert_close(&format!("{}.{what}", case.name), got, want, 0.0, 1e-4);
        };
        close("loss", &got.loss, &want.loss);
        close("logits", &got.logits, &want.logits);
        close("params", &kept(&got.params), &kept(&want.params));
    });
}

/// The parameters of all snapshots without the biases in front of a batch norm: their gradient is zero but
/// for rounding, and Adam makes a step of any size out of that.
fn determined(layout: &Layout, snapshots: &[f64]) -> Vec<f64> {
    let removed = |at: usize| {
        let in_bias = |bias: netdyn::backend::Span| bias.range().contains(&at);
        layout.layers.iter().any(|layer| layer.norm.is_some() && layer.bias.is_some_and(in_bias))
    };
    let kept = snapshots.iter().enumerate().filter(|(i, _)| !removed(i % layout.params));
    kept.map(|(_, value)| *value).collect()
}

/// What a run leaves behind, every tensor flat: see the head of `fixtures/trajectory.py`.
#[derive(Default)]
struct Trajectory {
    loss: Vec<f64>,
    logits: Vec<f64>,
    params: Vec<f64>,
    running: Vec<f64>,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Trajectory {
    fn recorded(case: &Case, record: &Record) -> Trajectory {
        let read = |what| record.optional(&format!("{}.{what}", case.name));
        Trajectory {
            loss: read("loss"),
            logits: read("logits"),
            params: read("params"),
            running: read("running"),
            first: read("first"),
            second: read("second"),
        }
    }

    /// Name, own and other's value of every tensor.
    fn tensors<'a>(&'a self, other: &'a Trajectory) -> [(&'static str, &'a [f64], &'a [f64]); 6] {
        [
            ("loss", &self.loss, &other.loss),
            ("logits", &self.logits, &other.logits),
            ("params", &self.params, &other.params),
            ("running", &self.running, &other.running),
            ("first", &self.first, &other.first),
            ("second", &self.second, &other.second),
        ]
    }
}

/// The same steps on the engine.
fn train<B: Backend, R: Real>(backend: &B, case: &Case, record: &Record) -> Trajectory {
    let Index { batch, steps, ref snapshots, .. } = record.index;
    let samples = Samples::new(backend, &record.split()).unwrap();
    let batches = backend.upload(&record.words("batches")).unwrap();
    let net = Net::<B, R>::new(backend, &case.start(record)).unwrap();
    let mut trainer = Trainer::new(net, case.loss, case.update(), 0, batch).unwrap();

    let mut out = Trajectory::default();
    for step in 0..steps {
        let rows = Rows::Listed { index: &batches, start: step * batch };
        trainer.step(&samples, rows, batch).unwrap();
        let (loss, logits) = trainer.last_batch(batch).unwrap();
        out.loss.push(loss);
        out.logits.extend(logits.into_iter().map(R::wide));
        if snapshots.contains(&(step + 1)) {
            let network = trainer.net.to_network().unwrap();
            out.params.extend(network.params);
            out.running.extend(network.running);
        }
    }
    trainer.check().unwrap();
    let state = trainer.optimizer_state().unwrap();
    Trajectory { first: state.first, second: state.second, ..out }
}

/// `index.json`.
#[derive(Deserialize)]
struct Index {
    widths: Vec<usize>,
    steps: usize,
    batch: usize,
    snapshots: Vec<usize>,
    cases: Vec<Case>,
}

/// One training run.
#[derive(Deserialize)]
struct Case {
    name: String,
    activation: Activation,
    loss: LossKind,
    bias: bool,
    bn: bool,
    /// A number, or `cumulative`.
    bn_momentum: serde_json::Value,
    bn_eps: f64,
    input: String,
    optimizer: String,
    lr: f64,
    #[serde(default)]
    momentum: f64,
    #[serde(default)]
    betas: [f64; 2],
    #[serde(default)]
    eps: f64,
    weight_decay: f64,
}

impl Case {
    fn spec(&self, record: &Record) -> Spec {
        let widths = record.index.widths.clone();
        let linears = widths.len() - 1;
        let mut norm = vec![self.bn; linears];
        norm[linears - 1] = false;
        let momentum = self.bn_momentum.as_f64().map_or(Momentum::Cumulative, Momentum::Fixed);
        Spec {
            widths,
            activation: self.activation,
            bias: vec![self.bias; linears],
            norm,
            bn: BnSpec { eps: self.bn_eps, momentum },
            dropout: 0.0,
        }
    }

    fn layout(&self, record: &Record) -> Layout {
        Layout::of(&self.spec(record))
    }

    fn update(&self) -> Update {
        let (betas, eps) = (self.betas, self.eps);
        let optimizer = match self.optimizer.as_str() {
            "sgd" => Optimizer::Sgd { momentum: self.momentum },
            "adam" => Optimizer::Adam { betas, eps },
            "adamw" => Optimizer::AdamW { betas, eps },
            other => panic!("optimizer {other}"),
        };
        Update { optimizer, lr: self.lr, weight_decay: self.weight_decay, step: 0 }
    }

    /// The network every case begins with.
    fn start(&self, record: &Record) -> Network {
        let (spec, layout) = (self.spec(record), self.layout(record));
        let mut params = vec![f64::NAN; layout.params];
        let mut running = vec![0.0; layout.stats];
        for (i, layer) in layout.layers.iter().enumerate() {
            let mut set = |span: netdyn::backend::Span, name: &str| {
                params[span.range()].copy_from_slice(&record.reals(&format!("start.{name}")));
            };
            set(layer.weight, &format!("layers.{i}.weight"));
            if let Some(bias) = layer.bias {
                set(bias, &format!("layers.{i}.bias"));
            }
            if let Some(norm) = layer.norm {
                set(norm.gamma, &format!("bns.{i}.weight"));
                set(norm.beta, &format!("bns.{i}.bias"));
            }
            if let Some([_, var]) = layer.stats {
                running[var.range()].fill(1.0);
            }
        }
        let input: InputScale = self.input.parse().unwrap();
        Network { spec, params, running, input, step: None, config: None }
    }
}

fn for_each_case(mut test: impl FnMut(&Case, &Record)) {
    let bytes = include_bytes!("fixtures/trajectory/data.safetensors");
    let index = serde_json::from_str(include_str!("fixtures/trajectory/index.json")).unwrap();
    let record = Record { index, tensors: SafeTensors::deserialize(bytes).unwrap() };
    record.index.cases.iter().for_each(|case| test(case, &record));
}

/// The stored files.
struct Record {
    index: Index,
    tensors: SafeTensors<'static>,
}

impl Record {
    fn tensor(&self, name: &str) -> TensorView<'_> {
        self.tensors.tensor(name).unwrap()
    }

    fn reals(&self, name: &str) -> Vec<f64> {
        let (words, _) = self.tensor(name).data().as_chunks();
        words.iter().map(|word| f64::from_le_bytes(*word)).collect()
    }

    /// Nothing where the case has no such tensor.
    fn optional(&self, name: &str) -> Vec<f64> {
        if self.tensors.names().contains(&name) { self.reals(name) } else { vec![] }
    }

    fn words(&self, name: &str) -> Vec<u32> {
        let (words, _) = self.tensor(name).data().as_chunks();
        words.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }

    fn split(&self) -> Split {
        Split {
            images: self.tensor("pixels").data().to_vec(),
            labels: self.tensor("labels").data().to_vec(),
            pixels: self.index.widths[0],
            classes: self.index.widths[self.index.widths.len() - 1],
            sha256: Default::default(),
        }
    }
}
