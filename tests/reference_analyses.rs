//! Every analysis of a small trained network, in f64, against `fixtures/analysis.py`: numpy, slow and obvious,
//! written from the definitions and not from this program.

use crate::common::{assert_close, cpu};
use netdyn::analysis::{self, Detail, Options, Scaling, Space};
use netdyn::backend::cpu::Cpu;
use netdyn::data::{self, Source, Split, Which};
use netdyn::model::file::{ReadOptions, read};
use netdyn::model::{BnMode, Net, Network, Samples};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// Samples the reference takes of either split.
const TRAIN: usize = 500;
const TEST: usize = 300;
const MODES: [BnMode; 2] = [BnMode::Eval, BnMode::Batch];

#[test]
fn accuracy_and_losses() {
    with_network(|case| {
        for (bn, which, split, samples) in case.every_pass() {
            let want = &case.want["accuracy"][bn.name()][split];
            let got = value(analysis::accuracy(&case.net, samples, which, &options(bn)).unwrap());
            let at = format!("{} {split}", bn.name());
            agree(&at, &got[split], &want["accuracy"]);
            for key in ["loss", "mse", "per_class"] {
                agree(&format!("{at}: {key}"), &got[key], &want[key]);
            }
        }
    });
}

#[test]
fn rank_distributions() {
    with_network(|case| {
        for bn in MODES {
            let detail = Detail { per_neuron: true, ..Detail::default() };
            let options = Options { detail, ..options(bn) };
            let got = analysis::rpd(&case.net, &case.network, &case.train, &options).unwrap();
            agree(&format!("rpd {}", bn.name()), &value(&got), &case.want["rpd"][bn.name()]);
        }
        let options = Options { bins: 7, ..options(BnMode::Eval) };
        let got = analysis::rpd(&case.net, &case.network, &case.train, &options).unwrap();
        agree("rpd in 7 bins", &value(&got), &case.want["rpd_7_bins"]);
    });
}

#[test]
fn learning_phases() {
    with_network(|case| {
        for bn in MODES {
            let got = analysis::learning_phase(&case.net, &case.network, &case.train, &options(bn)).unwrap();
            agree(&format!("phase {}", bn.name()), &value(&got), &case.want["phase"][bn.name()]);
        }
        for made_up in case.want["phase_cases"].as_array().unwrap() {
            let gradients: Vec<f64> = serde_json::from_value(made_up["gradients"].clone()).unwrap();
            let got = value(analysis::phase(&gradients));
            agree(&format!("phase of {gradients:?}"), &got, &made_up["phase"]);
        }
    });
}

#[test]
fn pruning_by_the_linear_map() {
    with_network(|case| {
        for (bn, _, split, samples) in case.every_pass() {
            let got = analysis::lmap(&case.net, &case.network, samples, &options(bn)).unwrap();
            let want = &case.want["lmap"][bn.name()][split];
            agree(&format!("lmap {} {split}", bn.name()), &value(&got), want);
        }
    });
}

#[test]
fn pruning_by_least_squares() {
    with_network(|case| {
        for (bn, _, split, samples) in case.every_pass() {
            let got = analysis::lp(&case.net, &case.train, samples, &options(bn)).unwrap();
            let of_layer = |layer: &Value| json!({"layer": layer["layer"], "accuracy": layer[split]});
            let layers = case.want["lp"][bn.name()]["layers"].as_array().unwrap();
            let want = json!({"layers": layers.iter().map(of_layer).collect::<Vec<_>>()});
            agree(&format!("lp {} {split}", bn.name()), &value(&got), &want);
        }
    });
}

#[test]
fn attraction_basins() {
    with_network(|case| {
        for (name, space, scaling) in [
            ("sample", Space::Sample, Scaling::Standardized),
            ("weight", Space::Weight, Scaling::Standardized),
            ("weight_absolute", Space::Weight, Scaling::Absolute),
        ] {
            let want = &case.want["basin"][name];
            let detail = Detail { per_class: true, ..Detail::default() };
            let options = Options { space, scaling, detail, ..options(BnMode::Eval) };
            let silent = &mut analysis::no_progress;
            let got = analysis::basin(&case.net, &case.network, &case.train, &options, silent).unwrap();
            let got = value(&got);
            for (i, want) in want["curve"].as_array().unwrap().iter().enumerate() {
                let point = json!({"amplitude": want["amplitude"], "accuracy": want["accuracy"], "stderr": want["stderr"]});
                agree(&format!("{name}: point {i}"), &got["curve"][i], &point);
                for (k, want) in want["per_class"].as_array().unwrap().iter().enumerate() {
                    let of_class = &got["per_class"][k]["curve"][i]["accuracy"];
                    agree(&format!("{name}: point {i} of class {k}"), of_class, want);
                }
            }
            // Two bisections of one crossing may stop in different brackets, each as wide as the rule allows.
            for (key, want) in [("size", &want["half"]), ("size_relative", &want["half_of_clean"])] {
                let bracket = number(&want["high"]) - number(&want["low"]);
                assert_close(
                    &format!("{name}: {key}"),
                    &[number(&got[key])],
                    &[number(&want["size"])],
                    0.0,
                    bracket,
                );
            }
        }
    });
}

