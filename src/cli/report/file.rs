//! Files for results. A command opens them before it measures, because an error after the run, such
//! as a missing directory, would lose the result. The path `-` is standard output.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;
use crate::cli::terminal::stdout;

/// A file to which a result is written once.
#[derive(Debug)]
pub(in crate::cli) struct ReportFile {
    path: PathBuf,
    /// `None` for standard output.
    file: Option<File>,
}

impl ReportFile {
    /// Opens the file, if there is a path, and keeps its contents until [`write`](Self::write).
    ///
    /// # Errors
    /// [`CliError::Failed`] if it cannot be opened for writing.
    pub(in crate::cli) fn open(path: Option<PathBuf>) -> Result<Option<Self>, CliError> {
        let Some(path) = path else { return Ok(None) };
        if is_stdout(&path) {
            return Ok(Some(Self { path, file: None }));
        }
        let file = File::options().create(true).write(true).truncate(false).open(&path);
        let file = file.map_err(|error| write_error(&path, &error))?;
        Ok(Some(Self { path, file: Some(file) }))
    }

    /// Replaces the contents with `bytes`, or prints them.
    ///
    /// # Errors
    /// [`CliError::Failed`] if the write fails.
    pub(in crate::cli) fn write(self, bytes: &[u8]) -> Result<(), CliError> {
        let Self { path, file } = self;
        let Some(mut file) = file else { return stdout::print_bytes(bytes).map(drop) };
        // The length of a special file such as /dev/stdout cannot be set.
        let is_file = file.metadata().is_ok_and(|about| about.is_file());
        let truncated = if is_file { file.set_len(0) } else { Ok(()) };
        truncated.and_then(|()| file.write_all(bytes)).map_err(|error| write_error(&path, &error))
    }
}

/// The path that stands for standard output.
pub(in crate::cli) const STDOUT: &str = "-";

/// Returns true if the path stands for standard output.
pub(super) fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == STDOUT
}

fn write_error(path: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot write {}: {error}", path.display()))
}
