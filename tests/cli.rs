//! The command line: help, exit codes, and sentences that say what to do.

use assert_cmd::Command;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

pub const VERBS: [&[&str]; 11] = [
    &["reproduce"],
    &["train"],
    &["analyze"],
    &["prune"],
    &["report"],
    &["data", "fetch"],
    &["data", "info"],
    &["data", "verify"],
    &["doctor"],
    &["completions"],
    &["man"],
];

/// The program, without a network, with an empty cache and on the CPU.
pub fn netdyn() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("netdyn"));
    command.env("NETDYN_CACHE", "/nonexistent/cache").env("NETDYN_OFFLINE", "1");
    command.env_remove("RAYON_NUM_THREADS").env("CUDA_VISIBLE_DEVICES", "");
    command
}

/// Runs the program; its exit code, stdout and stderr.
pub fn run(args: &[&str]) -> (i32, String, String) {
    let output = netdyn().args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The last line of stderr of a run that has to fail with `code`.
#[track_caller]
pub fn error(code: i32, args: &[&str]) -> String {
    let (got, _, stderr) = run(args);
    assert_eq!(got, code, "{args:?}: {stderr}");
    let line = stderr.lines().find(|line| line.starts_with("error: "));
    line.unwrap_or_else(|| panic!("{args:?}: no error line in {stderr}")).to_owned()
}

/// stdout of a run that has to succeed.
#[track_caller]
pub fn success(args: &[&str]) -> String {
    let (code, stdout, stderr) = run(args);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stdout
}

/// Options of a run of a network so small that it takes no time.
pub fn tiny(steps: u64, out: &Path) -> Vec<String> {
    let mut args: Vec<String> = ["train", "--data", "sample", "--threads", "1"].map(String::from).to_vec();
    for set in ["model.widths=[784,8,8,10]", "train.batch=50", "data.limit=200", "train.lr=0.01"] {
        args.extend(["--set".into(), set.into()]);
    }
    args.extend(["--set".into(), format!("train.steps={steps}")]);
    args.extend(["--out".into(), out.display().to_string()]);
    args
}

/// A trained tiny network, the same for all tests.
pub fn model() -> &'static str {
    static MODEL: LazyLock<(TempDir, String)> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        netdyn().args(tiny(40, &out)).assert().success();
        let path: PathBuf = out.join("checkpoints/step-00000040.safetensors");
        (folder, path.display().to_string())
    });
    &MODEL.1
}

#[test]
fn every_verb_has_help_with_one_example() {
    for verb in VERBS {
        let help = success(&[verb, &["--help"]].concat());
        assert_eq!(help.matches("Example: netdyn").count(), 1, "{verb:?}");
        assert!(help.contains(&format!("Example: netdyn {}", verb.join(" "))), "{verb:?}");
        for option in ["--device", "--threads", "--precision", "--seed", "--data", "--quiet", "--no-progress"]
        {
            assert!(help.contains(option), "{verb:?}: {option}");
        }
    }
}

#[test]
fn the_man_page_covers_all_verbs() {
    let page = success(&["man"]);
    for verb in VERBS {
        assert!(page.contains(&format!("NETDYN {}", verb.join(" ").to_uppercase())), "{verb:?}");
    }
    assert!(page.contains("Exit codes"));
}

#[test]
fn completions_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(success(&["completions", shell]).contains("reproduce"), "{shell}");
    }
}

#[test]
fn doctor_names_what_is_missing_and_the_command_that_mends_it() {
    let text = success(&["doctor", "--threads", "3"]);
    for part in
        ["netdyn 0.", "3 threads", "kernels", "netdyn data fetch mnist", "sample: part of the program"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_sample_is_described() {
    let text = success(&["data", "info", "sample"]);
    assert!(text.contains("train: 2000 samples of 784 pixels in 10 classes"), "{text}");
    assert!(text.contains("test: 1000 samples"), "{text}");
}

#[test]
fn missing_data_say_how_to_get_them() {
    assert!(error(3, &["data", "verify", "mnist"]).contains("netdyn data fetch mnist"));
    assert!(error(3, &["data", "info", "mnist"]).contains("netdyn data fetch mnist"));
    assert!(error(3, &["analyze", "accuracy", model()]).contains("--data sample"));
    assert!(error(3, &["train", "--data", "mnits", "--out", "/nonexistent/run"]).contains("mnist"));
}

#[test]
fn wrong_usage() {
    for args in
        [&["--nonsense"][..], &["nonsense"], &["doctor", "--threads", "0"], &["doctor", "--precision", "f8"]]
    {
        assert_eq!(run(args).0, 2, "{args:?}");
    }
    assert!(error(2, &["data", "fetch", "mnits"]).contains("mnist"));
    assert!(error(2, &["reproduce", "A2z"]).contains("A2"));
    assert!(error(2, &["reproduce", "--precision", "bf16"]).contains("f32 or f64"));
    let unknown = error(2, &["train", "--set", "train.lrr=1", "--data", "sample", "--dry-run"]);
    assert!(unknown.contains("unknown key train.lrr") && unknown.contains("train.lr?"), "{unknown}");
    let negative = error(2, &["train", "--set", "model.widths=[784,-8,10]", "--data", "sample", "--dry-run"]);
    assert!(negative.contains("model.widths"), "{negative}");
    let large = error(2, &["train", "--set", "train.batch=3000", "--data", "sample", "--dry-run"]);
    assert!(large.contains("3000") && large.contains("2000"), "{large}");
}

#[test]
fn a_card_is_not_available() {
    for device in ["cuda", "cuda:1"] {
        let line = error(4, &["analyze", "norms", model(), "--device", device]);
        assert!(line.contains("--device cpu"), "{line}");
    }
}

#[test]
fn report_redraws_and_misses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert!(error(1, &["report", path]).contains("netdyn reproduce"));
    fs::write(folder.path().join("A2a.json"), "{").unwrap();
    assert!(error(3, &["report", path]).contains("A2a.json"));
}

#[test]
fn reproduce_lists_and_plans() {
    assert!(success(&["reproduce", "--list"]).starts_with("A2a"));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let plan =
        success(&["reproduce", "A2a", "--data", "sample", "--dry-run", "--out", out.to_str().unwrap()]);
    assert!(plan.contains("to do"), "{plan}");
    assert!(!out.exists());
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    use std::process::{Command, Stdio};
    let mut child = Command::new(assert_cmd::cargo::cargo_bin!("netdyn"))
        .args(["completions", "zsh"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}
