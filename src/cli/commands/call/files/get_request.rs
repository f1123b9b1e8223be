//! The file to get, its output, and the messages about it.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use switchboard::TextEncoding;
use switchboard::client::files::DownloadError;

use super::error::CallFilesError;
use crate::cli::commands::call::server_address::cause;
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;
use crate::cli::terminal::{sanitize, stderr};
use crate::cli::transfer::{OutputError, OutputFile, TransferProgress};

/// The arguments of `call files get`.
pub(super) struct GetRequest {
    pub(super) name: OsString,
    /// The output path; `None` for standard output.
    pub(super) path: Option<PathBuf>,
    /// True if an existing file must not be replaced.
    pub(super) no_clobber: bool,
    pub(super) is_quiet: bool,
}

impl GetRequest {
    /// Returns the file's name for a message: one line, with control characters escaped.
    pub(super) fn display_name(&self) -> String {
        sanitize::file_name(&self.name)
    }

    /// Returns the file's name as the dialect plain sends it.
    pub(super) fn encoded_name(&self, encoding: TextEncoding) -> Result<Cow<'_, [u8]>, CliError> {
        // A UTF-8 system may have names that are not UTF-8: they are sent unchanged.
        if encoding == TextEncoding::UTF_8 {
            return Ok(self.name.as_encoded_bytes().into());
        }
        let wrong = |cause: String| CliError::Usage(format!("the file's name cannot be sent: {cause}"));
        let name = self.name.to_str().ok_or_else(|| wrong(format!("{} is not UTF-8", self.display_name())))?;
        encoding.encode(name).map_err(|error| wrong(error.to_string()))
    }

    /// Opens standard output, or the output path with `open`.
    pub(super) fn open_output(
        &self,
        open: impl FnOnce(&Path) -> Result<OutputFile, OutputError>,
    ) -> Result<OutputFile, CliError> {
        match &self.path {
            Some(path) => open(path).map_err(|OutputError { path, error }| path_error(&path, &error)),
            None => OutputFile::stdout().map_err(|error| self.write_error(&error)),
        }
    }

    pub(super) fn write_error(&self, error: &io::Error) -> CliError {
        match &self.path {
            Some(path) => path_error(path, error),
            None => CliError::Failed(format!("cannot write to standard output: {}", cause(error))),
        }
    }

    pub(super) fn write(
        &self,
        output: &mut OutputFile,
        bytes: &[u8],
        interrupt: &Interrupt,
    ) -> Result<(), CallFilesError> {
        match output.write_all(bytes, interrupt) {
            Ok(ControlFlow::Break(())) => Err(CallFilesError::Interrupted),
            Ok(ControlFlow::Continue(())) => Ok(()),
            Err(error) if self.path.is_none() && error.kind() == io::ErrorKind::BrokenPipe => {
                Err(CallFilesError::OutputClosed)
            }
            Err(error) => Err(self.write_error(&error).into()),
        }
    }

    /// Starts the progress bar. On a terminal as output, the bar and the file would overwrite each
    /// other.
    pub(super) fn start_progress(&self, output: &OutputFile, total: Option<u64>, already: u64) -> TransferProgress {
        TransferProgress::new(total, already, self.is_quiet || output.is_terminal())
    }

    /// Prints a message on standard error, unless `--quiet`.
    pub(super) fn print_status(&self, message: &str) {
        if !self.is_quiet {
            let path = self.path.as_deref().map(|path| format!("{}: ", sanitize::file_name(path))).unwrap_or_default();
            stderr::print_line(&format!("{path}{message}"));
        }
    }

    /// Completes the output file.
    pub(super) fn finish(&self, output: OutputFile) -> Result<(), CliError> {
        output.finish(self.no_clobber).map_err(|error| self.write_error(&error))
    }

    /// Keeps an incomplete file for the next run; discards it if it is empty or known to be
    /// outdated.
    pub(super) fn keep_or_discard(&self, output: OutputFile, error: &CallFilesError) {
        let bytes = output.len().unwrap_or(0);
        if bytes == 0 || matches!(error, CallFilesError::Reply(DownloadError::ChecksumMismatch)) {
            output.discard();
        } else if let Some(partial) = output.partial_path() {
            self.print_status(&format!(
                "kept {bytes} bytes in {}; the same command resumes the download",
                sanitize::file_name(partial)
            ));
        }
    }
}

fn path_error(path: &Path, error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot write {}: {}", sanitize::file_name(path), cause(error)))
}
