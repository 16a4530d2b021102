//! Network files: what PyTorch wrote is read right, what we write comes back.

use crate::common::assert_close;
use crate::common::network_file::{FIXTURES, ReadIn, linears, unit};
use netdyn::Error;
use netdyn::backend::Activation;
use netdyn::data::InputScale;
use netdyn::model::file::{
    Extra, InputOrigin, Names, Numbers, ReadOptions, Tensor, read, read_extra, write, write_with,
};
use netdyn::model::{BnSpec, Layout, Momentum, Network, Spec};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn networks_saved_by_pytorch_answer_as_there() {
    let text = fs::read_to_string(format!("{FIXTURES}/expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    let expected = expected.as_object().unwrap();
    assert_eq!(expected.len(), 15);
    for (stem, expected) in expected {
        let path = PathBuf::from(format!("{FIXTURES}/{stem}.safetensors"));
        let activation = serde_json::from_value(expected["activation"].clone()).unwrap();
        let options = ReadOptions { activation, ..unit() };
        let options = if stem.starts_with("ours") { ReadOptions::default() } else { options };
        let (network, understood) = read(&path, &options).unwrap_or_else(|why| panic!("{why}"));
        let [x, y] = ["x", "y"].map(|key| serde_json::from_value::<Vec<f64>>(expected[key].clone()).unwrap());
        let got: Vec<f64> = x.chunks(network.spec.inputs()).flat_map(|x| definition(&network, x)).collect();
        // Both sides compute in f64 from the same stored numbers.
        assert_close(stem, &got, &y, 1e-12, 1e-12);
        assert_eq!(understood.layers.len(), network.spec.linears(), "{understood}");
    }
}

/// One sample through the network, by the textbook.
fn definition(network: &Network, x: &[f64]) -> Vec<f64> {
    let spec = &network.spec;
    let (mut p, mut s) = (network.params.iter(), network.running.iter());
    let mut x = x.to_vec();
    for i in 0..spec.linears() {
        let outputs = spec.widths[i + 1];
        let mut take = |n: usize| p.by_ref().take(n).copied().collect::<Vec<f64>>();
        let weight = take(outputs * x.len());
        let bias = if spec.bias[i] { take(outputs) } else { vec![0.0; outputs] };
        let dot = |row: &[f64]| row.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>();
        let mut h: Vec<f64> = weight.chunks(x.len()).zip(&bias).map(|(row, b)| dot(row) + b).collect();
        if spec.norm[i] {
            let (gamma, beta) = (take(outputs), take(outputs));
            let mean: Vec<f64> = s.by_ref().take(outputs).copied().collect();
            let var: Vec<f64> = s.by_ref().take(outputs).copied().collect();
            for k in 0..outputs {
                h[k] = gamma[k] * (h[k] - mean[k]) / (var[k] + spec.bn.eps).sqrt() + beta[k];
            }
        }
        if i + 1 < spec.linears() {
            h.iter_mut().for_each(|h| *h = f(spec.activation, *h));
        }
        x = h;
    }
    assert!(p.next().is_none() && s.next().is_none());
    x
}

fn f(activation: Activation, h: f64) -> f64 {
    match activation {
        Activation::Relu => h.max(0.0),
        Activation::Tanh => h.tanh(),
        Activation::Identity => h,
        Activation::Gaussian => (-h * h).exp(),
        Activation::LeakyRelu => {
            if h > 0.0 {
                h
            } else {
                0.01 * h
            }
        }
        Activation::Sigmoid => 1.0 / (1.0 + (-h).exp()),
        Activation::Gelu => 0.5 * h * (1.0 + erf(h / std::f64::consts::SQRT_2)),
    }
}

/// The error function by its series, for |x| of a few.
fn erf(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn what_we_write_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    for (i, names) in [Names::Modulelist, Names::Sequential].into_iter().enumerate() {
        for (widths, norm) in [
            (&[4, 3, 3, 3, 2][..], &[true, false, true, false][..]),
            (&[4, 3, 3, 3, 2], &[false, false, true, false]),
            (&[4, 3, 3, 3, 2], &[false; 4]),
            (&[3, 3, 3, 3], &[true, true, false]),
            (&[3, 3, 3], &[true, false]),
            (&[5, 1], &[false]),
        ] {
            let network = sample(widths, norm);
            let path = folder.path().join(format!("net-{i}.safetensors"));
            write(&path, &network, names).unwrap();
            let (back, understood) = read(&path, &ReadOptions::default()).unwrap();
            assert_eq!(back, network, "{understood}");
            assert_eq!(understood.input_origin, InputOrigin::File);
        }
    }
}

/// The files `ours-*` are those that `tests/fixtures/make.py` loaded into PyTorch with `strict=True`.
#[test]
fn what_we_write_is_what_pytorch_loaded() {
    for (stem, names) in [("modulelist", Names::Modulelist), ("sequential", Names::Sequential)] {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ours-{stem}.safetensors"));
        write(&written, &sample(&[4, 3, 3, 3, 2], &[true, false, true, false]), names).unwrap();
        let kept = fs::read(format!("{FIXTURES}/ours-{stem}.safetensors"));
        let kept = kept.unwrap_or_else(|why| panic!("copy {} into {FIXTURES}: {why}", written.display()));
        let written = fs::read(&written).unwrap();
        let [written, kept] =
            [&written, &kept].map(|bytes| safetensors::SafeTensors::deserialize(bytes).unwrap());
        let [mut written_tensors, mut kept_tensors] = [written.tensors(), kept.tensors()];
        written_tensors.sort_by(|a, b| a.0.cmp(&b.0));
        kept_tensors.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(written_tensors, kept_tensors);
    }
}

#[test]
fn writing_is_the_same_bytes_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let network = sample(&[4, 3, 2], &[true, false]);
    let files: Vec<Vec<u8>> = (0..3)
        .map(|i| {
            let path = folder.path().join(i.to_string());
            write(&path, &network, Names::Modulelist).unwrap();
            fs::read(path).unwrap()
        })
        .collect();
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn a_checkpoint_comes_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("step-7.safetensors");
    let mut network = sample(&[4, 3, 2], &[true, false]);
    network.params.iter_mut().for_each(|value| *value += 1e-13);
    let mut extra = Extra::default();
    let moments: Vec<f64> = (0..6).map(|i| f64::from(i).sqrt()).collect();
    extra.tensors.insert("adam.first".into(), Tensor::of(&[2, 3], &moments));
    extra.tensors.insert("rng".into(), Tensor::of(&[2], &[u64::MAX, 7]));
    extra.tensors.insert("status".into(), Tensor::of(&[1], &[f32::NAN.to_bits()]));
    extra.metadata.insert("sampler".into(), "epoch 3".into());

    write_with(&path, &network, Names::Modulelist, Numbers::F64, extra.clone()).unwrap();
    assert_eq!(read(&path, &ReadOptions::default()).unwrap().0, network);
    let back = read_extra(&path).unwrap();
    assert_eq!(back, extra);
    assert_eq!(back.tensors["adam.first"].values::<f64>(), Some(moments));
    assert_eq!(back.tensors["rng"].values::<u64>(), Some(vec![u64::MAX, 7]));
    assert_eq!(back.tensors["rng"].values::<f64>(), None);
}

#[test]
fn a_network_that_no_reader_would_accept_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.safetensors");
    let mut network = sample(&[4, 3, 2], &[false, false]);
    network.params[12] = 1e300; // first bias: finite in f64, not in f32
    let why = write(&path, &network, Names::Modulelist).unwrap_err();
    assert!(why.to_string().contains("'layers.0.bias'"), "{why}");
    assert!(!path.exists());

    let mut extra = Extra::default();
    extra.tensors.insert("moments".into(), Tensor::of(&[2, 2], &[1.0_f32; 3]));
    let network = sample(&[4, 3, 2], &[false, false]);
    let why = write_with(&path, &network, Names::Modulelist, Numbers::F32, extra).unwrap_err();
    assert!(matches!(why, Error::Shape { .. }), "{why}");
    assert!(!path.exists());
}

