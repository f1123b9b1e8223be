//! The server that the load is put on: one of its own, or one that runs already.

use std::net::TcpStream;
use std::time::Duration;

use switchboard::Endpoint;

use super::setting::{Server, Setting};
use crate::cli::error::CliError;
use crate::cli::process::{CpuAssignment, ProcessProbe, ServeCommand, ServerProcess};

/// How long one of several addresses is given to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A server, as far as it can be seen.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    /// The process, if it was started here.
    child: Option<ServerProcess>,
    pub(super) pid: Option<u32>,
    /// Looks at its process, where that is known and the system tells.
    pub(super) probe: Option<ProcessProbe>,
    /// Where it and the load run.
    pub(super) pinning: Option<CpuAssignment>,
}

impl Target {
    /// Finds the server, or starts it.
    pub(super) fn of(setting: &Setting) -> Result<Self, CliError> {
        match &setting.server {
            Server::Own { listen, options, pin, .. } => Self::start(setting.service, listen, options, *pin),
            Server::Foreign { endpoints, pid } => Self::find(endpoints, &setting.target, *pid),
        }
    }

    fn start(service: &str, listen: &str, options: &[String], pin: bool) -> Result<Self, CliError> {
        let start = || ServerProcess::start(ServeCommand { service, listen: &[listen], options });
        let cannot = |why: String| CliError::Failed(format!("cannot start a server: {why}"));
        let (started, pinning) = match CpuAssignment::divide().filter(|_| pin) {
            Some(pinning) => match pinning.on_server(start).and_then(|child| pinning.pin_load().map(|()| child)) {
                Ok(started) => (started, Some(pinning)),
                Err(error) => return Err(cannot(format!("{error} when placing it; try --no-pin"))),
            },
            None => (start(), None),
        };
        let child = started.map_err(cannot)?;
        let endpoint = child.endpoints().first().cloned().ok_or_else(|| cannot("it does not listen".to_owned()))?;
        let pid = child.pid();
        log::debug!("started a server, process {pid}, at {endpoint}");
        Ok(Self { endpoint, probe: ProcessProbe::of(pid), pid: Some(pid), child: Some(child), pinning })
    }

    fn find(endpoints: &[Endpoint], first: &Endpoint, pid: Option<u32>) -> Result<Self, CliError> {
        let probe = match pid {
            None => None,
            Some(pid) => Some(ProcessProbe::of(pid).filter(|probe| probe.now().is_some()).ok_or_else(|| {
                CliError::Failed(format!("process {pid} cannot be looked at: is it on this machine, and whose is it?"))
            })?),
        };
        // A name may have several addresses, of which a server often has only one.
        let answers = |endpoint: &&Endpoint| match endpoint {
            Endpoint::Tcp(address) => TcpStream::connect_timeout(address, PATIENCE).is_ok(),
            Endpoint::Udp(_) | Endpoint::Unix(_) => true,
        };
        let found = if endpoints.len() > 1 { endpoints.iter().find(answers) } else { None };
        Ok(Self { endpoint: found.unwrap_or(first).clone(), child: None, pid, probe, pinning: None })
    }

    /// Whether it was started here.
    pub(super) fn is_own(&self) -> bool {
        self.child.is_some()
    }

    /// Whether a server that was started here is gone.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| child.ended().is_some())
    }

    /// What the server says about its own end, if it has come to it without being asked.
    pub(super) fn ended(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        let status = child.ended()?;
        let log = child.log();
        let last = log.lines().last().map(|line| format!(": {line}")).unwrap_or_default();
        Some(format!("the server ended in the middle of it with {status}{last}"))
    }

    /// Stops it, if it was started here.
    pub(super) fn stop(self) -> Result<(), CliError> {
        self.child.map_or(Ok(()), ServerProcess::stop).map_err(CliError::Failed)
    }
}
