//! Networks and samples, checked against each other before any work.

use super::options::Reading;
use crate::cli::common::load;
use crate::cli::console::Console;
use crate::data::{Source, Split, Which};
use crate::model::{BnMode, Network, file};
use crate::train::Control;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A network file that was read.
pub struct Model {
    /// As the user named it.
    pub name: String,
    pub network: Network,
}

/// Reads network files, and says what was understood.
pub fn models(files: &[PathBuf], reading: &Reading, bn: BnMode, console: &Console) -> Result<Vec<Model>> {
    let read = |path: &PathBuf| {
        let (network, understood) = file::read(path, &reading.options())?;
        console.say(&format!("{understood}\n  batch-norm statistics: {}", bn.name()));
        Ok(Model { name: path.display().to_string(), network })
    };
    files.iter().map(read).collect()
}

/// The splits that are needed.
#[derive(Default)]
pub struct Splits {
    pub train: Option<Split>,
    pub test: Option<Split>,
}

impl Splits {
    /// Loads these splits and no other.
    pub fn load(source: &Source, needed: &[Which], console: &Console) -> Result<Splits> {
        let get = |which| needed.contains(&which).then(|| load(source, which, console)).transpose();
        Ok(Splits { train: get(Which::Train)?, test: get(Which::Test)? })
    }

    /// Refuses a network that cannot read these samples.
    pub fn check(&self, model: &Model) -> Result<()> {
        let (name, spec) = (&model.name, &model.network.spec);
        for split in [&self.train, &self.test].into_iter().flatten() {
            if split.pixels != spec.inputs() {
                let (takes, has) = (spec.inputs(), split.pixels);
                let what = format!(
                    "{name} takes {takes} pixels, the samples have {has}; choose other data with --data"
                );
                return Err(Error::Usage(what));
            }
            let classes = split.labels.iter().max().map_or(0, |label| usize::from(*label) + 1);
            if classes > spec.classes() {
                let knows = spec.classes();
                let what = format!(
                    "{name} knows {knows} classes, the samples have {classes}; choose other data with --data"
                );
                return Err(Error::Usage(what));
            }
        }
        Ok(())
    }
}

/// Refuses a picture that could not be drawn.
pub fn check_picture(path: &Path) -> Result<()> {
    match path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase()).as_deref() {
        Some("svg" | "png") => Ok(()),
        _ => Err(Error::Usage(format!("cannot plot to {}: name the file .svg or .png", path.display()))),
    }
}
