//! `netdyn report`

use super::output;
use crate::Result;
use clap::Args;
use std::path::PathBuf;

/// Draw plots, tables and report.html again from stored results; nothing is computed.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn report out")]
pub struct Report {
    /// Folder that `netdyn reproduce` wrote.
    dir: PathBuf,
}

impl Report {
    pub fn run(self) -> Result<()> {
        let page = crate::report::build(&self.dir)?;
        output::print(&format!("{}\n", page.display()))
    }
}
