//! Network files: what PyTorch wrote is read right, what is wrong is refused by name, what we write comes back.

use crate::common::assert_close;
use netdyn::Error;
use netdyn::backend::Activation;
use netdyn::data::InputScale;
use netdyn::model::file::{
    Extra, InputOrigin, Names, Numbers, ReadOptions, Tensor, Understood, read, read_extra, write, write_with,
};
use netdyn::model::{BnSpec, Layout, Momentum, Network, Spec};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

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
fn pickles_are_refused_with_the_lines_that_convert_them() {
    for name in ["state.pt", "legacy.pt"] {
        let why = error(&PathBuf::from(format!("{FIXTURES}/{name}")), &unit());
        assert_eq!(why.exit_code(), 3, "{why}");
        assert!(why.to_string().contains("import torch, safetensors.torch\n"), "{why}");
        assert!(why.to_string().contains("save_file(torch.load("), "{why}");
    }
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

#[test]
fn layers_are_put_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for (layers, order) in [
        // Gaps, and 2 before 10.
        (vec![("10", 4, 4), ("2", 4, 4), ("0", 6, 4), ("31", 4, 3)], vec!["0", "2", "10", "31"]),
        // Alphabetical order is wrong; only one chains.
        (vec![("hid", 5, 5), ("inp", 6, 5), ("out", 5, 3)], vec!["inp", "hid", "out"]),
        // A wrapper's name before some only is not a wrapper.
        (
            vec![("inp", 6, 5), ("net.0", 5, 5), ("net.2", 5, 5), ("out", 5, 3)],
            vec!["inp", "net.0", "net.2", "out"],
        ),
        // The walk 6→5→4→5→3 goes through 5 twice, and only one way.
        (vec![("a", 5, 3), ("b", 4, 5), ("c", 5, 4), ("d", 6, 5)], vec!["d", "c", "b", "a"]),
        // The last size is the first.
        (vec![("x", 6, 5), ("y", 5, 6)], vec!["x", "y"]),
        // Names differing in something else than a dot, with numbers inside.
        (vec![("fc2_", 5, 5), ("fc10_", 5, 3), ("fc1_", 6, 5)], vec!["fc1_", "fc2_", "fc10_"]),
    ] {
        let (_, understood) = folder.read(&linears(&layers), &unit()).unwrap();
        let got: Vec<&str> = understood.layers.iter().map(|l| l.weight.trim_end_matches("weight")).collect();
        let got: Vec<&str> = got.into_iter().map(|name| name.trim_end_matches('.')).collect();
        assert_eq!(got, order);
    }
}

#[test]
fn several_orders_ask_and_the_answer_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = linears(&[("hid1", 5, 5), ("hid2", 5, 5), ("inp", 6, 5), ("out", 5, 3)]);
    let why = folder.read(&file, &unit()).unwrap_err();
    assert_eq!(why.exit_code(), 2);
    assert!(why.to_string().contains("--layer-order"), "{why}");

    let order = |text: &str| ReadOptions {
        layer_order: Some(text.split(',').map(str::to_owned).collect()),
        ..unit()
    };
    for text in ["inp,hid2,hid1,out", "inp.weight,hid2,hid1.weight,out"] {
        let (_, understood) = folder.read(&file, &order(text)).unwrap();
        assert_eq!(understood.layers[1].weight, "hid2.weight");
    }
    for text in ["inp,hid1,out", "inp,hid1,hid1,out", "hid1,inp,hid2,out", "inp,hid1,hid3,out"] {
        assert_eq!(folder.read(&file, &order(text)).unwrap_err().exit_code(), 2, "{text}");
    }
    let file = linears(&[
        ("module.net.hid1", 5, 5),
        ("module.net.hid2", 5, 5),
        ("module.net.inp", 6, 5),
        ("module.net.out", 5, 3),
    ]);
    for text in ["inp,hid2,hid1,out", "module.net.inp,hid2,module.net.hid1.weight,out.weight"] {
        let (_, understood) = folder.read(&file, &order(text)).unwrap();
        assert_eq!(understood.layers[1].weight, "module.net.hid2.weight");
    }
    // Two cycles that may be walked in either order, and a circuit without a beginning.
    for layers in [
        vec![("a", 5, 7), ("b", 7, 5), ("c", 8, 5), ("d", 5, 8), ("e", 5, 3), ("f", 6, 5)],
        vec![("a", 5, 6), ("b", 7, 5), ("c", 6, 7)],
    ] {
        assert_eq!(folder.read(&linears(&layers), &unit()).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn a_broken_chain_names_the_tensors() {
    let folder = tempfile::tempdir().unwrap();
    for layers in [
        vec![("a", 6, 5), ("b", 4, 3)],
        vec![("a", 6, 5), ("b", 5, 3), ("c", 5, 3)],
        vec![("a", 6, 5), ("b", 7, 7), ("c", 5, 3)],
    ] {
        let why = folder.read(&linears(&layers), &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3);
        assert!(why.to_string().contains("'b.weight'"), "{why}");
    }
}

#[test]
fn many_equal_layers_take_no_time() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..300).map(|i| format!("layers.{}", 299 - i)).collect();
    let mut layers: Vec<(&str, usize, usize)> = names.iter().map(|name| (&name[..], 1, 1)).collect();
    assert!(folder.read(&linears(&layers), &unit()).is_ok());
    layers.push(("a", 1, 2));
    assert_eq!(folder.read(&linears(&layers), &unit()).unwrap_err().exit_code(), 2);
}

