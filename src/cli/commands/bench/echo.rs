//! The measurement of `bench echo`.

use switchboard::load::{self, LoadOutcome, MaxRate};

use super::build_record::{EchoRun, RunInfo, echo_record};
use super::measurement::{Measurement, RunReport, load_error, render_error};
use super::options::{BenchOptions, OutputFormat};
use super::plan::EchoBenchPlan;
use super::server::BenchServer;
use super::watcher::BenchWatcher;
use super::{hdr, html, samples, table, verdicts};
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;

impl Measurement for EchoBenchPlan {
    type Run = EchoRun;

    fn options(&self) -> &BenchOptions {
        &self.options
    }

    fn measure(
        &self,
        server: &mut BenchServer,
        interrupt: &Interrupt,
        quiet: bool,
    ) -> Result<Option<EchoRun>, CliError> {
        let load = load::LoadConfig { target: server.endpoint.clone(), ..self.load.clone() };
        let connections_last = !matches!(load.activity, load::Activity::Churn);
        let mut watcher = BenchWatcher::new(server, connections_last, interrupt, quiet);
        let measured = match self.find_max {
            None => load::run(&load, &mut watcher).map(EchoOutcome::Run),
            Some(slo) => load::find_max(&load, &slo, &mut watcher).map(EchoOutcome::Search),
        };
        let (readings, steps) = watcher.finish();
        let ended_early = readings.ended_early;
        if let Some(error) = server.exit_error() {
            return Err(CliError::Failed(error));
        }
        Ok(match measured.map_err(|error| load_error(&error, &load.target))? {
            EchoOutcome::Run(outcome) => Some(EchoRun { load, outcome, readings, search: None }),
            EchoOutcome::Search(result) => EchoRun::from_search(load, result, steps, ended_early),
        })
    }

    fn report(&self, info: RunInfo, run: &EchoRun) -> Result<RunReport, CliError> {
        let record = echo_record(info, run);
        let outcome = &run.outcome;
        let intervals = [
            (&outcome.latency, None),
            (&outcome.connects, Some("connect")),
            (&outcome.generator.send_lag, Some("send-lag")),
        ];
        let log = |_| hdr::log(intervals, outcome.elapsed, &record.command, run.readings.began_at);
        Ok(RunReport {
            stdout: match self.options.format {
                OutputFormat::Table => table::render(&record),
                OutputFormat::Json => record.json().map_err(|error| render_error(&error))?,
                OutputFormat::Csv => samples::csv(&record.samples).map_err(|error| render_error(&error))?,
            },
            hdr: self.options.hdr_path.as_ref().map(log).transpose().map_err(CliError::Failed)?,
            html: self.options.html_path.as_ref().map(|_| html::page(&record)),
            failure: verdicts::failure(&record),
        })
    }
}

/// The result of either kind of measurement.
#[expect(clippy::large_enum_variant, reason = "one value exists, once")]
enum EchoOutcome {
    Run(LoadOutcome),
    Search(MaxRate),
}
