//! A reproduced figure as it is stored: data, setting, claims. `report` draws from this alone.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use super::write_atomic;
use crate::error::{Error, Result};

/// The format this version writes, and the only one it reads.
const SCHEMA: &str = "netdyn/figure/1";

/// One panel of a paper's figure, `DIR/<id>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// `netdyn/figure/1`.
    pub schema: String,
    /// What the user types: `A2a`.
    pub id: String,
    /// A short headline.
    pub title: String,
    /// Where it stands in the papers: `Paper A, Fig. 2(a)`.
    pub source: String,
    /// What is drawn and what to look for, one to three sentences.
    pub caption: String,
    /// Every number of the setting: network, data, optimiser, steps, seeds.
    pub setting: String,
    /// `quick` or `full`.
    pub scale: String,
    /// What was made smaller than in the paper; empty if nothing.
    pub scaled_down: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Left vertical axis.
    pub y: Axis,
    /// Right vertical axis, if any series uses it.
    pub y_right: Option<Axis>,
    /// Curves and point sets, in legend order.
    pub series: Vec<Series>,
    /// Vertical marks with a label: grokking, a threshold.
    pub marks: Vec<Mark>,
    /// What the papers claim about it, with verdicts.
    pub claims: Vec<Claim>,
    /// Small pictures below the plot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Small plots below the plot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub planes: Vec<Plane>,
    /// The same in three dimensions, for a page of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<Scene>,
    /// How it was made.
    pub provenance: Provenance,
}

/// A grey picture, such as a sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// What it shows, a few words.
    pub caption: String,
    /// Pixels of a row.
    pub width: usize,
    /// Row by row, 0 = dark.
    pub pixels: Vec<u8>,
}

/// Points and regions in a plane, where they lie to each other: a plot without scales.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plane {
    /// What it shows, a few words.
    pub caption: String,
    /// Its points and regions; all planes of a figure share the legend of the first.
    pub series: Vec<Series>,
}

/// Points in space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Names of the three axes.
    pub axes: [String; 3],
    /// The points.
    pub points: Vec<ScenePoint>,
}

/// A point in space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScenePoint {
    /// Where.
    pub at: [f64; 3],
    /// Index into the palette.
    pub color: usize,
    /// What is told about it.
    pub label: String,
    /// Drawn larger: the point from which those behind it in the list come, up to the next such point.
    pub large: bool,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// Quantity and unit.
    pub label: String,
    /// Logarithmic.
    pub log: bool,
    /// Fixed limits; else from the data.
    pub range: Option<[f64; 2]>,
}

/// A curve or point set. `x` and `y` have the same length; a missing value is `null` and a gap.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Legend text.
    pub label: String,
    /// Abscissae.
    #[serde(deserialize_with = "numbers_or_nan")]
    pub x: Vec<f64>,
    /// Ordinates, mean over seeds.
    pub y: Vec<Option<f64>>,
    /// Standard error over seeds, where more than one ran: drawn as a band.
    pub error: Option<Vec<Option<f64>>>,
    /// How it is drawn.
    pub style: Style,
    /// Drawn against the right axis.
    pub right: bool,
    /// Index into the palette; series that belong together share it.
    pub color: usize,
    /// Place, 0…1, in an ordered family such as the layers of a network: a colour from dark to light instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shade: Option<f64>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// A full line.
    Line,
    /// A full line with a marker at every point.
    LinePoints,
    /// A dashed line.
    Dashed,
    /// A thin line: a variant shown for comparison.
    Thin,
    /// Markers only.
    Points,
    /// The inside of a closed outline, drawn behind everything else.
    Region,
}

/// A vertical line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// Abscissa.
    #[serde(deserialize_with = "number_or_nan")]
    pub x: f64,
    /// Text at its top.
    pub label: String,
}

/// A statement of a paper, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// Number in the list of claims, with a letter for a part: `1a`.
    pub id: String,
    /// The statement, one sentence.
    pub text: String,
    /// The paper's number, if it gives one.
    pub paper: Option<String>,
    /// Our numbers, as the verdict uses them; with ± where more than one seed ran.
    pub ours: String,
    /// Decided by code.
    pub verdict: Verdict,
    /// Why it is so decided: threshold and comparison.
    pub reason: String,
}

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The numbers bear it out.
    Held,
    /// The numbers contradict it.
    NotHeld,
    /// The difference is within two standard errors, or the scale cannot decide.
    Undecided,
}

/// How a figure was made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// Git commit of the program, if known.
    pub commit: Option<String>,
    /// Processor or card.
    pub device: String,
    /// Release of the card's driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// As in `--precision`.
    pub precision: String,
    /// Threads of the CPU.
    pub threads: usize,
    /// Name of the data set.
    pub data: String,
    /// SHA-256 of its raw files.
    pub sha256: Vec<String>,
    /// Seeds that ran.
    pub seeds: Vec<u64>,
    /// Batch-norm mode of the measurements.
    pub bn: String,
    /// Wall time of the runs behind it, seconds.
    #[serde(deserialize_with = "number_or_nan")]
    pub seconds: f64,
    /// How much of it went into measuring, along the way and afterwards, seconds.
    #[serde(default, deserialize_with = "number_or_nan")]
    pub measuring: f64,
    /// When it was finished, RFC 3339.
    pub date: String,
    /// The command that makes it again.
    pub command: String,
}

