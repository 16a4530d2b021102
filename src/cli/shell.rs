//! `netdyn completions` and `netdyn man`

use super::{Cli, output};
use crate::{Error, Result};
use clap::{Args, CommandFactory};
use std::path::Path;

/// Print completions for a shell.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: netdyn completions bash > ~/.local/share/bash-completion/completions/netdyn"
)]
pub struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Print the man page.
#[derive(Args, Debug)]
#[command(after_help = "Example: netdyn man > ~/.local/share/man/man1/netdyn.1")]
pub struct Man {}

impl Completions {
    pub fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "netdyn", &mut script);
        output::print(&String::from_utf8_lossy(&script))
    }
}

impl Man {
    pub fn run(self) -> Result<()> {
        let mut program = Cli::command();
        program.build();
        let mut page = Vec::new();
        let failed = Error::io("write", Path::new("the man page"));
        clap_mangen::Man::new(program.clone()).render(&mut page).map_err(failed)?;
        let mut page = String::from_utf8_lossy(&page).into_owned();
        verbs(&program, "", &mut page)?;
        output::print(&page)
    }
}

/// A section for each verb, those below it included.
fn verbs(command: &clap::Command, above: &str, page: &mut String) -> Result<()> {
    for verb in command.get_subcommands() {
        let name = format!("{above}{}", verb.get_name());
        *page += &format!(".SH \"NETDYN {}\"\n", name.to_uppercase());
        let man = clap_mangen::Man::new(verb.clone());
        let mut text = Vec::new();
        man.render_synopsis_section(&mut text)
            .and_then(|()| man.render_description_section(&mut text))
            .and_then(|()| man.render_options_section(&mut text))
            .and_then(|()| man.render_extra_section(&mut text))
            .map_err(Error::io("write", Path::new("the man page")))?;
        // The sections of a verb are parts of its own.
        *page += &String::from_utf8_lossy(&text).replace(".SH ", ".SS ");
        verbs(verb, &format!("{name} "), page)?;
    }
    Ok(())
}
