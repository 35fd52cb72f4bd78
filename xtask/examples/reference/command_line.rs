//! The command line as a page, from its definition.

use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

/// The page.
pub fn page() -> String {
    let mut command = portolan::cli::Arguments::command();
    command.build();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!(
        "# Command line\n\n{}\n\n{about}\n\nExit codes: 0 all well, 1 a mistake or failure that was reported, 2 wrong usage. Commands that ask a running server find it by its\napplication folder.\n",
        super::NOTE
    );
    for child in visible(&command) {
        describe(&mut text, child, "portolan", 2);
    }
    text
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help")
}

fn describe(text: &mut String, command: &Command, parent: &str, level: usize) {
    let path = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(text, "\n{} {path}\n\n{about}\n", "#".repeat(level));
    let shown = |argument: &&Arg| !argument.is_hide_set() && !matches!(argument.get_id().as_str(), "help" | "version");
    // Options that every sub-command inherits are described once, at their parent.
    let own: Vec<&Arg> = command.get_arguments().filter(shown).filter(|argument| level == 2 || !argument.is_global_set()).collect();
    if !own.is_empty() {
        text.push_str("\n| argument | meaning |\n|---|---|\n");
    }
    for argument in own {
        let _ =
            writeln!(text, "| `{}` | {} |", name(argument).replace('|', "\\|"), meaning(argument).replace('|', "\\|").replace('\n', " "));
    }
    for child in visible(command) {
        describe(text, child, &path, level + 1);
    }
}

fn name(argument: &Arg) -> String {
    let value = if argument.get_action().takes_values() {
        argument
            .get_value_names()
            .map(|names| format!("<{}>", names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")))
            .unwrap_or_default()
    } else {
        String::new()
    };
    let flag = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long} {value}"),
        (None, Some(long)) => format!("--{long} {value}"),
        (Some(short), None) => format!("-{short} {value}"),
        (None, None) => value,
    };
    flag.trim().to_owned()
}

fn meaning(argument: &Arg) -> String {
    let mut text = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string).unwrap_or_default();
    if !text.ends_with('.') {
        text.push('.');
    }
    let defaults: Vec<String> = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    if argument.get_action().takes_values() && !defaults.is_empty() {
        let _ = write!(text, " Default: `{}`.", defaults.join(" "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(text, " Environment: `{}`.", variable.to_string_lossy());
    }
    text
}
