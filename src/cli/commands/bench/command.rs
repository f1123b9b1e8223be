//! The steps of the command around its run: files, signals, processors, the report.

use std::path::Path;
use std::process::ExitCode;

use switchboard::{Endpoint, descriptor_limit};

use super::args::BenchResultArgs;
use super::plan::{BenchPlan, PlannedLoad};
use super::progress::RunProgress;
use super::remarks::remarks;
use super::result::BenchRecord;
use super::run;
use super::server_source::ServerSource;
use super::watcher::RunSetup;
use super::{hdr, report, samples, verdicts};
use crate::cli::error::CliError;
use crate::cli::process::{self, CpuAssignment, Interrupt};
use crate::cli::report::file::ReportFile;
use crate::cli::report::output::ReportOutput;
use crate::cli::report::record::RecordHeader;

/// Runs a measurement from the first check to the exit code.
pub(super) fn run(plan: &BenchPlan, output: BenchResultArgs, quiet: bool) -> Result<ExitCode, CliError> {
    check_csv_path(plan, output.csv.as_deref())?;
    let others = [("--csv", output.csv.as_deref()), ("--hdr", output.hdr.as_deref())];
    let report_output = ReportOutput::open(output.report.json, output.report.html, &others)?;
    let csv_file = ReportFile::open(output.csv)?;
    let hdr_file = ReportFile::open(output.hdr)?;
    let interrupt = Interrupt::watch()?;
    check_descriptor_limit(plan)?;
    log_remarks(&plan.load);
    let mut header = RecordHeader::new();
    let pinning = pin_load(matches!(plan.server, ServerSource::Spawned { pin: true, .. }))?;
    let progress = RunProgress::new(1, quiet);
    let setup = RunSetup { pinning: pinning.as_ref(), interrupt: &interrupt, progress: &progress };
    let measured = run::measure(plan, &setup);
    progress.clear();
    let Some(run) = measured? else {
        log::warn!("run ended before anything was measured");
        return Ok(interrupt.exit_code().unwrap_or(ExitCode::FAILURE));
    };

    header.interrupted = interrupt.is_raised();
    let mut record = BenchRecord {
        header,
        target: run.target,
        load: run.load,
        run: run.result,
        percentiles: run.percentiles,
        samples: run.samples,
        find_max: run.find_max,
        verdicts: Vec::new(),
    };
    record.verdicts = verdicts::verdicts(&record);
    report_output.write(&report::report(&record), &record)?;
    if let Some(file) = csv_file {
        file.write(samples::csv(&record.samples)?.as_bytes())?;
    }
    if let Some(file) = hdr_file {
        let connect = report::ServiceWords::of(&record).connect;
        file.write(&hdr::log(&run.histograms, connect, &record.header.command)?)?;
    }
    // The figures stay valid if the server stops badly, so that error comes after the report.
    run.stopped.map_err(CliError::Failed)?;
    match (interrupt.exit_code(), verdicts::failure(&record)) {
        (Some(code), _) => Ok(code),
        (None, Some(reason)) => Err(CliError::Failed(reason)),
        (None, None) => Ok(ExitCode::SUCCESS),
    }
}

/// Logs what an unusually large load needs.
pub(crate) fn log_remarks(load: &PlannedLoad) {
    for remark in remarks(load) {
        log::warn!("{remark}");
    }
}

/// Checks that the file of `--csv` is not the server's address. The value of the flag is optional,
/// so an address right after it would be taken for a file.
fn check_csv_path(plan: &BenchPlan, path: Option<&Path>) -> Result<(), CliError> {
    let has_port = |text: &str| text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let is_address = |text: &&str| text.parse::<Endpoint>().is_ok() || has_port(text);
    match (path.and_then(Path::to_str).filter(is_address), &plan.server) {
        (Some(address), ServerSource::Spawned { .. }) => Err(CliError::Usage(format!(
            "--csv {address} would write a file of this name: write the server's address before --csv, or write --csv -"
        ))),
        _ => Ok(()),
    }
}

/// Divides the processors between server and load, if `pin` asks for it, and pins this thread,
/// which generates the load.
pub(crate) fn pin_load(pin: bool) -> Result<Option<CpuAssignment>, CliError> {
    let pinning = CpuAssignment::divide().filter(|_| pin);
    if let Some(pinning) = &pinning {
        pinning.pin_load().map_err(|error| {
            CliError::Failed(format!("cannot set the processor of the load: {error}; try --no-pin"))
        })?;
    }
    Ok(pinning)
}

/// Raises the descriptor limit and checks that it covers the connections of the run.
fn check_descriptor_limit(plan: &BenchPlan) -> Result<(), CliError> {
    process::raise_descriptor_limit();
    let needed = plan.descriptors();
    match descriptor_limit() {
        Some(limit) if limit < needed => Err(CliError::Failed(format!(
            "too few file descriptors: {} connections need {needed}, the limit of this process is {limit}; raise it with \
             'ulimit -n {needed}' or ask for fewer connections",
            plan.load.connections(),
        ))),
        _ => Ok(()),
    }
}
