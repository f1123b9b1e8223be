//! Addresses as typed on the command line, resolved to endpoints.

use std::io;
use std::time::Duration;

use switchboard::Endpoint;

use super::error::CliError;

/// The time limit for the resolution of a name that no flag limits.
pub(in crate::cli) const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Resolves `address` to all of its endpoints, within `timeout`. Error messages call the address
/// `typed`, the form in which the user gave it, such as `--listen ADDR`.
///
/// # Errors
/// [`CliError::Usage`] if `address` is not an address; [`CliError::Failed`] if its host name cannot
/// be resolved.
pub(in crate::cli) fn resolve(typed: &str, address: &str, timeout: Duration) -> Result<Vec<Endpoint>, CliError> {
    // A line feed in a Unix socket's path would add a line to the `listening` lines on standard
    // output.
    if address.chars().any(char::is_control) {
        return Err(CliError::Usage(format!("{} contains a control character", typed.escape_debug())));
    }
    // `:PORT` and `*:PORT` mean every interface in other programs. Here the user has to write that
    // out.
    if let Some(port) = address.strip_prefix([':', '*']).map(|rest| rest.trim_start_matches(':'))
        && port.parse::<u16>().is_ok()
    {
        let write = format!("write 127.0.0.1:{port} or 0.0.0.0:{port}");
        return Err(CliError::Usage(format!("{typed} names no host: {write}")));
    }
    Endpoint::resolve_within(address, timeout).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => CliError::Usage(format!("{typed} is {error}")),
        io::ErrorKind::TimedOut => CliError::Failed(format!(
            "cannot resolve {address}: no answer within {timeout:?}; check the name and the name servers, or write an \
             IP address"
        )),
        _ => CliError::Failed(format!("cannot resolve {address}: {error}; check the name, or write an IP address")),
    })
}
