//! `netdyn analyze` and `netdyn prune`: results on stdout and in files, refusals.

use crate::cli::{error, model, netdyn, run, success};
use crate::common::network_file::{FIXTURES, linears};
use serde_json::Value;
use std::fs;

/// Analyses the tiny network on 200 samples.
fn analyze(what: &str, more: &[&str]) -> Value {
    let args = ["analyze", what, model(), "--data", "sample", "--limit", "200", "--json", "-", "--seed", "7"];
    serde_json::from_str(&success(&[&args, more].concat())).unwrap()
}

/// A network file of zeros.
fn zeros(folder: &tempfile::TempDir, layers: &[(&str, usize, usize)]) -> String {
    let path = folder.path().join("net.safetensors");
    fs::write(&path, linears(layers).bytes()).unwrap();
    path.display().to_string()
}

#[test]
fn every_result_has_its_frame_and_fields() {
    let noise = ["--amplitudes", "0,0.3", "--trials", "2", "--per-class", "--per-sample"];
    let cases: [(&str, &[&str], &[&str]); 10] = [
        ("accuracy", &["test", "loss", "mse", "per_class"], &[]),
        ("rpd", &["bins", "layers"], &["--bins", "20", "--per-neuron"]),
        ("lmap", &["unpruned", "layers"], &[]),
        ("lp", &["unpruned", "layers"], &[]),
        ("basin", &["space", "trials", "curve", "size", "size_relative", "per_class", "per_sample"], &noise),
        ("geometry", &["layers"], &[]),
        ("project", &["coordinates", "labels", "predicted"], &[]),
        ("cones", &["view", "variance", "cones"], &["--amplitudes", "0.1,0.5", "--trials", "2"]),
        ("norms", &["total", "layers"], &[]),
        ("phase", &["phase", "gradients"], &[]),
    ];
    for (what, fields, options) in cases {
        let result = analyze(what, options);
        assert_eq!(result["schema"], format!("netdyn/{what}/1"));
        assert_eq!(
            (&result["model"], &result["seed"], &result["bn"]),
            (&model().into(), &7.into(), &"eval".into())
        );
        assert!(
            result["device"].as_str().unwrap().starts_with("cpu") && result["version"].is_string(),
            "{what}"
        );
        let samples = if what == "norms" {
            0
        } else if what == "lp" {
            1000
        } else {
            200
        };
        assert_eq!(result["samples"], samples, "{what}");
        for field in fields {
            assert!(result.get(field).is_some(), "{what}: no {field}");
        }
    }
}

#[test]
fn shapes_of_results() {
    let rpd = analyze("rpd", &["--bins", "20", "--layers", "3"]);
    assert_eq!(rpd["layers"].as_array().unwrap().len(), 1);
    let layer = &rpd["layers"][0];
    assert_eq!((&layer["layer"], &layer["neurons"]), (&3.into(), &8.into()));
    assert_eq!(layer["density"].as_array().unwrap().len(), 20);
    assert_eq!(layer["class_density"].as_array().unwrap().len(), 10);
    let basin = analyze("basin", &["--amplitudes", "0.3,0,0.1", "--trials", "2"]);
    let amplitudes: Vec<f64> =
        basin["curve"].as_array().unwrap().iter().map(|point| point["amplitude"].as_f64().unwrap()).collect();
    assert_eq!(amplitudes, [0.3, 0.0, 0.1]);
    assert!(basin.get("per_class").is_none());
    assert_eq!(analyze("accuracy", &["--split", "train", "--bn", "batch"])["bn"], "batch");
}

#[test]
fn all_has_a_key_for_each_analysis() {
    let all = analyze("all", &["--amplitudes", "0,0.3", "--trials", "2"]);
    let keys: Vec<&String> = all.as_object().unwrap().keys().collect();
    let known = ["accuracy", "rpd", "lmap", "lp", "basin", "geometry", "project", "cones", "norms", "phase"];
    assert_eq!(keys, known);
    assert!(all["accuracy"]["train"].is_f64() && all["accuracy"]["test"].is_f64());
    assert_eq!(all["rpd"]["schema"], "netdyn/rpd/1");
}

