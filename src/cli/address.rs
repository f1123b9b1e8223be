//! Addresses as typed on the command line, resolved to endpoints.

use std::io;

use switchboard::{Endpoint, ParseEndpointError};

use super::error::CliError;

/// Resolves `address` to all of its endpoints. Error messages call the address `typed`, the form in
/// which the user gave it, such as `--listen ADDR`.
///
/// # Errors
/// [`CliError::Usage`] if `address` is not an address; [`CliError::Failed`] if its host name cannot
/// be resolved.
pub(in crate::cli) fn resolve(typed: &str, address: &str) -> Result<Vec<Endpoint>, CliError> {
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
    Endpoint::resolve(address).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => CliError::Usage(format!("{typed} is {ParseEndpointError}")),
        _ => CliError::Failed(format!("cannot resolve {address}: {error}; check the name, or write an IP address")),
    })
}
