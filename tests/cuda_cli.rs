//! The program on a machine with a card, as the stand-in for the driver plays it: what is chosen, what is stored, and
//! one sentence for everything that can be missing.

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

pub const ON_STAND_IN: &[crate::StandInCase] = &[
    ("doctor_describes_cards", doctor_describes_cards),
    ("what_is_missing_is_one_sentence", what_is_missing_is_one_sentence),
    ("auto_says_what_it_took_and_why", auto_says_what_it_took_and_why),
    ("precisions_belong_to_processors", precisions_belong_to_processors),
    ("results_name_card_and_precision", results_name_card_and_precision),
    ("a_figure_names_its_card", a_figure_names_its_card),
    ("evaluation_fits_into_little_memory", evaluation_fits_into_little_memory),
    ("too_little_memory_says_what_fits", too_little_memory_says_what_fits),
];

/// Variables of `tests/host_cuda` that describe another card or driver.
type Machine<'a> = &'a [(&'a str, &'a str)];

const USUAL: Machine = &[];
const HOPPER: Machine = &[("HOST_CUDA_CAPABILITY", "9.0")];
const NO_CARD: Machine = &[("HOST_CUDA_DEVICE", "none")];
const OLD_DRIVER: Machine = &[("HOST_CUDA_DRIVER", "12040")];
const OLD_CARD: Machine = &[("HOST_CUDA_CAPABILITY", "7.5")];
const NO_DRIVER: Machine = &[("LD_LIBRARY_PATH", "/nonexistent")];

const NAME: &str = "CPU standing in for a GPU";

/// Runs the program on a machine; its exit code, stdout and stderr.
fn run(machine: Machine, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netdyn"));
    command.env("NETDYN_CACHE", "/nonexistent/cache").env("NETDYN_OFFLINE", "1");
    command.envs(machine.iter().copied()).args(args);
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// stdout and stderr of a run that has to succeed.
#[track_caller]
fn success(machine: Machine, args: &[&str]) -> (String, String) {
    let (code, stdout, stderr) = run(machine, args);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    (stdout, stderr)
}

/// The sentence of a run that has to fail with `code`.
#[track_caller]
fn error(code: i32, machine: Machine, args: &[&str]) -> String {
    let (got, _, stderr) = run(machine, args);
    assert_eq!(got, code, "{args:?}: {stderr}");
    let errors: Vec<&str> = stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{args:?}: {stderr}");
    errors[0].to_owned()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

/// A small run on the built-in sample; `more` are further options.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let sets = ["--set", "model.widths=[784,8,8,10]", "--set", "train.batch=50", "--set", "data.limit=200"];
    let steps = ["--set", "train.steps=6", "--set", "probe.what=[]", "--data", "sample", "--threads", "1"];
    [&["train", "--out", out], &sets[..], &steps, more].concat()
}

/// A folder and the path of a run in it.
fn folder() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run").display().to_string();
    (folder, out)
}

fn json(path: &str) -> serde_json::Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn doctor_describes_cards() {
    let (text, _) = success(HOPPER, &["doctor"]);
    has(
        &text,
        &["kernels   for ", "driver    CUDA 13.0", "cuda:0", NAME, "capability 9.0", "the kernels run on it"],
    );
    has(&text, &["64.0 GiB"]);
    has(&success(OLD_CARD, &["doctor"]).0, &["capability 7.5", "of no use", "need 8.0"]);
    has(&success(OLD_DRIVER, &["doctor"]).0, &["CUDA 12.4", "install driver 580 or newer"]);
    has(&success(NO_CARD, &["doctor"]).0, &["sees no card", "CUDA_VISIBLE_DEVICES"]);
    has(&success(NO_DRIVER, &["doctor"]).0, &["no NVIDIA driver", "install driver 580 or newer"]);
}

fn what_is_missing_is_one_sentence() {
    let (_folder, out) = folder();
    let wanted = |device| train(&out, &["--device", device]);
    let line = error(4, NO_DRIVER, &wanted("cuda"));
    has(&line, &["no NVIDIA driver", "libcuda.so.1", "install driver 580 or newer", "--device cpu"]);
    let line = error(4, OLD_DRIVER, &wanted("cuda"));
    has(&line, &["too old", "CUDA 12.4", "CUDA 13.0", "install driver 580 or newer", "--device cpu"]);
    let line = error(4, NO_CARD, &wanted("cuda"));
    has(&line, &["sees no card", "nvidia-smi", "CUDA_VISIBLE_DEVICES", "--device cpu"]);
    let line = error(4, USUAL, &wanted("cuda:3"));
    has(&line, &["no card 3", "sees 1 card", "netdyn doctor", "--device cpu"]);
    let line = error(4, OLD_CARD, &wanted("cuda"));
    has(&line, &[NAME, "capability 7.5", "need 8.0", "--device cpu"]);
    assert!(!Path::new(&out).exists(), "what cannot be trained leaves no folder");
}

