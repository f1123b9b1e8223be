//! Notes on the limits of a result: an early end, an overloaded side, a shared processor. They do
//! not depend on the service.

use std::time::Duration;

use super::record::{GeneratorRecord, ServerRecord, TargetRecord};
use crate::cli::process::MachineInfo;
use crate::cli::report::{figure, rates};

/// The parts of a record from which the notes are made.
pub(super) struct NoteInputs<'a> {
    pub(super) ended_early: Option<&'static str>,
    pub(super) elapsed_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) machine: &'a MachineInfo,
    pub(super) target: &'a TargetRecord,
    pub(super) generator: &'a GeneratorRecord,
    pub(super) server: Option<&'a ServerRecord>,
}

/// Returns the words for a value of `ended_early`.
pub(super) fn early_end_reason(key: &str) -> &'static str {
    match key {
        "no_connections" => "the server had no connection for a second",
        "server_ended" => "the server exited",
        _ => "a signal stopped it",
    }
}

impl NoteInputs<'_> {
    /// Returns all notes. `rate_note` is the service's own note on a rate that was not reached.
    pub(super) fn notes(&self, rate_note: Option<String>) -> Vec<String> {
        let notes = [
            self.early_end(),
            self.debug_build(),
            self.generator_busy(),
            self.generator_late(),
            rate_note,
            self.server_at_limit(),
            self.shared_processors(),
        ];
        notes.into_iter().flatten().collect()
    }

    fn early_end(&self) -> Option<String> {
        let reason = early_end_reason(self.ended_early?);
        let time = |nanos: u64| figure::short_time(Duration::from_nanos(nanos));
        let after = match self.elapsed_ns {
            0 => "before the measured time".to_owned(),
            _ => format!("after {} of {}", time(self.elapsed_ns), time(self.duration_ns)),
        };
        Some(format!("The run ended early: {reason}, {after}."))
    }

    fn debug_build(&self) -> Option<String> {
        let text = "This is a debug build: do not compare its figures with others.";
        self.machine.is_debug_build().then(|| text.to_owned())
    }

    fn generator_busy(&self) -> Option<String> {
        let busy = figure::percent(self.generator.busy);
        let generator = format!("The load generator was busy {busy} of the time");
        (self.generator.bottleneck == Some("busy")).then(|| match self.server_at_limit() {
            None => format!("{generator}, so the figures show its own limit: the server may be able to do more."),
            Some(_) => {
                format!("{generator}, and the server was at its limit too: each may have slowed the other down.")
            }
        })
    }

    fn generator_late(&self) -> Option<String> {
        let lag = self.generator.send_lag_ns.as_ref()?;
        (self.generator.bottleneck == Some("late")).then(|| {
            format!(
                "The load generator sent 1 % of the messages {} or more after they were due, and the latency includes that \
                 delay: the generator or its machine was late, not the server.",
                figure::nanos_of(lag.p99)
            )
        })
    }

    fn server_at_limit(&self) -> Option<String> {
        let server = self.server?;
        let processors = if server.threads == 1 { 1 } else { self.target.pinned.as_ref()?.server_cpus.len() };
        let used = server.cores / figure::float(processors as u64);
        (used >= rates::SATURATED).then(|| {
            let all = if processors == 1 { "its processor".to_owned() } else { format!("its {processors} processors") };
            format!("The server used {} of {all}: this is about its maximum.", figure::percent(used.min(1.0)))
        })
    }

    fn shared_processors(&self) -> Option<String> {
        (self.target.own && self.target.pinned.is_none()).then(|| {
            "The server and the load shared processors, so each figure also depends on how the system scheduled the two."
                .to_owned()
        })
    }
}
