//! `switchboard config`: checks a configuration file of `serve`, or prints an example of one.

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::commands::serve::config;
use crate::cli::error::CliError;
use crate::cli::report::words;
use crate::cli::terminal::stdout;

/// What can be done with a configuration.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Say what a file means, or everything that is wrong with it, without serving anything
    ///
    /// Names are looked up, and files and directories that it names are opened; no address is listened on.
    #[command(after_long_help = include_str!("config_check_help.txt"))]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a file to begin with, in which each key is explained
    ///
    /// 'switchboard config example > switchboard.toml' writes it.
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
        for (endpoint, framing) in &planned.listeners {
            let framing = if endpoint.transport() == "udp" { String::new() } else { framing.to_string() };
            let [transport, address] = [endpoint.transport().to_owned(), endpoint.address().to_string()];
            rows.push([planned.builtin.name.to_owned(), transport, address, framing]);
        }
    }
    let table = words::aligned(&["service", "transport", "address", "framing"], &rows);
    let engine = plan.engine.to_possible_value().map_or(String::new(), |value| value.get_name().to_owned());
    stdout::print(&format!("{table}\n{} can be served, on the engine {engine}.\n", path.display()))
}
