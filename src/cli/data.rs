//! `netdyn data`

use super::common::Common;
use super::output;
use crate::data::{self, Check, Source};
use crate::{Error, Result};
use clap::{Args, Subcommand};

/// Download data sets, say what they hold, compare them with their checksums.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn data fetch mnist")]
pub struct Data {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring a data set into the cache, or mend what is wrong there.
    #[command(after_help = "Example: netdyn data fetch fashion-mnist")]
    Fetch(Name),
    /// Say what a data set holds and where it lies.
    #[command(after_help = "Example: netdyn data info sample")]
    Info(Name),
    /// Compare the cached files with their checksums.
    #[command(after_help = "Example: netdyn data verify mnist")]
    Verify(Name),
}

#[derive(Args, Debug)]
struct Name {
    /// Data set [default: that of --data, else mnist].
    name: Option<String>,
}

impl Data {
    pub fn run(self, common: &Common) -> Result<()> {
        let name = |given: Name| given.name.or_else(|| common.data.clone()).unwrap_or_else(|| "mnist".into());
        match self.action {
            Action::Fetch(given) => {
                let console = common.console();
                let folder = data::fetch(&name(given), &console)?;
                console.end();
                output::print(&format!("{}\n", folder.display()))
            }
            Action::Info(given) => info(&Source::parse(&name(given))?),
            Action::Verify(given) => verify(&name(given)),
        }
    }
}

fn info(source: &Source) -> Result<()> {
    let info = data::info(source)?;
    let mut text = format!("{}: {}\n", info.name, info.place);
    for split in &info.splits {
        let per_class: Vec<String> = split.per_class.iter().map(usize::to_string).collect();
        text += &format!(
            "{}: {} samples of {} pixels in {} classes ({})\n  SHA-256 of the images {}\n  SHA-256 of the labels {}\n",
            split.which,
            split.samples,
            split.pixels,
            split.classes,
            per_class.join(" "),
            split.sha256[0],
            split.sha256[1],
        );
    }
    output::print(&text)
}

fn verify(name: &str) -> Result<()> {
    let checks = data::verify(name)?;
    let text: String =
        checks.iter().map(|check| format!("{}  {}\n", verdict(check), check.file.display())).collect();
    output::print(&text)?;
    match checks.iter().find(|check| !check.is_right()) {
        None => Ok(()),
        Some(wrong) => {
            Err(Error::file(&wrong.file, format!("{}; `netdyn data fetch {name}` mends it", verdict(wrong))))
        }
    }
}

fn verdict(check: &Check) -> &'static str {
    match &check.found {
        None => "missing",
        Some(_) if check.is_right() => "right",
        Some(_) => "wrong checksum",
    }
}
