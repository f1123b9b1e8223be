//! The address of a server, and the error message if it cannot be reached.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use switchboard::{Endpoint, SocketStream, escape};

use crate::cli::address;
use crate::cli::error::{CliError, without_number};

/// One or more endpoints of one server, all of the same transport.
#[derive(Clone, Debug)]
pub(super) struct ServerAddress {
    /// The arguments that follow `switchboard serve` to start such a server.
    service: &'static str,
    /// The address as the user wrote it; with the prefix `udp:` if the transport is UDP.
    typed: String,
    endpoints: Vec<Endpoint>,
    /// The time that resolving has taken. It counts against the timeout of the first connect.
    resolve_time: Cell<Duration>,
}

impl ServerAddress {
    /// Resolves an address that is not a broadcast address. UDP if `udp`, or if `typed` starts with
    /// `udp:`. A name is resolved within `timeout`, which is that of connecting.
    pub(super) fn resolve(service: &'static str, typed: &str, udp: bool, timeout: Duration) -> Result<Self, CliError> {
        let server = Self::resolve_any(service, typed, udp, timeout)?;
        if server.socket_addrs().any(|addr| matches!(addr.ip(), IpAddr::V4(ip) if ip.is_broadcast())) {
            return Err(broadcast_error(&server.typed));
        }
        Ok(server)
    }

    /// Resolves the address of a stream service; rejects UDP.
    pub(super) fn resolve_stream(service: &'static str, typed: &str, timeout: Duration) -> Result<Self, CliError> {
        let server = Self::resolve(service, typed, false, timeout)?;
        if server.is_udp() {
            return Err(CliError::Usage(format!("{typed}: this client does not use UDP; leave out udp:")));
        }
        Ok(server)
    }

    /// Resolves an address like [`resolve`](Self::resolve), but accepts a broadcast address.
    pub(super) fn resolve_any(
        service: &'static str,
        typed: &str,
        udp: bool,
        timeout: Duration,
    ) -> Result<Self, CliError> {
        if udp && let Some((transport @ ("unix" | "tcp"), _)) = typed.split_once(':') {
            return Err(CliError::Usage(format!("{typed} is not a UDP address: leave out {transport}: or --udp")));
        }
        let address = if udp && !typed.starts_with("udp:") { format!("udp:{typed}") } else { typed.to_owned() };
        let begun = Instant::now();
        let endpoints = address::resolve(typed, &address, timeout)?;
        let server = Self { service, typed: address, endpoints, resolve_time: Cell::new(begun.elapsed()) };
        if server.socket_addrs().any(|addr| addr.port() == 0) {
            return Err(CliError::Usage(format!("{typed} is not a server's address: port 0 stands for any port")));
        }
        Ok(server)
    }

    pub(super) fn is_udp(&self) -> bool {
        matches!(self.endpoints.first(), Some(Endpoint::Udp(_)))
    }

    /// Returns true if every endpoint is on this machine.
    pub(super) fn is_local(&self) -> bool {
        self.endpoints.iter().all(Endpoint::is_local)
    }

    /// Iterates over the IP endpoints; skips Unix socket paths.
    pub(super) fn socket_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.endpoints.iter().filter_map(|endpoint| match endpoint {
            Endpoint::Tcp(addr) | Endpoint::Udp(addr) => Some(*addr),
            Endpoint::Unix(_) => None,
        })
    }

    /// Returns the address as the user wrote it; with the prefix `udp:` if the transport is UDP.
    pub(super) fn typed(&self) -> &str {
        &self.typed
    }

    /// Connects to the first endpoint that accepts. The error advises what to do.
    pub(super) fn connect(&self, timeout: Duration) -> Result<SocketStream, CliError> {
        let timeout = timeout.saturating_sub(self.resolve_time.take());
        self.try_connect(timeout).map_err(|error| self.unreachable(&error))
    }

    /// Connects like [`connect`](Self::connect), but returns the system's error.
    pub(super) fn try_connect(&self, timeout: Duration) -> io::Result<SocketStream> {
        SocketStream::connect(&self.endpoints, timeout)
    }

    /// Builds the error for a server that cannot be reached, with advice.
    pub(super) fn unreachable(&self, error: &io::Error) -> CliError {
        let typed = &self.typed;
        if self.is_udp() && error.kind() == ErrorKind::PermissionDenied {
            return broadcast_error(typed);
        }
        let advice = match error.kind() {
            ErrorKind::ConnectionRefused if self.is_udp() => {
                let start = format!("'switchboard serve {} --listen {typed}'", self.service);
                return CliError::Failed(format!(
                    "cannot reach {typed}: no server listens there; start one with {start}"
                ));
            }
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => {
                let listen = if self.is_local() { format!(" --listen {typed}") } else { String::new() };
                format!("start one with 'switchboard serve {}{listen}', or check the address", self.service)
            }
            ErrorKind::TimedOut if matches!(self.endpoints.first(), Some(Endpoint::Unix(_))) => {
                "the server is busy, or does not accept connections any more".to_owned()
            }
            ErrorKind::TimedOut => "no reply: check the address, the network and firewalls".to_owned(),
            ErrorKind::PermissionDenied => "check the permissions of the socket file".to_owned(),
            _ => "check the address".to_owned(),
        };
        CliError::Failed(format!("cannot reach {typed}: {}; {advice}", cause(error)))
    }

    /// Builds an error that begins with the server's address.
    pub(super) fn error(&self, what: &str) -> CliError {
        CliError::Failed(format!("{}: {what}", self.typed))
    }
}

fn broadcast_error(typed: &str) -> CliError {
    CliError::Usage(format!("{typed} is a broadcast address: only 'call clock --broadcast' sends to it"))
}

/// Returns true if the error means that the server has closed the connection.
pub(super) fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}

/// Formats an error for the middle of a sentence: lower case, without the suffix `(os error 111)`.
pub(super) fn cause(error: &io::Error) -> String {
    let mut text = escape::line(&without_number(error)).into_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    text
}
