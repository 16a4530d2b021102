//! From a request to the report: which runs are needed, which are there, what the figures say.

use super::figures::{Definition, Drawing, Setting, registry, select};
use super::jobs::side_by_side;
use super::runs::{ensure, folder, is_done};
use super::{Plan, Request, Runs, Scale};
use crate::backend::Choice;
use crate::data::{self, Progress, Source, Split, Which};
use crate::store::{Figure, Provenance, read_all};
use crate::train::{Config, Control, Data, check_memory, disk, flops, memory, now};
use crate::{Error, Result};
use std::path::Path;

/// Trains and measures what the request needs and is not there yet, then writes the figures. Answers their ids.
///
/// Finished runs are never repeated and an interrupted one goes on from its checkpoint: the same command
/// continues wherever it stopped.
///
/// # Errors
/// What a run or the data answers; [`Error::Usage`] for an unknown figure or setting, before any work.
pub fn reproduce(
    choice: Choice,
    request: &Request,
    control: &dyn Control,
    download: &dyn Progress,
) -> Result<Vec<&'static str>> {
    let figures = select(&request.ids)?;
    let source = Source::parse(request.data.as_deref().unwrap_or("mnist"))?;
    let train = data::load(&source, Which::Train, download)?;
    let test = data::load(&source, Which::Test, download)?;
    let setting = setting(request, &train);
    let plans = plans(&setting, &figures)?;
    let todo: Vec<(&Plan, Config)> = plans
        .iter()
        .flat_map(|plan| repetitions(plan, request).into_iter().map(move |config| (plan, config)))
        .collect();
    let configs: Vec<&Config> = todo.iter().map(|(_, config)| config).collect();
    check_memory(choice, &configs, request.jobs, train.len())?;
    control.say(&summary(choice, &plans, request)?);
    let shared = choice.shared_by(request.jobs);
    let dirs = side_by_side(request.jobs, todo.len(), control, |index, control| {
        let (plan, config) = &todo[index];
        control.say(&format!("run {} of {}: {}, seed {}", index + 1, todo.len(), plan.name, config.seed));
        let data = Data { train: &train, test: Some(&test) };
        ensure(shared, plan, config, &data, &request.out, control)
    })?;
    let mut runs = Runs::new(&train, &test);
    let mut dirs = dirs.into_iter();
    for plan in &plans {
        runs.add(&plan.name, dirs.by_ref().take(request.seeds as usize).collect());
    }
    for definition in &figures {
        let drawing = (definition.draw)(&setting, &runs)?;
        figure(definition, drawing, &setting, &runs, request, &train, &test)?.write(&request.out)?;
    }
    Ok(figures.iter().map(|figure| figure.id).collect())
}

/// What is left to do for a request, with memory, disk and operations, as text.
///
/// # Errors
/// As [`reproduce`], before any work. The data is loaded, since sizes depend on it.
pub fn plan(choice: Choice, request: &Request, download: &dyn Progress) -> Result<String> {
    let figures = select(&request.ids)?;
    let source = Source::parse(request.data.as_deref().unwrap_or("mnist"))?;
    let train = data::load(&source, Which::Train, download)?;
    let plans = plans(&setting(request, &train), &figures)?;
    let mut text = String::new();
    for plan in &plans {
        for config in repetitions(plan, request) {
            let state = if is_done(&folder(&request.out, &plan.name, &config))? { "done" } else { "to do" };
            text += &format!(
                "{:<18} seed {:<3} {state:<6} {:>7} steps  {:>9.1} GFLOP  {:>6.0} MB\n",
                plan.name,
                config.seed,
                config.steps(),
                flops(&config, train.len()) / 1e9,
                memory(&config, train.len()) / 1e6,
            );
        }
    }
    Ok(text + &summary(choice, &plans, request)?)
}

/// Every figure with its setting at both scales and the time it takes, as text: as measured, where `out` has it at
/// that scale, else as estimated for this processor on 60,000 samples.
///
/// # Errors
/// [`Error::File`] for a damaged figure in `out`.
pub fn list(choice: Choice, out: &Path) -> Result<String> {
    let made = if out.is_dir() { read_all(out)? } else { vec![] };
    let speed = crate::train::measured_speed(choice);
    let mut text = String::new();
    for figure in registry() {
        text += &format!("{}  {} ({})\n", figure.id, figure.title, figure.source);
        for scale in [Scale::Quick, Scale::Full] {
            let setting = Setting {
                scale,
                samples: 60_000,
                pixels: 784,
                classes: 10,
                data: "mnist".into(),
                precision: "f32".into(),
                sets: vec![],
            };
            let measured = made.iter().find(|made| made.id == figure.id && made.scale == scale.name());
            let time = match measured {
                Some(made) => format!("{} measured", duration(made.provenance.seconds)),
                None => {
                    let work =
                        (figure.runs)(&setting)?.iter().map(|plan| flops(&plan.config, 60_000)).sum::<f64>();
                    format!("about {}", duration(WITH_PROBES * work / speed))
                }
            };
            text += &format!("  {}, {time}: {}\n", scale.name(), (figure.setting)(&setting));
        }
    }
    Ok(text)
}

