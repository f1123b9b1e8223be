//! The options of a measurement that do not depend on its load: the server, the output format, the
//! output files.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::ValueEnum;
use switchboard::{Endpoint, Framing};

use super::args::{BenchResultArgs, BenchServerArgs};
use crate::cli::address::resolve;
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;

/// Descriptors of the process beside the connections: standard streams, the poll, output files.
const OTHER_DESCRIPTORS: u64 = 32;

/// The options that every load shares.
#[derive(Debug)]
pub(super) struct BenchOptions {
    pub(super) service: &'static str,
    pub(super) server: ServerSource,
    /// The server's address, or the address at which a spawned server is asked to listen.
    pub(super) target: Endpoint,
    pub(super) framing: Framing,
    /// Number of connections that the load opens.
    pub(super) connections: usize,
    pub(super) format: OutputFormat,
    pub(super) hdr_path: Option<PathBuf>,
    pub(super) html_path: Option<PathBuf>,
}

/// The origin of the server under load.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerSource {
    /// A server that is started for the measurement.
    Spawned {
        /// The listener, as the value of `--listen`.
        listen: String,
        engine: String,
        /// Further arguments of `serve`.
        args: Vec<String>,
        /// True if the server and the load each get processors of their own.
        pin: bool,
    },
    /// A server that already runs at one of these addresses.
    Existing { endpoints: Vec<Endpoint>, pid: Option<u32> },
}

/// The format of the result on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutputFormat {
    Table,
    Json,
    Csv,
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
            None => Self::Spawned {
                listen,
                engine: engine_name(args.engine.unwrap_or_default()),
                args: serve_args,
                pin: !args.no_pin,
            },
        }
    }
}

impl OutputFormat {
    pub(super) fn new(args: &BenchResultArgs) -> Self {
        match (args.json, args.csv) {
            (true, _) => Self::Json,
            (_, true) => Self::Csv,
            _ => Self::Table,
        }
    }
}

impl BenchOptions {
    /// Returns the number of descriptors that the process needs for the whole run.
    pub(super) fn descriptors(&self) -> u64 {
        self.connections as u64 + OTHER_DESCRIPTORS
    }
}

/// The transport of an address that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

/// Returns the loopback address with a free port, at which a spawned server listens.
pub(super) fn unused_local_endpoint(transport: Transport) -> Endpoint {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    match transport {
        Transport::Tcp => Endpoint::Tcp(address),
        Transport::Udp => Endpoint::Udp(address),
    }
}

/// Resolves an address argument to the endpoints that it may mean. `transport` applies to an
/// address that names none; with `Udp`, which stands for `--udp`, another one is an error.
pub(super) fn resolve_target(address: &str, transport: Transport) -> Result<Vec<Endpoint>, CliError> {
    let udp = transport == Transport::Udp;
    let endpoints = match address.split_once(':') {
        Some(("tcp" | "unix", _)) if udp => {
            return Err(CliError::Usage(format!("--udp contradicts {address}: write host:port or udp:host:port")));
        }
        Some((scheme, _)) if udp && scheme != "udp" => resolve(address, &format!("udp:{address}")),
        _ => resolve(address, address),
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
    args.engine.map(|engine| vec!["--engine".to_owned(), engine_name(engine)]).unwrap_or_default()
}

/// Returns the value of `--engine` for an engine.
fn engine_name(engine: EngineName) -> String {
    engine.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
