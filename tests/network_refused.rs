//! Network files that are refused: what is wrong is named, and no bytes make the reader panic.

use crate::common::network_file::{FIXTURES, File, ReadIn, linears, unit};
use netdyn::Error;
use netdyn::backend::Activation;
use netdyn::data::InputScale;
use netdyn::model::file::{ReadOptions, read};
use proptest::prelude::*;
use serde_json::json;
use std::fs;
use std::path::Path;

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
    assert_eq!(read(&folder.path().join("absent.safetensors"), &unit()).unwrap_err().exit_code(), 3);
    assert_eq!(read(folder.path(), &unit()).unwrap_err().exit_code(), 3);
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

#[test]
fn pickles_are_refused_with_the_lines_that_convert_them() {
    for name in ["state.pt", "legacy.pt"] {
        let why = read(Path::new(&format!("{FIXTURES}/{name}")), &unit()).unwrap_err();
        assert_eq!(why.exit_code(), 3, "{why}");
        assert!(why.to_string().contains("import torch, safetensors.torch\n"), "{why}");
        assert!(why.to_string().contains("save_file(torch.load("), "{why}");
    }
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
