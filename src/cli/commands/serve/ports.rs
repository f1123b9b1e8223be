//! The listeners of default services: on their default ports, or on consecutive ports from a base.

use super::args::ListenArg;
use super::services::BuiltinService;
use crate::cli::error::CliError;

/// Returns the default listeners of a service.
pub(super) fn defaults(builtin: &BuiltinService) -> Result<Vec<ListenArg>, CliError> {
    builtin.default_listen.iter().map(|text| text.parse().map_err(CliError::Usage)).collect()
}

/// Returns the default listeners of each service with other ports: `base` for the first default
/// port, the next number for the next. Listeners with the same default port, such as TCP and UDP of
/// one service, get the same number. With base 0 each listener gets a free port.
///
/// # Errors
/// [`CliError::Usage`] if the last number is above 65535.
pub(super) fn consecutive(base: u16, services: &[&BuiltinService]) -> Result<Vec<Vec<ListenArg>>, CliError> {
    let mut listen = services.iter().map(|builtin| defaults(builtin)).collect::<Result<Vec<_>, _>>()?;
    let mut default_ports: Vec<String> = Vec::new();
    for ListenArg { address, .. } in listen.iter_mut().flatten() {
        // Every default address has a port.
        let Some((host, port)) = address.rsplit_once(':') else { continue };
        let offset = default_ports.iter().position(|known| known == port).unwrap_or_else(|| {
            default_ports.push(port.to_owned());
            default_ports.len() - 1
        });
        *address = format!("{host}:{}", if base == 0 { 0 } else { usize::from(base) + offset });
    }
    let count = default_ports.len();
    let highest = (usize::from(u16::MAX) + 1).saturating_sub(count);
    if usize::from(base) > highest {
        let text = format!("--port-base {base} is too high for {count} ports: use {highest} or less");
        return Err(CliError::Usage(text));
    }
    Ok(listen)
}
