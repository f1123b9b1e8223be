//! TOML files that people write: read with a bound, and what is wrong with them said with the line it is on.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;

use switchboard::escape;

use crate::cli::error::CliError;

/// No file that somebody wrote by hand is larger, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads a file of this shape.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, CliError> {
    let text = text(path)?;
    let fault = |error: toml::de::Error| wrong(path, &text, error.span().unwrap_or_default(), error.message());
    toml::from_str(&text).map_err(|error| CliError::InvalidFile(fault(error)))
}

/// Reads the text of a file.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    let failed = |error| CliError::Failed(format!("cannot read {}: {error}", path.display()));
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(CliError::InvalidFile(format!("{} is larger than {MAX_BYTES} bytes", path.display())));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line =
            error.as_bytes().iter().take(error.utf8_error().valid_up_to()).filter(|byte| **byte == b'\n').count();
        CliError::InvalidFile(format!("{}:{}: this is not UTF-8", path.display(), line + 1))
    })
}

/// What is wrong at some place of a file, with the number of its line.
pub(super) fn wrong(path: &Path, text: &str, place: Range<usize>, what: &str) -> String {
    let line = text.bytes().take(place.start).filter(|byte| *byte == b'\n').count() + 1;
    format!("{}:{line}: {}", path.display(), escape::line(&what.trim().replace('\n', "; ")))
}
