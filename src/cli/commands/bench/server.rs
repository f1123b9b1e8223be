//! The server under load: a spawned one, or one that already runs.

use std::net::TcpStream;
use std::time::Duration;

use switchboard::Endpoint;

use super::plan::BenchPlan;
use super::server_source::ServerSource;
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
}

impl BenchServer {
    /// Finds the existing server, or spawns one on its part of the processors.
    pub(super) fn new(plan: &BenchPlan, pinning: Option<&CpuAssignment>) -> Result<Self, String> {
        match &plan.server {
            ServerSource::Spawned { listen, args, .. } => {
                Self::spawn(ServeCommand { service: plan.load.service(), listen: &[listen], options: args }, pinning)
                    .map_err(|cause| format!("cannot start a server: {cause}"))
            }
            ServerSource::Existing { endpoints, pid } => Self::find(endpoints, plan.load.target(), *pid),
        }
    }

    fn spawn(serve: ServeCommand<'_>, pinning: Option<&CpuAssignment>) -> Result<Self, String> {
        let child = match pinning {
            Some(pinning) => pinning
                .on_server(|| ServerProcess::start(serve))
                .map_err(|error| format!("cannot set its processors: {error}; try --no-pin"))?,
            None => ServerProcess::start(serve),
        }?;
        let endpoint = child.endpoints().first().cloned().ok_or("the server does not listen")?;
        let pid = child.pid();
        log::debug!("started a server: process {pid}, {endpoint}");
        Ok(Self { endpoint, probe: ProcessProbe::open(pid), pid: Some(pid), child: Some(child) })
    }

    fn find(endpoints: &[Endpoint], first: &Endpoint, pid: Option<u32>) -> Result<Self, String> {
        let probe = match pid {
            None => None,
            Some(pid) => Some(ProcessProbe::open(pid).filter(|probe| probe.sample().is_some()).ok_or_else(|| {
                format!("cannot read the usage of process {pid}; check that it runs on this machine under your user")
            })?),
        };
        // A name may resolve to several addresses, and a server often listens at only one of them.
        let timeout = CONNECT_TIMEOUT / u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
        let accepts = |endpoint: &&Endpoint| match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect_timeout(address, timeout).is_ok(),
            Endpoint::Udp(_) | Endpoint::Unix(_) => true,
        };
        let found = if endpoints.len() > 1 { endpoints.iter().find(accepts) } else { None };
        Ok(Self { endpoint: found.unwrap_or(first).clone(), child: None, pid, probe })
    }

    /// Returns true if a spawned server has exited.
    pub(super) fn has_exited(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.exit_status().is_some())
    }

    /// Returns an error text if a spawned server has exited before [`stop`](Self::stop).
    pub(super) fn exit_error(&mut self) -> Option<String> {
        self.child.as_mut()?.exit_error()
    }

    /// Returns the last warning or error in the log of a spawned server.
    pub(super) fn last_warning(&self) -> Option<String> {
        let log = self.child.as_ref()?.log();
        let warning = log.lines().rfind(|line| line.contains("WARN") || line.contains("ERROR"))?;
        Some(warning.trim().to_owned())
    }

    /// Stops a spawned server. An existing server keeps running.
    pub(super) fn stop(self) -> Result<(), String> {
        self.child.map_or(Ok(()), ServerProcess::stop)
    }
}
