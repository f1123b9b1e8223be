//! `switchboard config`: checks a configuration file of `serve`, or prints an example of one.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::commands::serve::config;
use crate::cli::error::CliError;
use crate::cli::report::text;
use crate::cli::terminal::stdout;

/// The actions of `config`.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Check a file and list its services or its errors, without serving anything
    ///
    /// Host names are resolved, and files and directories that it names are opened. No address is
    /// bound.
    #[command(after_long_help = include_str!("config_check_help.txt"))]
    Check {
        /// The configuration file
        file: PathBuf,
    },
    /// Print an example file that explains each key
    ///
    /// 'switchboard config example > switchboard.toml' writes it to a file.
    Example,
}

/// Runs `config`.
pub(in crate::cli) fn config(command: &ConfigCommand) -> Result<(), CliError> {
    match command {
        ConfigCommand::Check { file } => check(file),
        ConfigCommand::Example => stdout::print(config::EXAMPLE),
    }
}

fn check(path: &Path) -> Result<(), CliError> {
    let plan = config::read(path)?;
    let mut rows = Vec::new();
    for planned in &plan.services {
        for listener in &planned.listeners {
            let (endpoint, framing) = (&listener.endpoint, listener.framing);
            let framing = if endpoint.transport() == "udp" { String::new() } else { framing.to_string() };
            let [transport, address] = [endpoint.transport().to_owned(), endpoint.address().to_string()];
            rows.push([planned.builtin.name.to_owned(), transport, address, framing]);
        }
    }
    let table = text::left_aligned_table(&["service", "transport", "address", "framing"], &rows);
    let engine = plan.engine.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    stdout::print(&format!("{table}\n{} is valid and uses the engine {engine}.\n", path.display()))
}
