//! The command line: one file per verb. A verb reads its options, calls the library, and shows what comes back.

mod analyze;
mod common;
mod console;
mod data;
mod device;
mod doctor;
mod lock;
mod output;
mod prune;
mod report;
mod reproduce;
mod shell;
mod signals;
mod table;
mod train;

use crate::Result;
use clap::{Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use common::Common;
use std::process::ExitCode;

/// Trains fully connected networks and shows how they learn: rank distributions, linear maps, attraction basins.
///
/// Reproduces the figures of two papers, and measures any network file in the same way.
#[derive(Debug, Parser)]
#[command(name = "netdyn", version = VERSION, after_long_help = ABOUT_ALL, after_help = EXAMPLE)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Reproduce(reproduce::Reproduce),
    Train(train::Train),
    Analyze(Box<analyze::Analyze>),
    Prune(prune::Prune),
    Report(report::Report),
    Data(data::Data),
    Doctor(doctor::Doctor),
    Completions(shell::Completions),
    Man(shell::Man),
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

const EXAMPLE: &str = "Example: netdyn reproduce A2 --out out";

const ABOUT_ALL: &str = "\
Environment:
  NETDYN_CACHE          folder of the downloaded data sets (else the user's cache folder)
  NETDYN_OFFLINE        if set, nothing is downloaded
  RAYON_NUM_THREADS     threads where --threads does not say
  CUDA_VISIBLE_DEVICES  cards to be seen
  NO_COLOR              if set, no colours

Exit codes:
  0    done
  1    failed while running (unwritable folder, full disk)
  2    wrong usage or configuration
  3    data or network file missing or corrupt
  4    device unavailable or out of memory
  5    training stopped on a value that is not finite
  75   state saved, run the command again (SIGUSR1, --max-time)
  130  interrupted (143: terminated), state saved

Example: netdyn reproduce A2 --out out";

/// Runs the program with the arguments of this process.
pub fn main() -> ExitCode {
    let parsed = taking_negative_numbers(Cli::command()).try_get_matches();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(answer) => {
            if answer.use_stderr() {
                output::log(&one_sentence(&answer.to_string()));
            } else {
                // Help or version; a closed pipe is nothing to complain about here.
                let _ = answer.print();
            }
            return ExitCode::from(answer.exit_code() as u8);
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::log(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Lets the value of every option begin with a minus, so that `--trials -1` is told that -1 is out of range and not that
/// there is no option -1.
fn taking_negative_numbers(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let takes = arg.get_action().takes_values();
            arg.allow_negative_numbers(takes)
        })
        .mut_subcommands(taking_negative_numbers)
}

/// The first paragraph of a usage error: what is wrong. The rest repeats the help.
fn one_sentence(text: &str) -> String {
    let paragraph = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let sentence = paragraph.collect::<Vec<_>>().join(" ");
    // The words of Rust's own number parser would not help anybody.
    sentence.replace("invalid digit found in string", "use a whole number from 0 on")
}

fn run(cli: Cli) -> Result<()> {
    signals::listen()?;
    let common = &cli.common;
    match cli.verb {
        Verb::Reproduce(verb) => verb.run(common),
        Verb::Train(verb) => verb.run(common),
        Verb::Analyze(verb) => verb.run(common),
        Verb::Prune(verb) => verb.run(common),
        Verb::Report(verb) => verb.run(),
        Verb::Data(verb) => verb.run(common),
        Verb::Doctor(verb) => verb.run(common),
        Verb::Completions(verb) => verb.run(),
        Verb::Man(verb) => verb.run(),
    }
}
