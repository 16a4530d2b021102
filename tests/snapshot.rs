//! Networks kept from moments of a run, and what is measured of them afterwards.

use crate::common::Quiet;
use netdyn::analysis::{Accuracy, Basin, Space};
use netdyn::backend::Choice;
use netdyn::data::{self, Source, Split, Which};
use netdyn::experiment::{Analysis, Measurement, measure, train};
use netdyn::model::BnMode;
use netdyn::store::RunDir;
use netdyn::train::{Config, Data, Snapshot, snapshot};
use tempfile::TempDir;

const CPU: Choice = Choice::Cpu { threads: 2 };

struct Run {
    folder: TempDir,
    train: Split,
    test: Split,
}

impl Run {
    fn new() -> Run {
        let source = Source::parse("sample").unwrap();
        let load = |which| data::load(&source, which, &()).unwrap().first(200);
        Run { folder: tempfile::tempdir().unwrap(), train: load(Which::Train), test: load(Which::Test) }
    }

    fn config(&self, steps: u64, snapshots: &str) -> Config {
        let toml = format!(
            r#"
            [model]
            widths = [784, 20, 20, 20, 20, 20, 20, 20, 16, 10]
            [bn]
            momentum = 0.01 # running statistics that lag far behind: memorised, and not generalised
            [train]
            batch = 0
            lr = 0.01
            steps = {steps}
            [probe]
            schedule = [0, 2, 5, 10, 22, 32, 46, 60]
            [checkpoint]
            every = 7
            snapshots = {snapshots}
            "#
        );
        Config::parse(&toml, "test", &[]).unwrap().resolve(self.train.len(), 784, 10).unwrap()
    }

    fn data(&self) -> Data<'_> {
        Data { train: &self.train, test: Some(&self.test) }
    }

    fn train(&self, config: &Config) -> RunDir {
        let dir = RunDir::create(self.folder.path()).unwrap();
        train(CPU, config, &self.data(), &dir, &Quiet).unwrap();
        dir
    }
}

/// (step, train accuracy in batch mode, test accuracy in eval mode)
fn rows(dir: &RunDir) -> Vec<(u64, f64, f64)> {
    let metrics = dir.metrics().unwrap();
    let row = |row: &Vec<Option<f64>>| (row[0].unwrap() as u64, row[4].unwrap(), row[6].unwrap());
    metrics.rows.iter().map(row).collect()
}

#[test]
fn each_moment_is_kept() {
    let run = Run::new();
    let dir = run.train(&run.config(60, r#"["best", "memorised", "last", "step-4"]"#));
    let rows = rows(&dir);
    assert!(rows.iter().any(|(step, ..)| *step == 4), "no probe at the snapshot's step: {rows:?}");
    let step = |which| snapshot(&dir, which).unwrap().and_then(|network| network.step);
    let mut best = rows[0];
    let mut memorised = None;
    for &row in &rows {
        if row.2 > best.2 {
            best = row;
        }
        if row.1 >= 0.9 && row.2 <= 0.2 {
            memorised = Some(row.0);
        }
    }
    assert_eq!(step(Snapshot::Best), Some(best.0), "{rows:?}");
    assert_eq!(step(Snapshot::Memorised), memorised, "{rows:?}");
    assert!(memorised.is_some(), "the case is not in the test: {rows:?}");
    assert_eq!((step(Snapshot::Last), step(Snapshot::Step(4))), (Some(60), Some(4)));
}

#[test]
fn a_run_that_goes_on_keeps_the_same() {
    let (whole, parts) = (Run::new(), Run::new());
    let snapshots = r#"["best", "memorised"]"#;
    let once = whole.train(&whole.config(60, snapshots));
    parts.train(&parts.config(35, snapshots));
    let twice = parts.train(&parts.config(60, snapshots));
    for which in [Snapshot::Best, Snapshot::Memorised] {
        let [a, b] = [&once, &twice].map(|dir| snapshot(dir, which).unwrap().unwrap());
        assert!(a.step == b.step && a.params == b.params && a.running == b.running, "{which}");
    }
}

#[test]
fn snapshots_are_measured_once() {
    let run = Run::new();
    let config = run.config(10, r#"["best", "last"]"#);
    let dir = run.train(&config);
    let accuracy = |at| Measurement::new(Analysis::Accuracy, at);
    let basin = Measurement::basin(Snapshot::Last, Space::Sample, &[0.0, 0.2], 2).limited(50);
    let wanted = [
        accuracy(Snapshot::Best),
        accuracy(Snapshot::Best).in_mode(BnMode::Batch),
        accuracy(Snapshot::Memorised),
        basin.clone(),
    ];
    measure(CPU, &wanted, &config, &run.data(), &dir, &Quiet).unwrap();
    let best = rows(&dir).iter().map(|row| row.2).fold(0.0, f64::max);
    let found: Accuracy = wanted[0].result(&dir).unwrap().unwrap();
    assert_eq!(found.test, Some(best));
    assert!(wanted[2].result::<Accuracy>(&dir).unwrap().is_none(), "a moment that the run never had");
    let basin: Basin = basin.result(&dir).unwrap().unwrap();
    assert_eq!(basin.curve.len(), 2);

    let analyses = dir.path().join("analysis");
    let listing = || {
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.path(), entry.metadata().unwrap().modified().unwrap())
        };
        let mut files: Vec<_> = std::fs::read_dir(&analyses).unwrap().map(file).collect();
        files.sort();
        files
    };
    let before = listing();
    measure(CPU, &wanted, &config, &run.data(), &dir, &Quiet).unwrap();
    assert_eq!(before, listing(), "measured again");
}
