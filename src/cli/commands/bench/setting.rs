//! What every measurement is told besides its load: which server, how the result is shown, and into which files it is written.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::ValueEnum;
use switchboard::{Endpoint, Framing};

use super::args::{ResultArgs, ServerArgs};
use crate::cli::address::resolve;
use crate::cli::engine::EngineName;
use crate::cli::error::CliError;

/// The circumstances of a measurement.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) service: &'static str,
    pub(super) server: Server,
    /// Where the server is, or where one that is started is asked to listen.
    pub(super) target: Endpoint,
    pub(super) framing: Framing,
    /// That the load opens.
    pub(super) connections: usize,
    pub(super) show: Show,
    pub(super) hdr: Option<PathBuf>,
    pub(super) html: Option<PathBuf>,
}

/// Whose server it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// One that is started for the measurement.
    Own {
        /// Where, in the words of `--listen`.
        listen: String,
        engine: String,
        /// Further arguments of `serve`.
        options: Vec<String>,
        /// Whether it and the load run on processors of their own.
        pin: bool,
    },
    /// One that runs already, at one of these.
    Foreign { endpoints: Vec<Endpoint>, pid: Option<u32> },
}

/// What is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    Table,
    Json,
    Csv,
}

impl Server {
    /// The one that was named, or else one that listens there and is told this.
    pub(super) fn new(
        endpoints: Option<Vec<Endpoint>>,
        typed: &ServerArgs,
        listen: String,
        options: Vec<String>,
    ) -> Self {
        match endpoints {
            Some(endpoints) => Self::Foreign { endpoints, pid: typed.server_pid },
            None => Self::Own { listen, engine: name(typed.engine.unwrap_or_default()), options, pin: !typed.no_pin },
        }
    }
}

impl Show {
    pub(super) fn new(typed: &ResultArgs) -> Self {
        match (typed.json, typed.csv) {
            (true, _) => Self::Json,
            (_, true) => Self::Csv,
            _ => Self::Table,
        }
    }
}

impl Setting {
    /// Descriptors that the load needs, a few for everything else included.
    pub(super) fn descriptors(&self) -> u64 {
        self.connections as u64 + 32
    }
}

/// Where a server that is started is asked to listen.
pub(super) fn anywhere(udp: bool) -> Endpoint {
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    if udp { Endpoint::Udp(address) } else { Endpoint::Tcp(address) }
}

/// The addresses that were meant.
pub(super) fn find(address: &str, udp: bool) -> Result<Vec<Endpoint>, CliError> {
    let endpoints = match address.split_once(':') {
        Some(("tcp" | "unix", _)) if udp => {
            return Err(CliError::Usage(format!("--udp contradicts {address}: write host:port or udp:host:port")));
        }
        Some((scheme, _)) if udp && scheme != "udp" => resolve(address, &format!("udp:{address}")),
        _ => resolve(address, address),
    }?;
    let nowhere = |endpoint: &Endpoint| match endpoint {
        Endpoint::Tcp(address) | Endpoint::Udp(address) => address.port() == 0,
        Endpoint::Unix(_) => false,
    };
    if endpoints.iter().any(nowhere) {
        return Err(CliError::Usage(format!("{address} is no server's address: port 0 stands for any port")));
    }
    Ok(endpoints)
}

/// What a server that is started is told about its engine.
pub(super) fn engine_options(typed: &ServerArgs) -> Vec<String> {
    typed.engine.map(|engine| vec!["--engine".to_owned(), name(engine)]).unwrap_or_default()
}

/// An engine as it is typed.
fn name(engine: EngineName) -> String {
    engine.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