fn auto_says_what_it_took_and_why() {
    let (_folder, out) = folder();
    let plan = train(&out, &["--dry-run"]);
    let (stdout, stderr) = success(USUAL, &plan);
    has(&stderr, &["device: ", NAME, "cuda:0", "f32", "auto"]);
    has(&stdout, &["of GPU memory"]);
    for (machine, why) in [
        (NO_DRIVER, "no NVIDIA driver"),
        (OLD_DRIVER, "CUDA 12.4"),
        (NO_CARD, "sees no card"),
        (OLD_CARD, "capability 7.5"),
    ] {
        let (stdout, stderr) = success(machine, &plan);
        has(&stderr, &["device: cpu, 1 threads (auto: ", why]);
        assert!(!stdout.contains("GPU"), "{stdout}");
    }
    let (_, stderr) = success(USUAL, &train(&out, &["--dry-run", "--precision", "f64"]));
    has(&stderr, &["device: cpu", "f64 runs on the CPU"]);
    let (_, stderr) = success(USUAL, &train(&out, &["--dry-run", "--device", "cpu"]));
    has(&stderr, &["device: cpu, 1 threads\n"]);
}

fn precisions_belong_to_processors() {
    let (_folder, out) = folder();
    let line = error(2, USUAL, &train(&out, &["--device", "cuda", "--precision", "f64"]));
    has(&line, &["f64", "not offered by CUDA", "--device cpu"]);
    // A precision of the settings is as good as the option.
    error(2, USUAL, &train(&out, &["--device", "cuda", "--set", "train.precision=\"f64\""]));
    for precision in ["tf32", "bf16", "simt"] {
        let line = error(2, USUAL, &train(&out, &["--device", "cpu", "--precision", precision]));
        has(&line, &[precision, "f32 or f64"]);
        let line = error(2, NO_CARD, &train(&out, &["--precision", precision]));
        has(&line, &[precision, "f32 or f64", "sees no card"]);
        success(USUAL, &train(&out, &["--dry-run", "--precision", precision]));
    }
    assert!(!Path::new(&out).exists());
}

fn results_name_card_and_precision() {
    let (folder, out) = folder();
    success(USUAL, &train(&out, &["--device", "cuda", "--precision", "simt"]));
    let manifest = json(&format!("{out}/manifest.json"));
    assert_eq!(manifest["device"], NAME);
    assert_eq!(manifest["driver"], "CUDA 13.0");
    assert_eq!(manifest["precision"], "simt");
    let model = format!("{out}/checkpoints/step-00000006.safetensors");
    let stored = folder.path().join("found.json").display().to_string();
    let analyze = ["analyze", "accuracy", &model, "--data", "sample", "--limit", "100", "--json", &stored];
    success(USUAL, &[&analyze[..], &["--precision", "simt"]].concat());
    assert_eq!((&json(&stored)["device"], &json(&stored)["precision"]), (&NAME.into(), &"simt".into()));
    success(USUAL, &[&analyze[..], &["--device", "cpu"]].concat());
    assert_eq!((&json(&stored)["device"], &json(&stored)["precision"]), (&"cpu".into(), &"f32".into()));

    let small = folder.path().join("small.safetensors").display().to_string();
    let prune = ["prune", &model, "--out", &small, "--from", "3", "--data", "sample", "--limit", "100"];
    success(USUAL, &[&prune[..], &["--device", "cuda", "--precision", "simt"]].concat());
    // The same run goes on without the card.
    let resumed = train(&out, &["--resume", "--set", "train.steps=8", "--device", "cuda:0"]);
    success(USUAL, &[&resumed[..], &["--precision", "simt"]].concat());
}

fn a_figure_names_its_card() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().display().to_string();
    let sets = ["--set", "train.steps=1", "--set", "model.widths=[784,8,10]", "--set", "train.batch=50"];
    let args =
        ["reproduce", "A2c", "--data", "sample", "--device", "cuda", "--precision", "bf16", "--out", &out];
    success(USUAL, &[&args[..], &sets].concat());
    let figure = json(&format!("{out}/A2c.json"));
    assert_eq!(figure["provenance"]["device"], NAME);
    assert_eq!(figure["provenance"]["precision"], "bf16");
}

/// The sample's pixels take 0.8 MB of the card; the rest is for a few of its samples at a time.
fn evaluation_fits_into_little_memory() {
    let (folder, out) = folder();
    success(USUAL, &train(&out, &["--device", "cpu"]));
    let model = format!("{out}/checkpoints/step-00000006.safetensors");
    let stored = folder.path().join("found.json").display().to_string();
    for what in ["accuracy", "lmap", "geometry", "project"] {
        let args = ["analyze", what, &model, "--data", "sample", "--split", "test", "--limit", "600"];
        let args = [&args[..], &["--device", "cuda", "--precision", "simt", "--json", &stored]].concat();
        success(USUAL, &args);
        let want = json(&stored);
        success(&[("HOST_CUDA_MEMORY", "3000000")], &args);
        crate::engines::agree(what, &json(&stored), &want, 1e-12);
    }
}

fn too_little_memory_says_what_fits() {
    let (_folder, out) = folder();
    // The plan alone shows it.
    let wide = ["--device", "cuda", "--set", "model.widths=[784,512,10]"];
    let line = error(4, &[("HOST_CUDA_MEMORY", "6000000")], &train(&out, &wide));
    has(&line, &["GB of memory", "model.widths or train.batch"]);
    // Somebody else has the memory, as far as the plan can tell.
    let full = ["--device", "cuda", "--set", "train.batch=1000", "--set", "data.limit=1000"];
    let line = error(4, &[("HOST_CUDA_MEMORY", "3000000")], &train(&out, &full));
    has(&line, &["out of memory on", NAME, "MiB more were needed"]);
}
