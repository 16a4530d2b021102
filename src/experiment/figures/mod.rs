//! The registry of figures: one static list, one file per family.

mod a2;
mod a3;
mod a5;
mod a7;
mod b3;
mod b8;
mod basins;
mod course;
mod curves;
mod deep;
mod grid;
mod grokking;
mod projections;
mod pruning;
mod regions;
mod speed;
mod sweeps;
mod trends;

pub use curves::Estimate;

use super::{Plan, Runs, Scale};
use crate::store::{Axis, Claim, Image, Mark, Plane, Scene, Series};
use crate::train::Config;
use crate::{Error, Result};

/// A panel of a paper's figure.
#[derive(Debug)]
pub struct Definition {
    /// What the user types.
    pub id: &'static str,
    /// A short headline.
    pub title: &'static str,
    /// Where it stands in the papers.
    pub source: &'static str,
    /// The setting in words, every number spelt out.
    pub setting: fn(&Setting) -> String,
    /// The runs it needs.
    pub runs: fn(&Setting) -> Result<Vec<Plan>>,
    /// The picture and the verdicts, from the finished runs.
    pub draw: fn(&Setting, &Runs) -> Result<Drawing>,
}

/// What a figure's runs depend on beside the figure itself.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Size of the runs.
    pub scale: Scale,
    /// Training samples there are.
    pub samples: usize,
    /// Pixels of a sample.
    pub pixels: usize,
    /// Classes of the data.
    pub classes: usize,
    /// Name of the data set.
    pub data: String,
    /// `f32` or `f64`.
    pub precision: String,
    /// `key=value` overrides.
    pub sets: Vec<String>,
}

/// What a figure draws and decides.
#[derive(Debug)]
pub struct Drawing {
    /// What is drawn and what to look for.
    pub caption: String,
    /// What was made smaller than in the paper; empty if nothing.
    pub scaled_down: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Left vertical axis.
    pub y: Axis,
    /// Right vertical axis.
    pub y_right: Option<Axis>,
    /// Curves.
    pub series: Vec<Series>,
    /// Vertical marks.
    pub marks: Vec<Mark>,
    /// Verdicts.
    pub claims: Vec<Claim>,
    /// Small pictures below the plot.
    pub images: Vec<Image>,
    /// Small plots below the plot.
    pub planes: Vec<Plane>,
    /// The same in three dimensions, for a page of its own.
    pub scene: Option<Scene>,
}

impl Drawing {
    /// An empty picture.
    fn new(x: Axis, y: Axis) -> Drawing {
        Drawing {
            caption: String::new(),
            scaled_down: String::new(),
            x,
            y,
            y_right: None,
            series: vec![],
            marks: vec![],
            claims: vec![],
            images: vec![],
            planes: vec![],
            scene: None,
        }
    }
}

impl Setting {
    /// What belongs to the scale.
    fn pick<T>(&self, quick: T, full: T) -> T {
        match self.scale {
            Scale::Quick => quick,
            Scale::Full => full,
        }
    }

    /// Training samples of the deep nets' runs.
    fn deep_samples(&self) -> usize {
        self.pick(deep::QUICK_SAMPLES.min(self.samples), self.samples)
    }

    /// The batch that is this share of those samples.
    fn share_of_batch(&self, share: f64) -> usize {
        ((self.deep_samples() as f64 * share).round() as usize).max(1)
    }

    /// A run with this configuration and the user's overrides.
    fn run(&self, name: impl Into<String>, config: &Config) -> Result<Plan> {
        self.plan(name, &config.to_toml())
    }

    /// A run of this family: complete TOML, then the user's overrides.
    fn plan(&self, name: impl Into<String>, toml: &str) -> Result<Plan> {
        let name = name.into();
        let common =
            [format!("data.name={}", quoted(&self.data)), format!("train.precision=\"{}\"", self.precision)];
        let sets: Vec<String> = common.into_iter().chain(self.sets.iter().cloned()).collect();
        let config = Config::parse(toml, &name, &sets)?;
        let config = config.resolve(self.samples, self.pixels, self.classes)?;
        Ok(Plan { name, config, after: vec![] })
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Every figure, in the order of the papers.
pub fn registry() -> Vec<&'static Definition> {
    let families = [
        a2::FIGURES,
        a3::FIGURES,
        a5::FIGURES,
        a7::FIGURES,
        b3::FIGURES,
        b8::FIGURES,
        grid::FIGURES,
        projections::FIGURES,
        sweeps::FIGURES,
    ];
    families.into_iter().flatten().collect()
}

/// The figures that `ids` name, in the order of the registry: single panels, families (`A2`), `all`; none =
/// the default set.
///
/// # Errors
/// [`Error::Usage`] for a name that is none, with the nearest one.
pub fn select(ids: &[String]) -> Result<Vec<&'static Definition>> {
    const DEFAULT: [&str; 9] = ["A2a", "A2b", "A2c", "A2d", "A2e", "A7a", "A7b", "A7g", "S1"];
    let all = registry();
    for id in ids {
        if !all.iter().any(|figure| names(figure, id)) {
            let near = crate::error::nearest(id, all.iter().map(|figure| figure.id));
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(Error::Usage(format!(
                "there is no figure {id}{hint} (netdyn reproduce --list shows all)"
            )));
        }
    }
    let wanted = |figure: &&Definition| match ids.is_empty() {
        true => DEFAULT.contains(&figure.id),
        false => ids.iter().any(|id| names(figure, id)),
    };
    Ok(all.into_iter().filter(wanted).collect())
}

/// Whether the user means this figure by `id`.
fn names(figure: &Definition, id: &str) -> bool {
    let family = figure.id.trim_end_matches(|c: char| c.is_ascii_lowercase());
    id.eq_ignore_ascii_case(figure.id) || id.eq_ignore_ascii_case(family) || id.eq_ignore_ascii_case("all")
}
