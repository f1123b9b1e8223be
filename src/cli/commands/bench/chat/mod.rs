//! `switchboard bench chat`: the load of chat rooms, told. What is not about rooms is its parent's.

mod html;
mod plan;
mod record;
mod table;
mod tell;
#[cfg(test)]
mod tests;
mod verdict;
mod words;

use switchboard::load::chat::{self, ChatOutcome};

use super::server::Target;
use super::setting::{Setting, Show};
use super::tell::About;
use super::watch::{Readings, Watcher};
use super::{Measurement, Told, explain, hdr, samples, unwritable};
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;
pub(super) use plan::Plan;

/// What was measured.
#[derive(Debug)]
pub(super) struct Run {
    load: chat::ChatLoadConfig,
    outcome: ChatOutcome,
    readings: Readings,
}

impl Measurement for Plan {
    type Run = Run;

    fn setting(&self) -> &Setting {
        &self.setting
    }

    fn measure(&self, server: &mut Target, interrupt: &Interrupt, quiet: bool) -> Result<Option<Run>, CliError> {
        let load = chat::ChatLoadConfig { target: server.endpoint.clone(), ..self.load.clone() };
        let mut watcher = Watcher::new(server, true, interrupt, quiet);
        let measured = chat::run(&load, &mut watcher);
        let (readings, _) = watcher.finish();
        if let Some(what) = server.ended() {
            return Err(CliError::Failed(what));
        }
        let outcome = measured.map_err(|error| explain(&error, &load.target))?;
        Ok(Some(Run { load, outcome, readings }))
    }

    fn tell(&self, about: About, run: &Run) -> Result<Told, CliError> {
        let record = tell::record(about, run);
        let outcome = &run.outcome;
        let intervals =
            [(&outcome.latency, None), (&outcome.joins, Some("join")), (&outcome.generator.send_lag, Some("send-lag"))];
        let log = |_| hdr::log(intervals, outcome.elapsed, &record.command, run.readings.began_at);
        Ok(Told {
            shown: match self.setting.show {
                Show::Table => table::text(&record),
                Show::Json => record.json().map_err(|error| unwritable(&error))?,
                Show::Csv => samples::csv(&record.samples).map_err(|error| unwritable(&error))?,
            },
            hdr: self.setting.hdr.as_ref().map(log).transpose().map_err(CliError::Failed)?,
            html: self.setting.html.as_ref().map(|_| html::page(&record)),
            failure: verdict::failure(&record),
        })
    }
}