#[test]
fn batch_norms_find_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let square = |names: &[&'static str]| -> Vec<(&'static str, usize, usize)> {
        names.iter().enumerate().map(|(i, &name)| (name, if i == 0 { 6 } else { 5 }, 5)).collect()
    };
    let none = None;
    for (layers, norms, expected) in [
        (square(&["0", "3", "6"]), vec![("1", 5), ("4", 5)], vec![Some("1"), Some("4"), none]),
        (square(&["0", "2", "5"]), vec![("3", 5)], vec![none, Some("3"), none]),
        (square(&["l.0", "l.1", "l.2", "l.3"]), vec![("b.1", 5)], vec![none, Some("b.1"), none, none]),
        (square(&["l.0", "l.1", "l.2"]), vec![("b.0", 5), ("b.1", 5)], vec![Some("b.0"), Some("b.1"), none]),
        (
            square(&["a.fc", "b.fc", "c.fc"]),
            vec![("n.7", 5), ("n.10", 5)],
            vec![Some("n.7"), Some("n.10"), none],
        ),
        (
            square(&["b.0.fc", "b.1.fc", "z"]),
            vec![("b.0.bn", 5), ("b.1.bn", 5)],
            vec![Some("b.0.bn"), Some("b.1.bn"), none],
        ),
        (square(&["h.0.0", "h.1.0", "z"]), vec![("h.1.1", 5)], vec![none, Some("h.1.1"), none]),
        // Counted from 1 and from 0.
        (
            vec![("fc0", 6, 5), ("fc1", 5, 5), ("fc2", 5, 3)],
            vec![("bn1", 5), ("bn2", 5)],
            vec![Some("bn1"), Some("bn2"), none],
        ),
        // No numbers, but one place of this size.
        (
            vec![("inp", 6, 5), ("hid", 5, 4), ("out", 4, 3)],
            vec![("norm", 4)],
            vec![none, Some("norm"), none],
        ),
    ] {
        let (_, understood) = folder.read(&with_norms(&layers, &norms), &unit()).unwrap();
        let got: Vec<Option<&str>> = understood.layers.iter().map(|layer| layer.norm.as_deref()).collect();
        assert_eq!(got, expected);
    }
}