#[test]
fn the_table_says_what_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (_, understood) = folder.read(&linears(&[("a.0", 6, 5), ("a.3", 5, 3)]), &unit()).unwrap();
    let table = understood.to_string();
    assert!(table.contains(": 6-5-3, relu, no batch norm, input unit\n"), "{table}");
    assert!(table.contains("\n  3      a.3.weight  [3, 5]     -     -"), "{table}");
}

#[test]
fn a_missing_input_scaling_is_assumed_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let options = ReadOptions { input: None, ..unit() };
    let (network, understood) = folder.read(&linears(&[("a", 6, 5), ("b", 5, 3)]), &options).unwrap();
    assert_eq!((network.input, understood.input_origin), (InputScale::Unit, InputOrigin::Assumed));
    assert!(understood.to_string().contains("ASSUMED"), "{understood}");
}

/// Numbers that f32 holds exactly, no two alike nearby.
fn sample(widths: &[usize], norm: &[bool]) -> Network {
    let spec = Spec {
        widths: widths.to_vec(),
        activation: Activation::Gaussian,
        bias: (0..widths.len() - 1).map(|i| i != 2).collect(),
        norm: norm.to_vec(),
        bn: BnSpec { eps: 1e-5, momentum: Momentum::Fixed(0.1) },
        dropout: 0.0,
    };
    let layout = Layout::of(&spec);
    Network {
        params: (0..layout.params).map(|i| (i * 37 % 101) as f64 / 64.0 - 0.75).collect(),
        running: (0..layout.stats).map(|i| (i * 29 % 53 + 1) as f64 / 32.0).collect(),
        spec,
        input: InputScale::STANDARDIZED,
        step: Some(12_345_678_901),
        config: Some("seed = 1\n[model]\n".into()),
    }
}
