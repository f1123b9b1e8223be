//! Files for results. A command opens them before it measures, because an error after the run, such
//! as a missing directory, would lose the result.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;

/// A file to which a result is written once.
#[derive(Debug)]
pub(in crate::cli) struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens the file, if there is a path, and keeps its contents until [`write`](Self::write).
    ///
    /// # Errors
    /// [`CliError::Failed`] if it cannot be opened for writing.
    pub(in crate::cli) fn open(path: Option<PathBuf>) -> Result<Option<Self>, CliError> {
        let Some(path) = path else { return Ok(None) };
        let file = File::options().create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(|error| write_error(&path, &error))?;
        Ok(Some(Self { path, file }))
    }

    /// Replaces the contents with `bytes`.
    ///
    /// # Errors
    /// [`CliError::Failed`] if the write fails.
    pub(in crate::cli) fn write(mut self, bytes: &[u8]) -> Result<(), CliError> {
        // The length of a special file such as /dev/stdout cannot be set.
        let is_file = self.file.metadata().is_ok_and(|about| about.is_file());
        let truncated = if is_file { self.file.set_len(0) } else { Ok(()) };
        truncated.and_then(|()| self.file.write_all(bytes)).map_err(|error| write_error(&self.path, &error))
    }
}

fn write_error(path: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot write {}: {error}", path.display()))
}
