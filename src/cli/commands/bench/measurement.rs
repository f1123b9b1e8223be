//! The steps that every measurement takes around its load: files, signals, the server, the report.

use std::io;
use std::process::ExitCode;

use switchboard::{Endpoint, descriptor_limit, load};

use super::build_record::{RunInfo, target_record};
use super::options::BenchOptions;
use super::server::BenchServer;
use crate::cli::error::CliError;
use crate::cli::process;
use crate::cli::process::{Interrupt, MachineInfo};
use crate::cli::report::file::ReportFile;
use crate::cli::report::text::{local_time, quoted_command};
use crate::cli::terminal::stdout;

/// The part of a measurement that depends on the service under load.
pub(super) trait Measurement {
    /// The result of the load.
    type Run;

    /// Returns the options that do not depend on the load.
    fn options(&self) -> &BenchOptions;

    /// Puts the load on the server. `None` if the run ended before anything was measured.
    fn measure(
        &self,
        server: &mut BenchServer,
        interrupt: &Interrupt,
        quiet: bool,
    ) -> Result<Option<Self::Run>, CliError>;

    /// Renders the result in every format that the options ask for.
    fn report(&self, info: RunInfo, run: &Self::Run) -> Result<RunReport, CliError>;
}

/// A rendered result.
pub(super) struct RunReport {
    /// Text for standard output.
    pub(super) stdout: String,
    /// The latency log, if `--hdr` asks for it.
    pub(super) hdr: Option<Vec<u8>>,
    /// The page, if `--html` asks for it.
    pub(super) html: Option<String>,
    /// The reason for a nonzero exit code.
    pub(super) failure: Option<String>,
}

/// Runs a measurement from the first check to the exit code.
pub(super) fn run<M: Measurement>(measurement: &M, quiet: bool) -> Result<ExitCode, CliError> {
    let options = measurement.options();
    let hdr = options.hdr_path.as_deref().map(ReportFile::open).transpose()?;
    let html = options.html_path.as_deref().map(ReportFile::open).transpose()?;
    let interrupt = Interrupt::watch()?;
    check_descriptor_limit(options)?;

    let started_at = local_time();
    let mut server = BenchServer::new(options)?;
    let info = RunInfo {
        command: quoted_command(std::env::args_os()),
        started_at,
        machine: MachineInfo::current(),
        target: target_record(options, &server),
        pid: server.pid,
        interrupted: false,
    };
    let run = measurement.measure(&mut server, &interrupt, quiet);
    // Stop the server before the report: an error from here on must not leave it running.
    let stopped = server.stop();
    let Some(run) = run? else {
        log::warn!("run ended before anything was measured");
        return Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE));
    };

    let report = measurement.report(RunInfo { interrupted: interrupt.is_raised(), ..info }, &run)?;
    stdout::print(&report.stdout)?;
    if let (Some(file), Some(log)) = (hdr, report.hdr) {
        file.write(&log)?;
    }
    if let (Some(file), Some(page)) = (html, report.html) {
        file.write(page.as_bytes())?;
    }
    // The figures stay valid if the server stops badly, so that error comes after the report.
    stopped?;
    match (interrupt.exit_code(), report.failure) {
        (Some(code), _) => Ok(code),
        (None, Some(reason)) => Err(CliError::Failed(reason)),
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// Returns the error for a result that cannot be rendered.
pub(super) fn render_error(cause: &dyn std::fmt::Display) -> CliError {
    CliError::Failed(format!("cannot write the result: {cause}"))
}

/// Raises the descriptor limit and checks that it covers the connections of the run.
fn check_descriptor_limit(options: &BenchOptions) -> Result<(), CliError> {
    process::raise_descriptor_limit();
    let needed = options.descriptors();
    match descriptor_limit() {
        Some(limit) if limit < needed => Err(CliError::Failed(format!(
            "too few file descriptors: {} connections need {needed}, the limit of this process is {limit}; raise it with \
             'ulimit -n {needed}' or ask for fewer connections",
            options.connections,
        ))),
        _ => Ok(()),
    }
}

/// Returns the error for a load that could not start, with advice.
pub(super) fn load_error(error: &load::LoadError, target: &Endpoint) -> CliError {
    let text = match error {
        // The text begins with the flag's name.
        load::LoadError::Config(text) => return CliError::Usage(format!("--{text}")),
        load::LoadError::Connect(error) => {
            let advice = match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    "; check that a server listens there, or leave out the address to have bench start a server"
                }
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    "; check the address and the firewall"
                }
                io::ErrorKind::AddrNotAvailable => {
                    "; this machine has no free local ports for more connections to one address"
                }
                io::ErrorKind::PermissionDenied => "; check that this user may connect there",
                _ => "",
            };
            format!("cannot connect to {target}: {error}{advice}")
        }
        other => other.to_string(),
    };
    CliError::Failed(text)
}
