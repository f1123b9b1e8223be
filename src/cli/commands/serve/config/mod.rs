//! The configuration file of `serve`: any number of services, listeners and limits.
//!
//! [`document`] reads the file's sections, and [`meaning`] turns them into a [`ServePlan`], as `plan` does with flags.

mod document;
mod meaning;
#[cfg(test)]
mod tests;

use std::path::Path;

use super::plan::ServePlan;
use super::toml_file;
use crate::cli::error::CliError;

/// A configuration file that explains each key, as `config example` prints it.
pub(in crate::cli) const EXAMPLE: &str = include_str!("example.toml");

/// What a file says is to be served.
pub(in crate::cli) fn read(path: &Path) -> Result<ServePlan, CliError> {
    let text = toml_file::text(path)?;
    let (sections, faults) = document::sections(&text);
    meaning::plan(&sections, faults).map_err(|mut faults| {
        faults.sort_by_key(|fault| fault.at.start);
        let lines = faults.iter().map(|fault| toml_file::wrong(path, &text, fault.at.clone(), &fault.what));
        CliError::InvalidFile(lines.collect::<Vec<_>>().join("\n"))
    })
}
