//! `netdyn train`: what a folder holds, stopping, going on.

use crate::cli::{error, netdyn, run, success, tiny};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Run {
    _folder: TempDir,
    out: PathBuf,
}

impl Run {
    fn new() -> Run {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        Run { _folder: folder, out }
    }

    /// Trains up to a step.
    fn train(&self, steps: u64, more: &[&str]) -> (i32, String, String) {
        let args = tiny(steps, &self.out);
        run(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.out.join(name)).unwrap()
    }

    fn checkpoint(&self, step: u64) -> Vec<u8> {
        fs::read(self.out.join(format!("checkpoints/step-{step:08}.safetensors"))).unwrap()
    }

    fn manifest(&self) -> serde_json::Value {
        serde_json::from_str(&self.text("manifest.json")).unwrap()
    }

    /// The metrics without the seconds, which differ from run to run.
    fn metrics(&self) -> Vec<Vec<String>> {
        let row = |line: &str| {
            let cells = line.split(',').enumerate().filter(|(at, _)| *at != 2);
            cells.map(|(_, cell)| cell.to_owned()).collect()
        };
        self.text("metrics.csv").lines().map(row).collect()
    }
}

#[test]
fn a_run_is_complete() {
    let tiny = Run::new();
    let (code, stdout, stderr) = tiny.train(20, &["--seed", "3"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("accuracy") && stdout.contains("step-00000020.safetensors"), "{stdout}");
    assert!(stderr.contains("device: cpu") && stderr.contains("parameters"), "{stderr}");
    let manifest = tiny.manifest();
    assert_eq!(
        (&manifest["status"], &manifest["step"], &manifest["seed"]),
        (&"done".into(), &20.into(), &3.into())
    );
    let config = tiny.text("config.toml");
    for key in ["seed = 3", "steps = 20", "bias = false", "precision = \"f32\"", "name = \"sample\""] {
        assert!(config.contains(key), "{key}: {config}");
    }
    assert!(tiny.text("metrics.csv").starts_with("step,epoch,seconds,train_loss,train_accuracy,test_loss"));
}

#[test]
fn quiet_is_quiet() {
    let (code, _, stderr) = Run::new().train(5, &["--quiet"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn a_folder_with_a_run_is_not_overwritten() {
    let tiny = Run::new();
    assert_eq!(tiny.train(5, &[]).0, 0);
    let (code, _, stderr) = tiny.train(5, &[]);
    assert!(code == 2 && stderr.contains("--resume"), "{code}: {stderr}");
}

#[test]
fn resumed_is_bit_for_bit_the_same() {
    let (whole, parts) = (Run::new(), Run::new());
    assert_eq!(whole.train(40, &[]).0, 0);
    assert_eq!(parts.train(17, &[]).0, 0);
    // A crash may have cut a row short.
    let metrics = parts.text("metrics.csv");
    fs::write(parts.out.join("metrics.csv"), metrics + "18,4.5").unwrap();
    let (code, _, stderr) = parts.train(40, &["--resume"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(whole.checkpoint(40) == parts.checkpoint(40), "the last checkpoints differ");
    let (whole, parts) = (whole.metrics(), parts.metrics());
    assert_eq!(whole.last(), parts.last());
    assert!(parts.iter().all(|row| row.len() == parts[0].len()));
}

#[test]
fn resuming_without_a_configuration_takes_the_stored_one() {
    let tiny = Run::new();
    assert_eq!(tiny.train(10, &[]).0, 0);
    let out = tiny.out.to_str().unwrap();
    success(&["train", "--out", out, "--resume", "--set", "train.steps=12"]);
    assert_eq!(tiny.manifest()["step"], 12);
    success(&["train", "--out", out, "--resume", "--set", "train.epochs=4"]);
    assert_eq!(tiny.manifest()["step"], 16); // four batches an epoch
    assert!(error(2, &["train", "--out", out, "--resume", "--set", "train.steps=3"]).contains("train.steps"));
}

#[test]
fn resuming_refuses_other_settings() {
    let tiny = Run::new();
    assert_eq!(tiny.train(5, &[]).0, 0);
    let (code, _, stderr) = tiny.train(10, &["--resume", "--set", "train.lr=0.5"]);
    assert!(code == 2 && stderr.contains("train.lr"), "{code}: {stderr}");
    let (code, _, stderr) = tiny.train(10, &["--resume", "--set", "checkpoint.every=3"]);
    assert_eq!(code, 0, "{stderr}");
}

#[test]
fn a_file_in_place_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("file");
    fs::write(&out, "mine").unwrap();
    let (code, _, stderr) = Run { _folder: folder, out: out.clone() }.train(5, &[]);
    assert!(code == 1 && stderr.contains("error: "), "{code}: {stderr}");
}

#[test]
fn one_process_to_a_folder() {
    let tiny = Run::new();
    fs::create_dir_all(&tiny.out).unwrap();
    let lock = fs::File::create(tiny.out.join(".lock")).unwrap();
    lock.lock().unwrap();
    let (code, _, stderr) = tiny.train(5, &[]);
    assert!(code == 1 && stderr.contains("another process"), "{code}: {stderr}");
}

#[test]
fn a_diverging_run_stops_with_its_last_good_state() {
    let tiny = Run::new();
    let (code, _, stderr) = tiny.train(20, &["--set", "train.optimizer=sgd", "--set", "train.lr=1e30"]);
    assert_eq!(code, 5, "{stderr}");
    assert_eq!(tiny.manifest()["status"], "non_finite");
}

#[test]
fn a_dry_run_says_what_would_happen() {
    let tiny = Run::new();
    let (code, stdout, _) = tiny.train(20, &["--dry-run"]);
    assert_eq!(code, 0);
    for part in ["widths = [784, 8, 8, 10]", "steps = 20", "parameters", "20 of 20 steps", "MB of memory"] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    assert!(!tiny.out.exists());
}

#[test]
fn no_time_is_exit_code_75_and_the_same_command_goes_on() {
    let (whole, parts) = (Run::new(), Run::new());
    let (code, _, stderr) = parts.train(20, &["--max-time", "0s"]);
    assert!(code == 75 && stderr.contains("--resume"), "{code}: {stderr}");
    assert_eq!(parts.manifest()["status"], "stopped");
    assert_eq!(parts.train(20, &["--resume"]).0, 0);
    assert_eq!(whole.train(20, &[]).0, 0);
    assert!(whole.checkpoint(20) == parts.checkpoint(20), "the last checkpoints differ");
}

#[cfg(unix)]
#[test]
fn signals_save_the_state() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("USR1", 75)] {
        let (whole, parts) = (Run::new(), Run::new());
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("netdyn"))
            .args(tiny(1_000_000_000, &parts.out))
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        wait_for_row(&parts.out.join("metrics.csv"), "\n2,");
        std::process::Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal}");
        let manifest = parts.manifest();
        assert_eq!(manifest["status"], "stopped", "{signal}");
        let step = manifest["step"].as_u64().unwrap();
        assert_eq!(parts.train(step + 5, &["--resume"]).0, 0, "{signal}");
        if signal == "INT" {
            assert_eq!(whole.train(step + 5, &[]).0, 0);
            assert!(
                whole.checkpoint(step + 5) == parts.checkpoint(step + 5),
                "{signal}: the checkpoints differ"
            );
        }
    }
}

#[cfg(unix)]
fn wait_for_row(path: &Path, row: &str) {
    let start = std::time::Instant::now();
    while !fs::read_to_string(path).is_ok_and(|text| text.contains(row)) {
        assert!(start.elapsed().as_secs() < 20, "{} never held {row:?}", path.display());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_configuration_file_is_read() {
    let tiny = Run::new();
    let file = tiny._folder.path().join("config.toml");
    fs::write(&file, "[model]\nwidths = [784, 8, 10]\n[train]\nsteps = 3\nbach = 5\n").unwrap();
    let (file, out) = (file.to_str().unwrap(), tiny.out.to_str().unwrap());
    let line = error(2, &["train", file, "--data", "sample", "--out", out]);
    assert!(
        line.contains("config.toml") && line.contains("train.bach") && line.contains("train.batch"),
        "{line}"
    );
    netdyn().args(["train", "/nonexistent.toml", "--out", out]).assert().code(2);
}
