//! Where a server is, and what to say where it is not.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use switchboard::Endpoint;
use switchboard::client::ClientStream;
use switchboard::escape;

use crate::cli::address;
use crate::cli::error::CliError;

/// A server's addresses, of which there is at least one. They are all of one transport.
#[derive(Clone, Debug)]
pub(in crate::cli::commands::call) struct Server {
    /// What follows `switchboard serve` to start one.
    service: &'static str,
    /// As the user wrote it.
    typed: String,
    endpoints: Vec<Endpoint>,
}

impl Server {
    /// Looks up where a service is: over UDP if the address says so or `udp` does.
    pub(in crate::cli::commands::call) fn find(
        service: &'static str,
        typed: &str,
        udp: bool,
    ) -> Result<Self, CliError> {
        let server = Self::find_any(service, typed, udp)?;
        if server.socket_addrs().any(|addr| matches!(addr.ip(), IpAddr::V4(ip) if ip.is_broadcast())) {
            return Err(is_broadcast(&server.typed));
        }
        Ok(server)
    }

    /// Looks up where a service is that is not to be had over UDP.
    pub(in crate::cli::commands::call) fn find_stream(service: &'static str, typed: &str) -> Result<Self, CliError> {
        let server = Self::find(service, typed, false)?;
        if server.is_udp() {
            return Err(CliError::Usage(format!("{typed} is not for this client: leave out udp:")));
        }
        Ok(server)
    }

    /// As [`find`](Self::find), but the address may be everybody's.
    pub(in crate::cli::commands::call) fn find_any(
        service: &'static str,
        typed: &str,
        udp: bool,
    ) -> Result<Self, CliError> {
        if udp && let Some((transport @ ("unix" | "tcp"), _)) = typed.split_once(':') {
            return Err(CliError::Usage(format!("{typed} is not a UDP address: leave out {transport}: or --udp")));
        }
        let address = if udp && !typed.starts_with("udp:") { format!("udp:{typed}") } else { typed.to_owned() };
        let endpoints = address::resolve(typed, &address)?;
        let server = Self { service, typed: address, endpoints };
        if server.socket_addrs().any(|addr| addr.port() == 0) {
            return Err(CliError::Usage(format!("{typed} is no server's address: port 0 stands for any port")));
        }
        Ok(server)
    }

    pub(in crate::cli::commands::call) fn is_udp(&self) -> bool {
        matches!(self.endpoints.first(), Some(Endpoint::Udp(_)))
    }

    /// Whether all that is between is this machine.
    pub(in crate::cli::commands::call) fn is_local(&self) -> bool {
        self.endpoints.iter().all(Endpoint::is_local)
    }

    /// Its addresses, if it has some that are not paths.
    pub(in crate::cli::commands::call) fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.endpoints.iter().filter_map(|endpoint| match endpoint {
            Endpoint::Tcp(addr) | Endpoint::Udp(addr) => Some(*addr),
            Endpoint::Unix(_) => None,
        })
    }

    /// As the user wrote it, but over UDP with its transport.
    pub(in crate::cli::commands::call) fn typed(&self) -> &str {
        &self.typed
    }

    /// Connects to the first address that answers, or says what could be done about it.
    pub(in crate::cli::commands::call) fn connect(&self, limit: Duration) -> Result<ClientStream, CliError> {
        self.try_connect(limit).map_err(|error| self.cannot_reach(&error))
    }

    /// As [`connect`](Self::connect), and says what happened.
    pub(in crate::cli::commands::call) fn try_connect(&self, limit: Duration) -> io::Result<ClientStream> {
        ClientStream::connect(&self.endpoints, limit)
    }

    /// What to say, and to do, where it could not be reached.
    pub(in crate::cli::commands::call) fn cannot_reach(&self, error: &io::Error) -> CliError {
        let typed = &self.typed;
        if self.is_udp() && error.kind() == ErrorKind::PermissionDenied {
            return is_broadcast(typed);
        }
        let advice = match error.kind() {
            ErrorKind::ConnectionRefused if self.is_udp() => {
                let start = format!("'switchboard serve {} --listen {typed}'", self.service);
                return CliError::Failed(format!("nobody listens at {typed}; start one with {start}"));
            }
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                format!("start one with 'switchboard serve {}', or check the address", self.service)
            }
            ErrorKind::TimedOut => "nobody answers: check the address, and what is between".to_owned(),
            ErrorKind::PermissionDenied => "this user may not: check the socket's permissions".to_owned(),
            _ => "check the address".to_owned(),
        };
        CliError::Failed(format!("cannot reach {typed}: {}; {advice}", bare(error)))
    }

    /// A failure of a conversation with it.
    pub(in crate::cli::commands::call) fn failed(&self, what: &str) -> CliError {
        CliError::Failed(format!("{} {what}", self.typed))
    }
}

fn is_broadcast(typed: &str) -> CliError {
    CliError::Usage(format!("{typed} is a broadcast address: 'call clock --broadcast' asks everybody, others do not"))
}

/// Whether the server has gone, in good order or not.
pub(in crate::cli::commands::call) fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}

/// Whether a read or write has waited for as long as it may.
pub(in crate::cli::commands::call) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// An error in the middle of a line, without the `(os error 111)` that says nothing to a person.
pub(in crate::cli::commands::call) fn bare(error: &io::Error) -> String {
    let text = error.to_string();
    let mut text = escape::line(text.split(" (os error").next().unwrap_or(&text)).into_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}
