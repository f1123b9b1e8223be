//! The configuration file of `serve`: services, listeners and limits in TOML.
//!
//! [`document`] parses the file into sections of keys, each with its position. [`interpret`] turns
//! the sections into a [`ServePlan`], the same type that the flags result in.

pub(super) mod document;
mod interpret;
#[cfg(test)]
mod tests;

use std::path::Path;

use self::document::ConfigError;
use super::plan::ServePlan;
use super::toml_file;
use crate::cli::error::CliError;

/// A configuration file that explains each key, as `config example` prints it.
pub(in crate::cli) const EXAMPLE: &str = include_str!("example.toml");

/// Reads the configuration file at `path`.
///
/// # Errors
/// [`CliError::InvalidFile`] with every error in the file, in the order of its lines.
/// [`CliError::Failed`] if it cannot be read, or if its only errors are that it names what cannot
/// be read.
pub(in crate::cli) fn read(path: &Path) -> Result<ServePlan, CliError> {
    let text = toml_file::text(path)?;
    plan(path, &text).map_err(|errors| {
        let lines = errors.iter().map(|error| toml_file::error_line(path, &text, error.span.clone(), &error.message));
        let lines = lines.collect::<Vec<_>>().join("\n");
        if errors.iter().all(|error| error.is_unreadable) {
            CliError::Failed(lines)
        } else {
            CliError::InvalidFile(lines)
        }
    })
}

/// Makes the plan of `text`, the contents of the file at `path`; or returns every error, in the
/// order of its lines.
pub(super) fn plan(path: &Path, text: &str) -> Result<ServePlan, Vec<ConfigError>> {
    let (sections, errors) = document::sections(text);
    let position = |span: &_| toml_file::position(path, text, span);
    let plan = interpret::plan(&sections, errors, &position);
    plan.map_err(|mut errors| {
        errors.sort_by_key(|error| error.span.start);
        errors
    })
}
