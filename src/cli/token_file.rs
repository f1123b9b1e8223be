//! A secret in a file: read once, and only from a file that keeps it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::error::CliError;

/// Far more than a secret has, so that a wrong file is found out without reading it all.
const MAX_BYTES: u64 = 64 * 1024;

/// The text of a file that nobody but its owner can read, without the line feed at its end.
pub(in crate::cli) fn read(path: &Path) -> Result<String, CliError> {
    let shown = path.display();
    let failed = |error: io::Error| CliError::Failed(format!("cannot read the token in {shown}: {error}"));
    let file = File::open(path).map_err(failed)?;
    if is_open_to_others(&file).map_err(failed)? {
        return Err(CliError::Failed(format!(
            "others may read or change the token in {shown}: run 'chmod 600 {shown}'"
        )));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(CliError::Failed(format!("there is no token in {shown}: write one line into it")));
    }
    Ok(line.to_owned())
}

#[cfg(unix)]
fn is_open_to_others(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;

    Ok(file.metadata()?.permissions().mode() & 0o077 != 0)
}

/// Who may read a file is not told by a few bits there.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn is_open_to_others(_file: &File) -> io::Result<bool> {
    Ok(false)
}
