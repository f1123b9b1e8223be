//! `switchboard completions`: completion scripts for shells, generated from the parser's
//! definition.

use clap::{Arg, ValueHint};
use clap_complete::Shell;

use crate::cli::error::CliError;
use crate::cli::terminal::stdout;

/// Prints the completion script of `shell`.
pub(in crate::cli) fn completions(command: &clap::Command, shell: Shell) -> Result<(), CliError> {
    // Generated in memory first, because `generate` panics if a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut hinted(command), "switchboard", &mut script);
    stdout::print(&String::from_utf8_lossy(&script))
}

/// Returns the command as a shell completes it: without hidden arguments and with a hint for each
/// value, in all its subcommands.
fn hinted(command: &clap::Command) -> clap::Command {
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set()).cloned().map(hint);
    let mut visible = clap::Command::new(command.get_name().to_owned())
        .args(args)
        .subcommands(command.get_subcommands().map(hinted))
        .disable_help_subcommand(command.is_disable_help_subcommand_set());
    if let Some(version) = command.get_version() {
        visible = visible.version(version.to_owned());
    }
    if let Some(about) = command.get_about() {
        visible = visible.about(about.clone());
    }
    visible
}

/// Sets the kind of a value by its name. Without a hint a shell would complete every value with
/// file names.
fn hint(arg: Arg) -> Arg {
    let is_known = !arg.get_possible_values().is_empty()
        || !matches!(arg.get_value_hint(), ValueHint::Unknown | ValueHint::AnyPath);
    if is_known || !arg.get_action().takes_values() {
        return arg;
    }
    let hint = match arg.get_value_names().and_then(<[_]>::first).map(clap::builder::Str::as_str) {
        Some("FILE") => ValueHint::FilePath,
        Some("DIR") => ValueHint::DirPath,
        Some("URL") => ValueHint::Url,
        _ => ValueHint::Other,
    };
    arg.value_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Args;

    #[test]
    fn each_value_has_a_completion_hint() {
        fn check(command: &clap::Command) {
            for arg in command.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let is_open = arg.get_possible_values().is_empty() && arg.get_value_hint() == ValueHint::Unknown;
                assert!(!is_open, "{} {arg}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&hinted(&Args::definition()));
    }
}