impl Figure {
    /// A figure with axes and a title and nothing else yet, which is all that a plot needs.
    pub fn new(id: impl Into<String>, title: impl Into<String>, x: Axis, y: Axis) -> Figure {
        Figure {
            schema: SCHEMA.into(),
            id: id.into(),
            title: title.into(),
            source: String::new(),
            caption: String::new(),
            setting: String::new(),
            scale: String::new(),
            scaled_down: String::new(),
            x,
            y,
            y_right: None,
            series: Vec::new(),
            marks: Vec::new(),
            claims: Vec::new(),
            images: Vec::new(),
            planes: Vec::new(),
            scene: None,
            provenance: Provenance::default(),
        }
    }

    /// Writes `dir/<id>.json`, whole or not at all, and returns its path.
    ///
    /// Fails if the id could not be a file name or `dir` cannot be written.
    pub fn write(&self, dir: &Path) -> Result<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.id.is_empty() || !self.id.chars().all(plain) {
            let rule = "give it an id of letters and digits";
            return Err(Error::Failed(format!("figure {:?} cannot be stored: {rule}", self.id)));
        }
        let path = dir.join(format!("{}.json", self.id));
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|source| Error::Failed(format!("figure {} cannot be stored: {source}", self.id)))?;
        text.push(b'\n');
        write_atomic(&path, |out| out.write_all(&text))?;
        Ok(path)
    }

    /// Reads a figure file; [`Error::File`] names it if it is damaged, foreign or from another version.
    pub fn read(path: &Path) -> Result<Figure> {
        let text = fs::read(path).map_err(Error::io("read", path))?;
        let damaged = |what: String| {
            Error::file(
                path,
                format!(
                    "{what}; give report a folder that `netdyn reproduce` wrote, or make this figure again"
                ),
            )
        };
        let json: serde_json::Value =
            serde_json::from_slice(&text).map_err(|why| damaged(format!("not a figure file: {why}")))?;
        match json.get("schema").and_then(|schema| schema.as_str()) {
            Some(SCHEMA) => {}
            Some(other) => return Err(damaged(format!("schema {other:?}, where {SCHEMA:?} is read"))),
            None => return Err(damaged("no \"schema\", so not a figure file".into())),
        }
        // Read from the text again, not from `json`: only so does an error name its line.
        let figure: Figure =
            serde_json::from_slice(&text).map_err(|why| damaged(format!("damaged figure: {why}")))?;
        if path.file_stem().and_then(|stem| stem.to_str()) != Some(&figure.id) {
            return Err(damaged(format!("holds figure {:?} under another name", figure.id)));
        }
        Ok(figure)
    }
}

impl Axis {
    /// A linear axis, its limits from the data.
    pub fn linear(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), log: false, range: None }
    }

    /// A logarithmic axis, its limits from the data.
    pub fn log(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), log: true, range: None }
    }

    /// The same axis with fixed limits.
    pub fn within(self, low: f64, high: f64) -> Axis {
        Axis { range: Some([low, high]), ..self }
    }
}

impl Series {
    /// A series against the left axis; `color` is an index into the palette.
    pub fn new(label: impl Into<String>, style: Style, color: usize, points: &[(f64, f64)]) -> Series {
        Series {
            label: label.into(),
            x: points.iter().map(|&(x, _)| x).collect(),
            y: points.iter().map(|&(_, y)| Some(y)).collect(),
            error: None,
            style,
            right: false,
            color,
            shade: None,
        }
    }
}

/// All figures of `dir` in the papers' order: A2a, A2b, …, A7h, B2a, …, S4.
///
/// A damaged figure file is an error that names it; a folder without figures gives an empty list.
pub fn read_all(dir: &Path) -> Result<Vec<Figure>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("read folder", dir))? {
        let path = entry.map_err(Error::io("read folder", dir))?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "json") {
            paths.push(path);
        }
    }
    paths.sort(); // so that of two damaged files it is always the same one that is named
    let mut figures: Vec<Figure> = paths.iter().map(|path| Figure::read(path)).collect::<Result<_>>()?;
    figures.sort_by(|a, b| natural_order(&a.id).cmp(&natural_order(&b.id)));
    Ok(figures)
}

/// A sort key that counts: `A2a < A2b < A10a < B1`, `9 < 10a`.
///
/// The parts are what stands before the first number, the number, and the rest.
pub fn natural_order(id: &str) -> (&str, u64, &str) {
    let start = id.find(|c: char| c.is_ascii_digit()).unwrap_or(id.len());
    let (family, tail) = id.split_at(start);
    let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
    let (number, rest) = tail.split_at(end);
    (family, number.parse().unwrap_or(0), rest)
}

/// JSON has no NaN: serde writes `null` for it, which has to be readable again.
fn number_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

fn numbers_or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Option<f64>>::deserialize(from)?.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
}
