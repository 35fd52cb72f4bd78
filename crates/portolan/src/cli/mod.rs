//! The command line. Exit codes: 0 all well, 1 a mistake or failure that was reported, 2 wrong usage.

mod check;
mod output;

use clap::{Parser, Subcommand};
use output::Output;
use std::process::ExitCode;

/// Portolan, an integration server: messages in from folders and HTTP, through a durable MessageBox,
/// out to wherever they are subscribed.
#[derive(Parser, Debug)]
#[command(name = "portolan", version, about, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check an application folder and report every mistake at once.
    Check(check::Check),
}

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut output = Output::stdout();
    let done = match &arguments.command {
        Command::Check(command) => command.run(&mut output),
    };
    output.finish();
    if done { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
