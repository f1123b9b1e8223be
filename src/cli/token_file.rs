//! An access token in a file that only its owner can read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::error::CliError;
use crate::cli::private_file;

/// Bytes read from the file, far more than a token has. A wrong file, such as a device, is not read
/// to its end.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads the token, without the line end after it.
///
/// # Errors
/// [`CliError::Failed`] if the file cannot be read, is empty, or gives its group or others any
/// permission.
pub(in crate::cli) fn read(path: &Path) -> Result<String, CliError> {
    let shown = path.display();
    let failed = |error: io::Error| CliError::Failed(format!("cannot read the token in {shown}: {error}"));
    let file = File::open(path).map_err(failed)?;
    if private_file::is_open_to_others(&file).map_err(failed)? {
        return Err(CliError::Failed(format!(
            "the token in {shown} is accessible to other users: run 'chmod 600 {shown}'"
        )));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::Failed(format!("{shown} is empty: write the token into it as one line")));
    }
    Ok(line.to_owned())
}
