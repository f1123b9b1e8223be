//! `serve --config FILE` and `config`: any number of services, listeners and limits from one file.
//!
//! [`document`] is what stands in the file, [`meaning`] what it means, which is a [`Plan`] like any other.

mod document;
mod meaning;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::failure::Failure;
use super::output;
use super::plan::Plan;
use super::report::words;
use super::toml_file;

/// The file that `config example` prints.
const EXAMPLE: &str = include_str!("example.toml");

/// What can be done with a configuration.
#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Say what a file means, or everything that is wrong with it, without serving anything
    ///
    /// Names are looked up, and files and directories that it names are opened; no address is listened on.
    #[command(after_long_help = include_str!("check.txt"))]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Print a file to begin with, in which each key is explained
    ///
    /// 'switchboard config example > switchboard.toml' writes it.
    Example,
}

pub(super) fn obey(command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check { file } => check(file),
        ConfigCommand::Example => output::print(EXAMPLE),
    }
}

/// What a file says is to be served.
pub(super) fn read(path: &Path) -> Result<Plan, Failure> {
    let text = toml_file::text(path)?;
    let (sections, faults) = document::sections(&text);
    meaning::plan(&sections, faults).map_err(|mut faults| {
        faults.sort_by_key(|fault| fault.at.start);
        let lines = faults.iter().map(|fault| toml_file::wrong(path, &text, fault.at.clone(), &fault.what));
        Failure::File(lines.collect::<Vec<_>>().join("\n"))
    })
}

fn check(path: &Path) -> Result<(), Failure> {
    let plan = read(path)?;
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
    output::print(&format!("{table}\n{} can be served, on the engine {engine}.\n", path.display()))
}