#[test]
fn unclear_batch_norms_ask_and_the_answer_counts() {
    let folder = tempfile::tempdir().unwrap();
    let named = [("inp", 6, 5), ("hid", 5, 5), ("out", 5, 3)];
    for (layers, norms) in [
        (&named[..], &[("bn_hid", 5), ("bn_inp", 5)][..]),
        (&named[..], &[("bn", 5)]),
        // Something stands between layer and norm: perhaps the activation.
        (&[("0", 6, 5), ("3", 5, 5), ("6", 5, 3)], &[("2", 5), ("5", 5)]),
        // The numbers say one thing, the count another.
        (&[("fc0", 6, 5), ("fc1", 5, 5), ("fc2", 5, 5)], &[("bn1", 5), ("bn2", 5)]),
    ] {
        let file = with_norms(layers, norms);
        let why = folder.read(&file, &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 2, "{why}");
        assert!(why.to_string().contains("--bn-layers"), "{why}");
    }

    let file = with_norms(&named, &[("bn_hid", 5), ("bn_inp", 5)]);
    let layers = |layers: &[usize]| ReadOptions { bn_layers: Some(layers.to_vec()), ..unit() };
    let (_, understood) = folder.read(&file, &layers(&[3, 2])).unwrap();
    assert_eq!(understood.layers[0].norm.as_deref(), Some("bn_inp"));
    for wrong in [&[3][..], &[2, 2], &[1, 2], &[2, 4], &[2, 3, 4], &[usize::MAX, 0]] {
        assert_eq!(folder.read(&file, &layers(wrong)).unwrap_err().exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn impossible_batch_norms_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (layers, norm) in [
        (&[("0", 6, 5), ("2", 5, 3)][..], ("3", 3)), // after the last layer
        (&[("fc1", 6, 5), ("fc2", 5, 3)], ("bn", 3)),
        (&[("fc", 6, 5)], ("bn", 5)),
        (&[("fc1", 6, 5), ("fc2", 5, 3)], ("bn", 6)), // on the input
    ] {
        let why = folder.read(&with_norms(layers, &[norm]), &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3, "{why}");
        assert!(why.to_string().contains(norm.0), "{why}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, shape: &[usize]| {
        let mut file = linears(&[("a", 6, 5), ("b", 5, 3)]);
        file.add(name, "F32", shape, &vec![0; 4 * shape.iter().product::<usize>()]);
        file
    };
    for (name, shape) in [
        ("c.bias", &[3][..]),
        ("a.bias", &[6]),
        ("a.bias", &[5, 1]),
        ("scale", &[1]),
        ("c.weight", &[5]),
        ("conv.weight", &[2, 2, 2]),
        ("n.running_mean", &[5]),
        ("c.weight", &[]),
        ("c.weight", &[0, 5]),
        ("a.bias", &[0]),
    ] {
        let why = folder.read(&with(name, shape), &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3, "{why}");
        assert!(why.to_string().contains(&format!("'{name}'")), "{why}");
    }
    for name in ["n.num_batches_tracked", "netdyn.anything"] {
        assert!(folder.read(&with(name, &[1]), &unit()).is_ok(), "{name}");
    }
    let mut file = linears(&[("a", 6, 5)]);
    file.add("b.weight", "I32", &[3, 5], &[0; 60]);
    assert!(folder.read(&file, &unit()).unwrap_err().to_string().contains("I32"));
}

#[test]
fn values_that_are_not_finite_are_named_with_their_index() {
    let folder = tempfile::tempdir().unwrap();
    for (dtype, bytes) in [
        ("F32", &f32::NAN.to_le_bytes()[..]),
        ("F32", &f32::NEG_INFINITY.to_le_bytes()),
        ("F64", &f64::INFINITY.to_le_bytes()),
        ("F16", &0x7c00_u16.to_le_bytes()),
        ("BF16", &0x7fc0_u16.to_le_bytes()),
    ] {
        let mut data = vec![0; 15 * bytes.len()];
        data[7 * bytes.len()..8 * bytes.len()].copy_from_slice(bytes);
        let mut file = linears(&[("a", 6, 5)]);
        file.add("b.weight", dtype, &[3, 5], &data);
        let why = folder.read(&file, &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3);
        assert!(why.to_string().contains("'b.weight'") && why.to_string().contains("index 7"), "{why}");
    }
    let mut file = linears(&[("0", 6, 5), ("3", 5, 3)]);
    file.add("1.running_mean", "F32", &[5], &[0; 20]);
    file.add("1.running_var", "F32", &[5], &[0xbf; 20]);
    assert!(folder.read(&file, &unit()).unwrap_err().to_string().contains("'1.running_var' is negative"));
}

#[test]
fn metadata_and_options_agree_or_fail() {
    let folder = tempfile::tempdir().unwrap();
    let file = |key: &str, text: &str| {
        let mut file = linears(&[("a", 6, 5), ("b", 5, 3)]);
        file.metadata = json!({key: text});
        file
    };
    let none = ReadOptions::default();
    let relu = ReadOptions { activation: Some(Activation::Relu), ..none.clone() };
    for (key, text, options, code) in [
        ("format", "pt", &none, 2),               // no activation
        ("netdyn.activation", "swish", &none, 2), // unknown
        ("netdyn.activation", "swish", &relu, 2),
        ("netdyn.activation", "tanh", &relu, 2), // contradiction
        ("netdyn.input", "standardized", &unit(), 2),
        ("netdyn.input", "0.5", &relu, 3),
        ("netdyn.bn_eps", "-1", &relu, 3),
        ("netdyn.bn_eps", "NaN", &relu, 3),
        ("netdyn.bn_eps", "tiny", &relu, 3),
        ("netdyn.step", "-4", &relu, 3),
    ] {
        let why = folder.read(&file(key, text), options).unwrap_err();
        assert_eq!(why.exit_code(), code, "{key} {text}: {why}");
    }
    let why = folder.read(&file("format", "pt"), &none).unwrap_err().to_string();
    assert!(why.contains("--activation relu|tanh|identity|gaussian|leaky_relu|sigmoid|gelu"), "{why}");
    let (network, _) = folder.read(&file("netdyn.input", "0.25,0.5"), &relu).unwrap();
    assert_eq!(network.input, InputScale::Affine { mean: 0.25, std: 0.5 });
    let (network, _) = folder.read(&file("netdyn.activation", "leaky_relu"), &none).unwrap();
    assert_eq!(network.spec.activation, Activation::LeakyRelu);
    // One matrix needs no activation.
    assert!(folder.read(&linears(&[("a", 6, 5)]), &none).is_ok());
}

#[test]
fn headers_that_lie_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let raw = |header: &str, data: usize| {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let one = |shape: &str, offsets: &str| {
        format!(r#"{{"a.weight":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let entry = r#"{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}"#;
    assert!(folder.read_bytes(&raw(&one("[2,1]", "[0,8]"), 8)).is_ok());
    for (what, bytes) in [
        ("empty", vec![]),
        ("short", vec![1, 2, 3]),
        ("no tensors", raw("{}", 0)),
        ("huge header", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("header beyond the file", [&90_000_000_u64.to_le_bytes()[..], b"{}"].concat()),
        ("truncated", raw(&one("[2,1]", "[0,8]"), 7)),
        ("longer", raw(&one("[2,1]", "[0,8]"), 9)),
        ("overflow", raw(&one("[4294967296,4294967296,4]", "[0,8]"), 8)),
        ("reversed", raw(&one("[2,1]", "[8,0]"), 8)),
        ("gap", raw(&one("[2,1]", "[1,9]"), 9)),
        ("beyond", raw(&one("[2,1]", "[0,18446744073709551615]"), 8)),
        ("wrong size", raw(&one("[3,1]", "[0,8]"), 8)),
        ("negative", raw(&one("[-2,1]", "[0,8]"), 8)),
        ("unknown type", raw(&one("[2,1]", "[0,8]").replace("F32", "F33"), 8)),
        ("twice", raw(&format!(r#"{{"a.weight":{entry},"a.weight":{entry}}}"#), 8)),
        ("metadata twice", raw(&format!(r#"{{"__metadata__":{{"a":"1","a":"2"}},"a.weight":{entry}}}"#), 8)),
        (
            "two metadata",
            raw(&format!(r#"{{"__metadata__":{{}},"__metadata__":{{}},"a.weight":{entry}}}"#), 8),
        ),
        ("overlap", raw(&format!(r#"{{"a.weight":{entry},"b.weight":{entry}}}"#), 8)),
        ("an array", raw("[1,2]", 0)),
        ("deep", raw(&format!(r#"{{"a":{}"#, "[".repeat(100_000)), 0)),
        ("not UTF-8", [&4_u64.to_le_bytes()[..], b"\xff\xfe{}"].concat()),
        ("pickle", [&[0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46][..], b"..."].concat()),
    ] {
        let why = folder.read_bytes(&bytes).unwrap_err();
        assert!(matches!(why, Error::File { .. }), "{what}: {why}");
    }
    assert_eq!(error(&folder.path().join("absent.safetensors"), &unit()).exit_code(), 3);
    assert_eq!(error(folder.path(), &unit()).exit_code(), 3);
}

/// A header of 640 bytes starts as a pickle of protocol 2 does.
#[test]
fn a_header_length_is_not_mistaken_for_a_pickle() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = linears(&[("a", 6, 5)]).bytes();
    let header = bytes.len() - 8 - 120;
    let mut padded = 640_u64.to_le_bytes().to_vec();
    padded.extend(&bytes[8..8 + header]);
    padded.resize(648, b' ');
    padded.extend(&bytes[8 + header..]);
    assert!(folder.read_bytes(&padded).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = tempfile::tempdir().unwrap().read_bytes(&bytes);
    }

    #[test]
    fn no_change_of_a_good_file_makes_it_panic(
        which in 0..3_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let stem = ["sequential", "not-affine", "ours-modulelist"][which];
        let mut bytes = fs::read(format!("{FIXTURES}/{stem}.safetensors")).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = tempfile::tempdir().unwrap().read_bytes(&bytes);
    }

    /// Small sizes and few names, so that orders and norms of every kind come up.
    #[test]
    fn no_set_of_tensors_makes_it_panic(
        tensors in prop::collection::btree_map(
            "(|a\\.|b|net\\.)[0-3]{0,2}[._]?(weight|bias|running_mean|running_var)",
            prop::collection::vec(1..3_usize, 0..3),
            0..9,
        ),
    ) {
        let mut file = File::default();
        for (name, shape) in &tensors {
            file.add(name, "F32", shape, &vec![0; 4 * shape.iter().product::<usize>()]);
        }
        let _ = tempfile::tempdir().unwrap().read(&file, &unit());
    }
}

/// A safetensors file put together by hand.
#[derive(Default)]
struct File {
    header: serde_json::Map<String, Value>,
    metadata: Value,
    data: Vec<u8>,
}

impl File {
    fn add(&mut self, name: &str, dtype: &str, shape: &[usize], data: &[u8]) {
        if self.header.contains_key(name) {
            return;
        }
        let offsets = [self.data.len(), self.data.len() + data.len()];
        self.header.insert(name.into(), json!({"dtype": dtype, "shape": shape, "data_offsets": offsets}));
        self.data.extend(data);
    }

    fn bytes(&self) -> Vec<u8> {
        let mut header = self.header.clone();
        if self.metadata.is_object() {
            header.insert("__metadata__".into(), self.metadata.clone());
        }
        let header = Value::Object(header).to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &self.data].concat()
    }
}

/// Layers of (name, inputs, outputs); a name that ends in `_` is not followed by a dot.
fn linears(layers: &[(&str, usize, usize)]) -> File {
    let mut file = File::default();
    for (name, inputs, outputs) in layers {
        let dot = if name.ends_with('_') { "" } else { "." };
        file.add(&format!("{name}{dot}weight"), "F32", &[*outputs, *inputs], &vec![0; 4 * inputs * outputs]);
    }
    file
}

fn with_norms(layers: &[(&str, usize, usize)], norms: &[(&str, usize)]) -> File {
    let mut file = linears(layers);
    for (name, features) in norms {
        for part in ["running_mean", "running_var"] {
            file.add(&format!("{name}.{part}"), "F32", &[*features], &vec![0; 4 * features]);
        }
    }
    file
}

trait ReadIn {
    fn read(&self, file: &File, options: &ReadOptions) -> netdyn::Result<(Network, Understood)>;
    fn read_bytes(&self, bytes: &[u8]) -> netdyn::Result<(Network, Understood)>;
}

impl ReadIn for tempfile::TempDir {
    fn read(&self, file: &File, options: &ReadOptions) -> netdyn::Result<(Network, Understood)> {
        let path = self.path().join("net.safetensors");
        fs::write(&path, file.bytes()).unwrap();
        read(&path, options)
    }

    fn read_bytes(&self, bytes: &[u8]) -> netdyn::Result<(Network, Understood)> {
        let path = self.path().join("net.safetensors");
        fs::write(&path, bytes).unwrap();
        read(&path, &ReadOptions { activation: Some(Activation::Relu), ..ReadOptions::default() })
    }
}

fn unit() -> ReadOptions {
    ReadOptions {
        activation: Some(Activation::Relu),
        input: Some(InputScale::Unit),
        ..ReadOptions::default()
    }
}

fn error(path: &Path, options: &ReadOptions) -> Error {
    read(path, options).unwrap_err()
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
