//! The server under load: a spawned one, or one that already runs.

use std::net::TcpStream;
use std::time::Duration;

use switchboard::Endpoint;

use super::options::{BenchOptions, ServerSource};
use crate::cli::error::CliError;
use crate::cli::process::{CpuAssignment, ProcessProbe, ServeCommand, ServerProcess};

/// The connect timeout for each address of a name that has several.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A server and the access to its process.
#[derive(Debug)]
pub(super) struct BenchServer {
    pub(super) endpoint: Endpoint,
    /// The process, if it was started here.
    child: Option<ServerProcess>,
    pub(super) pid: Option<u32>,
    /// Samples the process. `None` if the process is unknown or the system does not report it.
    pub(super) probe: Option<ProcessProbe>,
    /// The processors of the server and of the load.
    pub(super) pinning: Option<CpuAssignment>,
}

impl BenchServer {
    /// Finds the existing server, or spawns one.
    pub(super) fn new(options: &BenchOptions) -> Result<Self, CliError> {
        match &options.server {
            ServerSource::Spawned { listen, args, pin, .. } => Self::spawn(options.service, listen, args, *pin),
            ServerSource::Existing { endpoints, pid } => Self::find(endpoints, &options.target, *pid),
        }
    }

    fn spawn(service: &str, listen: &str, args: &[String], pin: bool) -> Result<Self, CliError> {
        let start = || ServerProcess::start(ServeCommand { service, listen: &[listen], options: args });
        let start_error = |cause: String| CliError::Failed(format!("cannot start a server: {cause}"));
        let (started, pinning) = match CpuAssignment::divide().filter(|_| pin) {
            Some(pinning) => match pinning.on_server(start).and_then(|child| pinning.pin_load().map(|()| child)) {
                Ok(started) => (started, Some(pinning)),
                Err(error) => {
                    return Err(start_error(format!("cannot set its processors: {error}; try --no-pin")));
                }
            },
            None => (start(), None),
        };
        let child = started.map_err(start_error)?;
        let endpoint = child.endpoints().first().cloned();
        let endpoint = endpoint.ok_or_else(|| start_error("the server does not listen".to_owned()))?;
        let pid = child.pid();
        log::debug!("started a server: process {pid}, {endpoint}");
        Ok(Self { endpoint, probe: ProcessProbe::open(pid), pid: Some(pid), child: Some(child), pinning })
    }

    fn find(endpoints: &[Endpoint], first: &Endpoint, pid: Option<u32>) -> Result<Self, CliError> {
        let probe = match pid {
            None => None,
            Some(pid) => Some(ProcessProbe::open(pid).filter(|probe| probe.sample().is_some()).ok_or_else(|| {
                CliError::Failed(format!(
                    "cannot read the usage of process {pid}; check that it runs on this machine under your user"
                ))
            })?),
        };
        // A name may resolve to several addresses, and a server often listens at only one of them.
        let accepts = |endpoint: &&Endpoint| match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect_timeout(address, CONNECT_TIMEOUT).is_ok(),
            Endpoint::Udp(_) | Endpoint::Unix(_) => true,
        };
        let found = if endpoints.len() > 1 { endpoints.iter().find(accepts) } else { None };
        Ok(Self { endpoint: found.unwrap_or(first).clone(), child: None, pid, probe, pinning: None })
    }

    /// Returns true if the server was started here.
    pub(super) fn is_spawned(&self) -> bool {
        self.child.is_some()
    }

    /// Returns true if a spawned server has exited.
    pub(super) fn has_exited(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.exit_status().is_some())
    }

    /// Returns an error text if a spawned server has exited before [`stop`](Self::stop).
    pub(super) fn exit_error(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        let status = child.exit_status()?;
        let log = child.log();
        let last_line = log.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("the server exited during the run: {status}{last_line}"))
    }

    /// Stops a spawned server. An existing server keeps running.
    pub(super) fn stop(self) -> Result<(), CliError> {
        self.child.map_or(Ok(()), ServerProcess::stop).map_err(CliError::Failed)
    }
}