#[test]
fn class_geometry() {
    with_network(|case| {
        for bn in MODES {
            let got = analysis::geometry(&case.net, &case.train, &options(bn)).unwrap();
            agree(&format!("geometry {}", bn.name()), &value(&got), &case.want["geometry"][bn.name()]);
        }
    });
}

#[test]
fn weight_norms() {
    with_network(|case| agree("norms", &value(analysis::norms(&case.network)), &case.want["norms"]));
}

#[test]
fn projections_and_their_overlap() {
    with_network(|case| {
        for bn in MODES {
            let [train, test] = [&case.train, &case.test]
                .map(|samples| analysis::project(&case.net, &case.network, samples, &options(bn)).unwrap());
            for (split, got) in [("train", &train), ("test", &test)] {
                let want = &case.want["project"][bn.name()][split];
                let mut got = value(got);
                for key in ["coordinates", "labels", "predicted"] {
                    got[key].as_array_mut().unwrap().truncate(want[key].as_array().unwrap().len());
                }
                agree(&format!("project {} {split}", bn.name()), &got, want);
            }
            let overlap = analysis::region_overlap(&train, &test);
            let shares: Vec<_> = overlap.iter().map(|class| class.overlap).collect();
            agree(&format!("overlap {}", bn.name()), &value(shares), &case.want["overlap"][bn.name()]);
        }
    });
}

#[test]
fn distance_from_test_to_training_samples() {
    with_network(|case| {
        let [train, test] = [sample(Which::Train, TRAIN), sample(Which::Test, TEST)];
        let got = value(analysis::test_train_distance(&train, &test));
        agree("distance", &got, &case.want["test_train_distance"]);
    });
}

/// The network, the samples and the reference's results.
struct Case<'b> {
    network: Network,
    net: Net<'b, Cpu, f64>,
    train: Samples<Cpu>,
    test: Samples<Cpu>,
    want: Value,
}

impl Case<'_> {
    /// Both modes on both splits, with the split's name.
    fn every_pass(&self) -> impl Iterator<Item = (BnMode, Which, &'static str, &Samples<Cpu>)> {
        MODES
            .into_iter()
            .flat_map(|bn| [(bn, Which::Train, "train", &self.train), (bn, Which::Test, "test", &self.test)])
    }
}

fn with_network(test: impl FnOnce(&Case<'_>) + Send) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/analysis");
    cpu(|cpu| {
        let (network, _) = read(&folder.join("net.safetensors"), &ReadOptions::default()).unwrap();
        let samples = |which, count| Samples::new(cpu, &sample(which, count)).unwrap();
        let results = std::fs::read_to_string(folder.join("results.json")).unwrap();
        test(&Case {
            net: Net::new(cpu, &network).unwrap(),
            network,
            train: samples(Which::Train, TRAIN),
            test: samples(Which::Test, TEST),
            want: serde_json::from_str(&results).unwrap(),
        });
    });
}

fn sample(which: Which, count: usize) -> Split {
    data::load(&Source::Named("sample".into()), which, &()).unwrap().first(count)
}

/// The reference's choices.
fn options(bn: BnMode) -> Options {
    Options { bn, seed: 7, trials: 3, amplitudes: vec![0.05, 0.2, 0.5, 1.0], ..Options::default() }
}

fn value(result: impl Serialize) -> Value {
    serde_json::to_value(result).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// Whether `got` has everything that `want` has, numbers within 1e-5.
#[track_caller]
fn agree(what: &str, got: &Value, want: &Value) {
    match want {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, want)| agree(&format!("{what}.{key}"), &got[key], want))
        }
        Value::Array(items) => {
            assert_eq!(got.as_array().map(Vec::len), Some(items.len()), "{what}: length");
            items.iter().enumerate().for_each(|(i, want)| agree(&format!("{what}[{i}]"), &got[i], want));
        }
        Value::Number(_) => assert_close(what, &[number(got)], &[number(want)], 1e-5, 1e-5),
        _ => assert_eq!(got, want, "{what}"),
    }
}