#[test]
fn several_networks_are_a_list() {
    let args = ["analyze", "norms", model(), model(), "--json", "-"];
    let list: Value = serde_json::from_str(&success(&args)).unwrap();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[0], list[1]);
}

#[test]
fn tables_pictures_and_csv() {
    let folder = tempfile::tempdir().unwrap();
    let whats = ["accuracy", "rpd", "lmap", "lp", "basin", "geometry", "project", "cones", "norms", "phase"];
    for what in whats {
        let [csv, plot] =
            ["csv", "svg"].map(|kind| folder.path().join(format!("{what}.{kind}")).display().to_string());
        let args = ["analyze", what, model(), "--data", "sample", "--limit", "100", "--trials", "1"];
        let (code, table, stderr) = run(&args);
        assert_eq!(code, 0, "{stderr}");
        assert!(table.starts_with(what) && table.lines().count() > 2, "{what}: {table}");
        assert!(stderr.contains("784-8x2-10") && stderr.contains("batch-norm statistics: eval"), "{stderr}");
        let quiet = success(&[&args[..], &["--csv", &csv, "--plot", &plot]].concat());
        assert_eq!(quiet, "");
        let mut reader = csv::Reader::from_path(&csv).unwrap();
        assert!(reader.headers().unwrap().iter().take(2).eq(["model", "analysis"]));
        assert!(reader.records().map(Result::unwrap).count() > 1, "{what}");
        assert!(fs::read_to_string(&plot).unwrap().contains("<svg"), "{what}");
    }
}

#[test]
fn outputs_that_cannot_be_written_fail_before_the_work() {
    assert!(error(2, &["analyze", "norms", model(), "--plot", "net.pdf"]).contains(".svg"));
    assert!(error(2, &["analyze", "all", model(), "--plot", "net.svg"]).contains("--plot"));
    error(1, &["analyze", "norms", model(), "--json", "/nonexistent/folder/x.json"]);
    error(1, &["prune", model(), "--out", "/nonexistent/folder/x.safetensors"]);
}

#[test]
fn files_that_are_refused() {
    let pickle = format!("{FIXTURES}/state.pt");
    let (code, _, stderr) = run(&["analyze", "norms", &pickle]);
    assert!(code == 3 && stderr.contains("torch.load"), "{code}: {stderr}");
    let folder = tempfile::tempdir().unwrap();
    let net = zeros(&folder, &[("a", 784, 8), ("b", 8, 10)]);
    assert!(error(2, &["analyze", "norms", &net]).contains("--activation"));
    success(&["analyze", "norms", &net, "--activation", "tanh"]);
    assert!(error(3, &["analyze", "norms", "/nonexistent.safetensors"]).contains("/nonexistent.safetensors"));
}

#[test]
fn data_that_do_not_fit_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let pixels = zeros(&folder, &[("a", 100, 10)]);
    let line = error(2, &["analyze", "accuracy", &pixels, "--data", "sample"]);
    assert!(line.contains("100") && line.contains("784"), "{line}");
    let classes = zeros(&folder, &[("a", 784, 4)]);
    let line = error(2, &["analyze", "accuracy", &classes, "--data", "sample"]);
    assert!(line.contains('4') && line.contains("10"), "{line}");
}

