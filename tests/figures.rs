//! The registry of figures as a whole: complete, and every figure made at a tiny scale on the built-in data.

use netdyn::backend::Choice;
use netdyn::experiment::{Request, Scale, list, registry, reproduce};
use netdyn::store::{Figure, Verdict, read_all};
use netdyn::train::Control;
use netdyn::{Error, report};
use std::path::Path;
use std::sync::Mutex;

/// Listens, and stops nothing.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl Control for Log {
    fn stop(&self) -> Option<Error> {
        None
    }
    fn begin(&self, _: &str, _: u64) {}
    fn progress(&self, _: u64) {}
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.into());
    }
}

fn request(out: &Path, ids: &[&str], sets: &[&str], seeds: u64) -> Request {
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    Request {
        ids: owned(ids),
        scale: Scale::Quick,
        seeds,
        seed: 3,
        sets: owned(sets),
        data: Some("sample".into()),
        precision: "f32".into(),
        out: out.into(),
        jobs: 1,
        command: "netdyn reproduce".into(),
    }
}

#[test]
fn ids_are_unique_and_described() {
    let figures = registry();
    let panels = [
        ("A2", "abcde"),
        ("A3", "abcdefghij"),
        ("A4", "abcdef"),
        ("A5", "abc"),
        ("A6", "abcdef"),
        ("A7", "abcdefgh"),
        ("B2", "abcde"),
        ("B3", "abcd"),
        ("B4", "abcdef"),
        ("B5", "abcd"),
        ("B6", "abcdef"),
        ("B7", "abcdefgh"),
        ("B8", "abcd"),
        ("B9", "abcd"),
    ];
    let panels =
        panels.iter().flat_map(|(family, letters)| letters.chars().map(move |l| format!("{family}{l}")));
    let wanted: Vec<String> = panels.chain((1..=4).map(|n| format!("S{n}"))).collect();
    for wanted in &wanted {
        assert_eq!(figures.iter().filter(|figure| figure.id == wanted).count(), 1, "{wanted}");
    }
    assert_eq!(figures.len(), wanted.len());
    let list = list(Choice::Cpu { threads: 2 }, Path::new("not there")).unwrap();
    for figure in figures {
        assert!(!figure.title.is_empty() && figure.source.contains("Paper"), "{}", figure.id);
        assert!(list.contains(figure.id) && list.contains(figure.title), "{}", figure.id);
    }
}

#[test]
fn an_unknown_figure_or_setting_is_refused_before_any_work() {
    let out = tempfile::tempdir().unwrap();
    let log = Log::default();
    let cpu = Choice::Cpu { threads: 2 };
    for (ids, sets, part) in [
        (&["A2z"][..], &[][..], "did you mean"),
        (&["A7a"], &["train.speed=3"], "train.speed"),
        (&["A7a"], &["model.widths=[784,-1,10]"], "model.widths"),
        (&["A7a"], &["model.widths=[784,8,10]"], "needs four numbers, not 3"),
    ] {
        let error = reproduce(cpu, &request(out.path(), ids, sets, 1), &log, &()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(part), "{error}");
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "something was written");
}

#[test]
fn every_figure_is_made_and_nothing_is_done_twice() {
    let out = tempfile::tempdir().unwrap();
    let cpu = Choice::Cpu { threads: 2 };
    let log = Log::default();
    let shallow =
        request(out.path(), &["A2", "B2", "S1"], &["train.steps=12", "model.widths=[784,24,10]"], 2);
    let grokking = request(out.path(), &["A7", "B6"], &["train.steps=20", "model.widths=[784,12,11,10]"], 1);
    let deep = ["A3", "A4", "A5", "A6", "B3", "B4", "B5", "B7", "B8", "B9", "S2", "S3", "S4"];
    let deep = Request { jobs: 2, ..request(out.path(), &deep, &["train.steps=2"], 1) };
    for request in [&shallow, &grokking, &deep] {
        reproduce(cpu, request, &log, &()).unwrap();
    }
    let first = read_all(out.path()).unwrap();
    let ids: Vec<&str> = first.iter().map(|figure| figure.id.as_str()).collect();
    for figure in registry() {
        assert!(ids.contains(&figure.id), "{} was not made", figure.id);
    }
    first.iter().for_each(plausible);
    let page = std::fs::read_to_string(report::build(out.path()).unwrap()).unwrap();
    assert!(first.iter().all(|figure| page.contains(&figure.title.replace('&', "&amp;"))));

    let again = Log::default();
    reproduce(cpu, &shallow, &again, &()).unwrap();
    let said = again.0.into_inner().unwrap();
    assert!(said.iter().any(|line| line.contains("0 to do")), "{said:?}");
    let second = read_all(out.path()).unwrap();
    for (old, new) in first.iter().zip(&second) {
        assert_eq!(old.series, new.series, "{}: other data from the same runs", old.id);
    }
}

#[test]
fn jobs_change_no_number() {
    let figures = |jobs| {
        let out = tempfile::tempdir().unwrap();
        let request = request(out.path(), &["A3a", "A3b"], &["train.steps=5", "data.limit=200"], 2);
        reproduce(Choice::Cpu { threads: 2 }, &Request { jobs, ..request }, &Log::default(), &()).unwrap();
        read_all(out.path()).unwrap()
    };
    let (one, three) = (figures(1), figures(3));
    assert_eq!(one.len(), 2);
    for (one, three) in one.iter().zip(&three) {
        assert_eq!((&one.series, &one.claims), (&three.series, &three.claims));
        assert_eq!(three.provenance.threads, 1, "each of three has its part of two threads");
    }
}

/// Data that could be a result: finite, of equal lengths, within the bounds of what it is.
fn plausible(figure: &Figure) {
    let id = &figure.id;
    assert!(!figure.series.is_empty() && !figure.setting.is_empty() && !figure.caption.is_empty(), "{id}");
    assert!(figure.scaled_down.contains("changed by"), "{id}: {}", figure.scaled_down);
    assert_eq!(figure.provenance.sha256.len(), 4, "{id}");
    for series in &figure.series {
        assert_eq!(series.x.len(), series.y.len(), "{id}");
        assert!(series.x.iter().all(|x| x.is_finite()), "{id}");
        let values: Vec<f64> = series.y.iter().copied().flatten().collect();
        assert!(values.iter().all(|y| y.is_finite()), "{id}");
        let label =
            figure.y_right.as_ref().filter(|_| series.right).map_or(&figure.y.label, |axis| &axis.label);
        if label.contains("accuracy") {
            assert!(values.iter().all(|y| (0.0..=1.0).contains(y)), "{id}");
        }
        if label.contains("density") {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert!((mean - 1.0).abs() < 1e-9, "{id}: a density with mean {mean}");
        }
    }
    let planes = id.starts_with("B8") || id == "S4";
    assert_eq!(figure.planes.is_empty(), !planes, "{id}: planes");
    for series in figure.planes.iter().flat_map(|plane| &plane.series) {
        assert!(!series.x.is_empty() && series.x.iter().all(|x| x.is_finite()), "{id}");
        assert!(series.y.iter().all(|y| y.is_some_and(f64::is_finite)), "{id}");
    }
    for claim in &figure.claims {
        assert!(!claim.ours.is_empty() && !claim.reason.is_empty() && !claim.ours.contains("NaN"), "{id}");
        let known = [Verdict::Held, Verdict::NotHeld, Verdict::Undecided];
        assert!(known.contains(&claim.verdict));
    }
}
