//! The measurement of `bench chat`.

use switchboard::load::chat;

use super::build_record::{ChatRun, chat_record};
use super::plan::ChatBenchPlan;
use super::{html, table, verdicts};
use crate::cli::commands::bench::build_record::RunInfo;
use crate::cli::commands::bench::measurement::{Measurement, RunReport, load_error, render_error};
use crate::cli::commands::bench::options::{BenchOptions, OutputFormat};
use crate::cli::commands::bench::server::BenchServer;
use crate::cli::commands::bench::watcher::BenchWatcher;
use crate::cli::commands::bench::{hdr, samples};
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;

impl Measurement for ChatBenchPlan {
    type Run = ChatRun;

    fn options(&self) -> &BenchOptions {
        &self.options
    }

    fn measure(
        &self,
        server: &mut BenchServer,
        interrupt: &Interrupt,
        quiet: bool,
    ) -> Result<Option<ChatRun>, CliError> {
        let load = chat::ChatLoadConfig { target: server.endpoint.clone(), ..self.load.clone() };
        let mut watcher = BenchWatcher::new(server, true, interrupt, quiet);
        let measured = chat::run(&load, &mut watcher);
        let (readings, _) = watcher.finish();
        if let Some(error) = server.exit_error() {
            return Err(CliError::Failed(error));
        }
        let outcome = measured.map_err(|error| load_error(&error, &load.target))?;
        Ok(Some(ChatRun { load, outcome, readings }))
    }

    fn report(&self, info: RunInfo, run: &ChatRun) -> Result<RunReport, CliError> {
        let record = chat_record(info, run);
        let outcome = &run.outcome;
        let intervals = [
            (&outcome.latency, None),
            (&outcome.connects, Some("join")),
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
