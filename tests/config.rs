//! The configuration of a run: what is accepted, what is refused and how, and what is filled in.

use netdyn::Error;
use netdyn::train::{Config, Schedule};

/// The sentence with which a configuration is refused for 100 samples of 784 pixels in 10 classes.
fn refusal(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let answer = Config::parse(text, "c.toml", &sets).and_then(|config| config.resolve(100, 784, 10));
    match answer {
        Err(Error::Usage(text)) => text,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn refusals_name_the_key_and_what_to_do() {
    for (text, parts) in [
        ("[train]\nlrr = 1.0", vec!["train.lrr", "did you mean train.lr?"]),
        ("trian = 1", vec!["unknown key trian"]),
        ("model = 3", vec!["model is a section"]),
        ("[model]\nwidths = [784, -5, 10]", vec!["model.widths", "-5"]),
        ("[model]\nactivation = \"rellu\"", vec!["model.activation", "rellu", "relu"]),
        ("[model]\nwidths = [783, 10]", vec!["model.widths", "783", "784"]),
        ("[model]\nwidths = [784, 9]", vec!["model.widths", "9", "10"]),
        ("[model]\nwidths = [784, 0, 10]", vec!["model.widths"]),
        ("[train]\nbatch = 101", vec!["train.batch", "101", "100"]),
        ("[train]\nbatch = 33", vec!["train.batch", "batch of one"]),
        ("[train]\nbatch = 10\nsteps = 3\nepochs = 1.0", vec!["steps or epochs"]),
        ("[train]\nbatch = 10\nlr = -1.0", vec!["train.lr", "-1"]),
        ("[train]\nbatch = 10\nlr = nan", vec!["train.lr"]),
        ("[train]\nbatch = 10\nprecision = \"f16\"", vec!["train.precision", "f16", "f32"]),
        ("[data]\nlimit = 101", vec!["data.limit", "101", "100"]),
        ("[data]\nlimit = 50\ninput = \"sideways\"\n[train]\nbatch = 10", vec!["data.input", "sideways"]),
        ("[bn]\nmomentum = 1.5\n[train]\nbatch = 10", vec!["bn.momentum", "1.5"]),
        ("[probe]\nschedule = \"often\"\n[train]\nbatch = 10", vec!["probe.schedule", "often"]),
        (
            "[checkpoint]\nsnapshots = [\"bets\"]\n[train]\nbatch = 10",
            vec!["checkpoint.snapshots", "bets", "best"],
        ),
        (
            "[checkpoint]\nsnapshots = [\"memorised\"]\n[probe]\nwhat = [\"norms\"]\n[train]\nbatch = 10",
            vec!["checkpoint.snapshots", "memorised", "accuracy"],
        ),
        ("[probe]\ntrials = 0\n[train]\nbatch = 10", vec!["probe.trials"]),
        ("this is not toml", vec!["c.toml"]),
    ] {
        let said = refusal(text, &[]);
        for part in parts {
            assert!(said.contains(part), "{text:?} was refused with {said:?}, without {part:?}");
        }
        assert!(!said.contains('\n'), "{said:?} is more than a line");
    }
}

#[test]
fn overrides_are_toml_values_or_bare_words() {
    let sets = ["model.activation=tanh", "train.lr=2e-3", "model.widths=[784, 5, 10]", "train.batch=10"];
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let config = Config::parse("[model]\nactivation = \"relu\"", "c.toml", &sets).unwrap();
    let config = config.resolve(100, 784, 10).unwrap();
    assert_eq!(config.model.widths, [784, 5, 10]);
    assert_eq!(config.update().lr, 2e-3);
    assert_eq!(config.spec().shape(), "784-5-10");
    assert!(refusal("", &["train.lr"]).contains("key=value"));
    assert!(refusal("", &["train.lr.deep=1"]).contains("train.lr"));
}

#[test]
fn what_is_left_open_is_filled() {
    let resolve = |text: &str| Config::parse(text, "c", &[]).unwrap().resolve(100, 784, 10).unwrap();
    let adam = resolve("[train]\nbatch = 30\nepochs = 2.0\n[model]\nbn = false");
    assert_eq!((adam.update().lr, adam.update().weight_decay, adam.steps()), (1e-3, 0.0, 8));
    assert_eq!(adam.model.bias, Some(true));
    let adamw = resolve("[train]\nbatch = 50\noptimizer = \"adamw\"");
    assert_eq!((adamw.update().weight_decay, adamw.model.bias, adamw.steps()), (0.01, Some(false), 20));
    let torch = resolve("[train]\nbatch = 50\n[init]\nrng = \"torch\"");
    assert_eq!(torch.model.bias, Some(true));
    let sgd = resolve("[train]\nbatch = 0\noptimizer = \"sgd\"\nsteps = 7");
    assert_eq!((sgd.update().lr, sgd.steps()), (1e-2, 7));
}

#[test]
fn text_and_back_is_the_same_configuration() {
    for text in
        ["", "[bn]\nmomentum = \"cumulative\"", "[probe]\nschedule = [3, 5]", "[probe]\nschedule = 10"]
    {
        let config =
            Config::parse(text, "c", &["train.batch=10".into()]).unwrap().resolve(100, 784, 10).unwrap();
        assert_eq!(Config::parse(&config.to_toml(), "again", &[]).unwrap(), config);
    }
}

#[test]
fn schedules() {
    assert_eq!(Schedule::Every(10).steps(25), [0, 10, 20, 25]);
    assert_eq!(Schedule::Every(0).steps(2), [0, 1, 2]);
    assert_eq!(Schedule::Steps(vec![5, 1, 99]).steps(7), [1, 5, 7]);
    assert_eq!(Schedule::Log("log:1".into()).steps(1000), [0, 1, 10, 100, 1000]);
    let log = Schedule::Log("log".into()).steps(30_000);
    assert_eq!(log[..5], [0, 1, 2, 3, 4]);
    assert!(log.windows(2).all(|pair| pair[0] < pair[1]) && log.last() == Some(&30_000) && log.len() < 100);
    assert_eq!(Schedule::Log("log".into()).steps(0), [0]);
}
