//! TOML files written by hand. An error names the file and the line.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;

use switchboard::escape;

use crate::cli::error::CliError;

/// Size limit of a file, in bytes. A larger file was not written by hand.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the file at `path` as a `T`.
///
/// # Errors
/// [`CliError::InvalidFile`] if the file is not a `T` in TOML; otherwise the errors of [`text`].
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CliError> {
    let text = text(path)?;
    let line = |error: toml::de::Error| error_line(path, &text, error.span().unwrap_or_default(), error.message());
    toml::from_str(&text).map_err(|error| CliError::InvalidFile(line(error)))
}

/// Reads the text of the file at `path`.
///
/// # Errors
/// [`CliError::Failed`] if the file cannot be read, is larger than 1 MiB, or is not UTF-8.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::Failed(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(CliError::Failed(format!("{} is larger than {MAX_BYTES} bytes", path.display())));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count();
        CliError::Failed(format!("cannot read {}:{}: invalid UTF-8", path.display(), line + 1))
    })
}

/// Returns an error message with the file and the line of `span`, a byte range in `text`.
pub(super) fn error_line(path: &Path, text: &str, span: Range<usize>, message: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    format!("{}: {}", position(path, text, &span), escape::line(&message))
}

/// Returns the file and the line of `span`, a byte range in `text`: `FILE:LINE`.
pub(super) fn position(path: &Path, text: &str, span: &Range<usize>) -> String {
    let line = text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1;
    format!("{}:{line}", path.display())
}