/// What probes and passes over memory add to the arithmetic of training.
const WITH_PROBES: f64 = 1.5;

/// Seconds in words, to the minute.
fn duration(seconds: f64) -> String {
    match (seconds / 60.0).ceil() as u64 {
        minutes @ 0..120 => format!("{} min", minutes.max(1)),
        minutes @ 120..2880 => format!("{} h", minutes.div_ceil(60)),
        minutes => format!("{} days", minutes.div_ceil(60 * 24)),
    }
}

fn setting(request: &Request, train: &Split) -> Setting {
    Setting {
        scale: request.scale,
        samples: train.len(),
        pixels: train.pixels,
        classes: train.classes,
        data: request.data.clone().unwrap_or_else(|| "mnist".into()),
        precision: request.precision.clone(),
        sets: request.sets.clone(),
    }
}

/// The runs of all these figures, each once.
fn plans(setting: &Setting, figures: &[&Definition]) -> Result<Vec<Plan>> {
    let mut plans: Vec<Plan> = Vec::new();
    for figure in figures {
        for plan in (figure.runs)(setting)? {
            match plans.iter_mut().find(|known| known.name == plan.name) {
                None => plans.push(plan),
                Some(known) if known.config == plan.config => {
                    let new = plan.after.into_iter().filter(|after| !known.after.contains(after));
                    known.after.extend(new.collect::<Vec<_>>());
                }
                Some(_) => return Err(Error::Failed(format!("two runs are called {}", plan.name))),
            }
        }
    }
    Ok(plans)
}

fn repetitions(plan: &Plan, request: &Request) -> Vec<Config> {
    let seeds = request.seed..request.seed + request.seeds;
    seeds.map(|seed| Config { seed, ..plan.config.clone() }).collect()
}

/// One line on all that is to be done.
fn summary(choice: Choice, plans: &[Plan], request: &Request) -> Result<String> {
    let (mut left, mut work, mut peak, mut stored) = (0, 0.0, 0.0f64, 0.0);
    for plan in plans {
        for config in repetitions(plan, request) {
            if is_done(&folder(&request.out, &plan.name, &config))? {
                continue;
            }
            let samples = if config.data.limit == 0 { 60_000 } else { config.data.limit };
            left += 1;
            work += flops(&config, samples);
            peak = peak.max(memory(&config, samples));
            stored += disk(&config);
        }
    }
    let speed = crate::train::measured_speed(choice);
    let kind = if choice.memory()?.is_some() { "GPU memory" } else { "memory" };
    Ok(format!(
        "runs: {}, {left} to do; about {:.1} TFLOP, {:.1} GB of {kind}, {:.2} GB on disk, {} here",
        plans.len() as u64 * request.seeds,
        work / 1e12,
        (peak / 1e9).max(0.1),
        stored / 1e9,
        duration(WITH_PROBES * work / speed),
    ))
}

fn figure(
    definition: &Definition,
    drawing: Drawing,
    setting: &Setting,
    runs: &Runs,
    request: &Request,
    train: &Split,
    test: &Split,
) -> Result<Figure> {
    let names: Vec<String> = (definition.runs)(setting)?.into_iter().map(|plan| plan.name).collect();
    let dirs = runs.of(names.first().map_or("", String::as_str))?;
    let manifest = dirs.first().map(|dir| dir.manifest()).transpose()?.flatten();
    let Some(manifest) = manifest else {
        return Err(Error::Failed(format!("figure {} has no finished run", definition.id)));
    };
    let [training, probing] = runs.seconds(&names)?;
    Ok(Figure {
        schema: "netdyn/figure/1".into(),
        id: definition.id.into(),
        title: definition.title.into(),
        source: definition.source.into(),
        caption: drawing.caption,
        setting: (definition.setting)(setting),
        scale: setting.scale.name().into(),
        scaled_down: drawing.scaled_down,
        x: drawing.x,
        y: drawing.y,
        y_right: drawing.y_right,
        series: drawing.series,
        marks: drawing.marks,
        claims: drawing.claims,
        images: drawing.images,
        planes: drawing.planes,
        scene: drawing.scene,
        provenance: Provenance {
            version: manifest.version,
            commit: manifest.commit,
            device: manifest.device,
            driver: manifest.driver,
            precision: manifest.precision,
            threads: manifest.threads,
            data: setting.data.clone(),
            sha256: [&train.sha256[..], &test.sha256[..]].concat(),
            seeds: (request.seed..request.seed + request.seeds).collect(),
            bn: "eval".into(),
            seconds: training + probing,
            measuring: probing,
            date: now(),
            command: request.command.clone(),
        },
    })
}
