//! The files that a result is written to. They are opened before anything is measured: who learns of a missing directory after
//! the run has lost the run.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;

/// A file that is to be written once.
#[derive(Debug)]
pub(in crate::cli) struct ReportFile {
    path: PathBuf,
    file: File,
}

impl ReportFile {
    /// Opens it, and leaves what is in it alone until there is something to put in its place.
    pub(in crate::cli) fn open(path: &Path) -> Result<Self, CliError> {
        let file = File::options().create(true).write(true).truncate(false).open(path);
        let file = file.map_err(|error| cannot(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Puts `bytes` in it and nothing else.
    pub(in crate::cli) fn write(mut self, bytes: &[u8]) -> Result<(), CliError> {
        // What is no regular file, as /dev/stdout, has no length that could be set.
        let is_file = self.file.metadata().is_ok_and(|about| about.is_file());
        let emptied = if is_file { self.file.set_len(0) } else { Ok(()) };
        emptied.and_then(|()| self.file.write_all(bytes)).map_err(|error| cannot(&self.path, &error))
    }
}

fn cannot(path: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot write {}: {error}", path.display()))
}