#[test]
fn options_out_of_range() {
    let fixed = ["analyze", "basin", model(), "--data", "sample", "--limit", "50"];
    for more in [["--amplitudes", "-0.1"], ["--trials", "0"], ["--threshold", "2"], ["--classes", "10"]] {
        let args: Vec<&str> = fixed.iter().copied().chain(more).chain(["--per-class"]).collect();
        assert_eq!(run(&args).0, 2, "{more:?}");
    }
    assert!(
        error(2, &["analyze", "rpd", model(), "--data", "sample", "--layers", "9"]).contains("--layers 9")
    );
    assert_eq!(run(&["analyze", "accuracy", model(), "--data", "sample", "--limit", "0"]).0, 2);
    for (option, value) in [("--trials", "-1"), ("--bins", "-3"), ("--threshold", "-0.5"), ("--limit", "1.5")]
    {
        let line = error(2, &["analyze", "basin", model(), "--data", "sample", option, value]);
        assert!(line.contains(option) && line.contains(value), "{line}");
        assert!(!line.contains("digit"), "{line}");
    }
}

#[test]
fn options_without_effect_are_named() {
    let noted = |what: &str, more: &[&str]| {
        let args = ["analyze", what, model(), "--data", "sample", "--limit", "50", "--trials", "1"];
        let (code, _, stderr) = run(&[&args[..], more].concat());
        assert_eq!(code, 0, "{stderr}");
        let note = |line: &str| Some(line.strip_prefix("note: ")?.split(' ').next()?.to_owned());
        stderr.lines().filter_map(note).collect::<Vec<_>>()
    };
    assert_eq!(noted("norms", &["--bins", "20", "--per-sample"]), ["--bins", "--trials", "--per-sample"]);
    assert_eq!(noted("basin", &["--absolute"]), ["--absolute"]);
    let weight =
        ["--absolute", "--space", "weight", "--classes", "1", "--per-class", "--threshold", "relative"];
    assert!(noted("basin", &weight).is_empty());
    assert!(noted("all", &["--bins", "20", "--layers", "2", "--classes", "1", "--per-neuron"]).is_empty());
}

#[test]
fn a_pruned_network_is_smaller_and_read_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    for (at, more) in
        [&["--from", "2"][..], &["--from", "3", "--lp", "--names", "sequential"]].iter().enumerate()
    {
        let out = folder.path().join(format!("{at}.safetensors")).display().to_string();
        let args = ["prune", model(), "--out", &out, "--data", "sample"];
        let table = success(&[&args[..], more].concat());
        assert!(table.contains("before") && table.contains("after"), "{table}");
        let accuracy = success(&["analyze", "accuracy", &out, "--data", "sample", "--json", "-"]);
        let accuracy: Value = serde_json::from_str(&accuracy).unwrap();
        assert!(accuracy["test"].is_f64());
    }
    let out = folder.path().join("never.safetensors").display().to_string();
    assert_eq!(run(&["prune", model(), "--out", &out, "--data", "sample", "--from", "9"]).0, 2);
    assert!(!folder.path().join("never.safetensors").exists());
}

/// An analysis has nothing to save, so the first signal ends it.
#[cfg(unix)]
#[test]
fn a_signal_ends_an_analysis_at_once() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("netdyn"))
            .args(["analyze", "basin", model(), "--data", "sample", "--trials", "1000000"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("device: ")));
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        assert!(lines.any(|line| line.starts_with("error: stopped by SIG")), "{signal}");
    }
}

/// Cones need three neurons before the output; the other analyses do not.
#[test]
fn all_leaves_out_what_does_not_apply() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("narrow");
    let sets = ["--set", "model.widths=[784,2,10]", "--set", "train.steps=1", "--set", "train.batch=100"];
    netdyn().args(["train", "--data", "sample", "--out"]).arg(&model).args(sets).assert().success();
    let file = model.join("checkpoints/step-00000001.safetensors");
    let out = netdyn()
        .args(["analyze", "all", "--data", "sample", "--limit", "40", "--trials", "1", "--json", "-"])
        .arg(&file)
        .assert()
        .success();
    let all: Value = serde_json::from_slice(&out.get_output().stdout).unwrap();
    assert!(all["cones"]["inapplicable"].is_string(), "{}", all["cones"]);
    assert!(all["rpd"]["layers"].is_array() && all["norms"]["total"].is_number());
    netdyn().args(["analyze", "cones", "--data", "sample"]).arg(&file).assert().code(2);
}
