//! The server of a measurement: one that already runs at an address, or one that is started.

use std::net::Ipv4Addr;

use switchboard::Endpoint;

use super::args::BenchServerArgs;
use crate::cli::address::{RESOLVE_TIMEOUT, resolve};
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;

/// The origin of the server under load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerSource {
    /// A server that is started for the measurement.
    Spawned {
        /// The listener, as the value of `--listen`.
        listen: String,
        engine: EngineName,
        /// Further arguments of `serve`.
        args: Vec<String>,
        /// True if the server and the load each get processors of their own.
        pin: bool,
    },
    /// A server that already runs at one of these addresses.
    Existing { endpoints: Vec<Endpoint>, pid: Option<u32> },
}

impl ServerSource {
    /// Returns the server at `endpoints`. Without endpoints, returns a server to spawn that listens
    /// at `listen` and gets `serve_args`.
    pub(super) fn new(
        endpoints: Option<Vec<Endpoint>>,
        args: &BenchServerArgs,
        listen: String,
        serve_args: Vec<String>,
    ) -> Self {
        match endpoints {
            Some(endpoints) => Self::Existing { endpoints, pid: args.server_pid },
            None => {
                Self::Spawned { listen, engine: args.engine.unwrap_or_default(), args: serve_args, pin: !args.no_pin }
            }
        }
    }
}

/// The transport of an address that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// Returns the endpoints that an address argument may mean, and the first of them. Without an
/// address, returns the loopback address with a free port, at which a spawned server listens.
pub(super) fn target(
    address: Option<&str>,
    transport: Transport,
) -> Result<(Option<Vec<Endpoint>>, Endpoint), CliError> {
    let endpoints = address.map(|address| resolve_target(address, transport)).transpose()?;
    let first = endpoints.as_ref().and_then(|endpoints| endpoints.first().cloned());
    let unused = (Ipv4Addr::LOCALHOST, 0).into();
    let unused = if transport == Transport::Udp { Endpoint::Udp(unused) } else { Endpoint::Tcp(unused) };
    Ok((endpoints, first.unwrap_or(unused)))
}

/// Resolves an address argument to the endpoints that it may mean. `transport` applies to an
/// address that names none; with `Udp`, which stands for `--udp`, another one is an error.
fn resolve_target(address: &str, transport: Transport) -> Result<Vec<Endpoint>, CliError> {
    let udp = transport == Transport::Udp;
    let endpoints = match address.split_once(':') {
        Some(("tcp" | "unix", _)) if udp => {
            return Err(CliError::Usage(format!("--udp contradicts {address}: write host:port or udp:host:port")));
        }
        Some((scheme, _)) if udp && scheme != "udp" => resolve(address, &format!("udp:{address}"), RESOLVE_TIMEOUT),
        _ => resolve(address, address, RESOLVE_TIMEOUT),
    }?;
    let has_port_zero = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp(address) | Endpoint::Udp(address) => address.port() == 0,
        Endpoint::Unix(_) => false,
    };
    if endpoints.iter().any(has_port_zero) {
        return Err(CliError::Usage(format!(
            "{address} has port 0, which stands for any free port: write the server's port"
        )));
    }
    Ok(endpoints)
}

/// Returns the arguments of `serve` that choose the engine.
pub(super) fn engine_args(args: &BenchServerArgs) -> Vec<String> {
    args.engine.map(|engine| vec!["--engine".to_owned(), engine.name().to_owned()]).unwrap_or_default()
}
