//! The command line. Exit codes: 0 all well, 1 a mistake or failure that was reported, 2 wrong usage.

mod check;
mod client;
mod new;
mod output;
mod reference;
mod status;
mod suspended;
mod table;

use clap::{Parser, Subcommand};
use output::Output;
use std::process::ExitCode;

/// Portolan, an integration server: messages in from folders and HTTP, through a durable MessageBox,
/// out to wherever they are subscribed.
#[derive(Parser, Debug)]
#[command(name = "portolan", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Check an application folder and report every mistake at once.
    Check(check::Check),
    /// Make an application folder to start from.
    New(new::New),
    /// Explain an error code; without one, list them all.
    Explain(reference::Explain),
    /// Print the JSON Schema of application.yaml for editors.
    Schema(reference::Schema),
    /// Show what to write.
    #[command(subcommand)]
    Example(reference::Example),
    /// Run an application until it is stopped.
    Run(crate::run::RunArgs),
    /// Show a running server at a glance.
    Status(Operate<NoCommand>),
    /// List, enable and disable receive locations.
    Locations(Operate<status::LocationCommand>),
    /// List, enlist, start, stop and unenlist send ports.
    Ports(Operate<status::PortCommand>),
    /// List, enlist, start, stop and unenlist send port groups.
    Groups(Operate<status::PortCommand>),
    /// Find, read, repair, resume and terminate suspended messages.
    Suspended {
        #[command(flatten)]
        connection: client::Connection,
        #[command(subcommand)]
        command: suspended::Command,
    },
    /// Show what operators must know.
    Events {
        #[command(flatten)]
        connection: client::Connection,
        #[command(flatten)]
        which: status::WhichEvents,
    },
    /// Have a running server take the changed application over.
    Reload(client::Connection),
    /// Stop a running server.
    Stop(client::Connection),
}

/// A command for a running server.
#[derive(clap::Args, Debug)]
struct Operate<C: Subcommand> {
    #[command(flatten)]
    connection: client::Connection,
    #[command(subcommand)]
    command: Option<C>,
}

/// For commands that have no sub-commands.
#[derive(Subcommand, Debug)]
enum NoCommand {}

/// Runs the command of this process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One TLS provider for the whole process; a second installation is refused, which is no failure.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut output = Output::stdout();
    let done = match &arguments.command {
        Command::Check(command) => command.run(&mut output),
        Command::New(command) => said(command.run(&mut output)),
        Command::Explain(command) => said(command.run(&mut output)),
        Command::Schema(command) => said(command.run(&mut output)),
        Command::Example(command) => said(command.run(&mut output)),
        Command::Run(args) => return crate::run::run(args),
        Command::Status(o) => said(status::status(&o.connection, &mut output)),
        Command::Locations(o) => said(status::locations(&o.connection, o.command.as_ref(), &mut output)),
        Command::Ports(o) => said(status::ports(&o.connection, o.command.as_ref(), &mut output)),
        Command::Groups(o) => said(status::groups(&o.connection, o.command.as_ref(), &mut output)),
        Command::Suspended { connection, command } => said(suspended::run(connection, command, &mut output)),
        Command::Events { connection, which } => said(status::events(connection, which, &mut output)),
        Command::Reload(connection) => said(status::reload(connection, &mut output)),
        Command::Stop(connection) => said(status::stop(connection, &mut output)),
    };
    output.finish();
    if done { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Prints the failure of a command.
#[allow(clippy::print_stderr)] // The command line speaks on standard error.
fn said(done: status::Done) -> bool {
    if let Err(problem) = &done {
        eprintln!("portolan: {problem}");
    }
    done.is_ok()
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
