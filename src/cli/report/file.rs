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
    /// True until the first write to a file that did not exist before.
    is_unused: bool,
}

impl ReportFile {
    /// Opens the file, if there is a path, and keeps its contents until [`write`](Self::write). A
    /// new file is removed again if nothing is written to it.
    ///
    /// # Errors
    /// [`CliError::Failed`] if it cannot be opened for writing.
    pub(in crate::cli) fn open(path: Option<PathBuf>) -> Result<Option<Self>, CliError> {
        let Some(path) = path else { return Ok(None) };
        if is_stdout(&path) {
            return Ok(Some(Self { path, file: None, is_unused: false }));
        }
        let (file, is_unused) = match File::options().create_new(true).write(true).open(&path) {
            Ok(file) => (Ok(file), true),
            // A symbolic link may point to a file that does not exist.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (File::options().create(true).write(true).truncate(false).open(&path), false)
            }
            Err(error) => (Err(error), false),
        };
        let file = file.map_err(|error| write_error(&path, &error))?;
        Ok(Some(Self { path, file: Some(file), is_unused }))
    }

    /// Replaces the contents with `bytes`, or prints them.
    ///
    /// # Errors
    /// [`CliError::Failed`] if the write fails.
    pub(in crate::cli) fn write(mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.is_unused = false;
        let Some(file) = &mut self.file else { return stdout::print_bytes(bytes).map(drop) };
        // The length of a special file such as /dev/stdout cannot be set.
        let is_file = file.metadata().is_ok_and(|about| about.is_file());
        let truncated = if is_file { file.set_len(0) } else { Ok(()) };
        truncated.and_then(|()| file.write_all(bytes)).map_err(|error| write_error(&self.path, &error))
    }
}

impl Drop for ReportFile {
    fn drop(&mut self) {
        if self.is_unused {
            // If it cannot be removed, an empty file is left.
            let _ = std::fs::remove_file(&self.path);
        }
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
