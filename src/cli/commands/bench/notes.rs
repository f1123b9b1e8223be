//! What is not to be read into a result's figures, whatever was measured: it was ended early, somebody was at a limit, or the two
//! sides were in each other's way.

use std::time::Duration;

use super::record::{Generator, Server, Target};
use crate::cli::process::MachineInfo;
use crate::cli::report::figure;
use crate::cli::report::rates;

/// What the notes are made of.
pub(super) struct Circumstances<'a> {
    pub(super) ended_early: Option<&'static str>,
    pub(super) elapsed_ns: u64,
    pub(super) duration_ns: u64,
    pub(super) machine: &'a MachineInfo,
    pub(super) target: &'a Target,
    pub(super) generator: &'a Generator,
    pub(super) server: Option<&'a Server>,
}

/// Why there was no more of it.
pub(super) fn why_early(key: &str) -> &'static str {
    match key {
        "no_connections" => "there was no connection for a second",
        "server_ended" => "the server ended",
        _ => "it was told to end",
    }
}

impl Circumstances<'_> {
    /// All that is to be said, with what is to be said of a rate that was not kept.
    pub(super) fn notes(&self, behind: Option<String>) -> Vec<String> {
        let notes = [self.ended_early(), self.debug(), self.busy(), self.lag(), behind, self.full(), self.together()];
        notes.into_iter().flatten().collect()
    }

    fn ended_early(&self) -> Option<String> {
        let why = why_early(self.ended_early?);
        let nanos = |nanos: u64| figure::short_time(Duration::from_nanos(nanos));
        let after = match self.elapsed_ns {
            0 => "before the measured time".to_owned(),
            _ => format!("after {} of {}", nanos(self.elapsed_ns), nanos(self.duration_ns)),
        };
        Some(format!("It ended early: {why}, {after}."))
    }

    fn debug(&self) -> Option<String> {
        let what = "This program was built without optimisation: its figures are not to be compared with anything.";
        self.machine.is_debug_build().then(|| what.to_owned())
    }

    /// Its own limit may be what was measured.
    fn busy(&self) -> Option<String> {
        let busy = figure::percent(self.generator.busy);
        let generator = format!("The generator was busy {busy} of the time");
        (self.generator.bottleneck == Some("busy")).then(|| match self.full() {
            None => format!("{generator}, so its own limit is what was measured: the server may be able to do more."),
            Some(_) => format!("{generator} and the server was at its limit too: each may have held the other back."),
        })
    }

    fn lag(&self) -> Option<String> {
        let lag = self.generator.send_lag_ns.as_ref()?;
        (self.generator.bottleneck == Some("late")).then(|| {
            format!(
                "One in a hundred messages left the generator {} or more after it was due, which is part of the latency: the \
                 generator or its machine was late, not the server.",
                figure::nanos_of(lag.p99)
            )
        })
    }

    fn full(&self) -> Option<String> {
        let server = self.server?;
        let has = if server.threads == 1 { 1 } else { self.target.pinned.as_ref()?.server_cpus.len() };
        let part = server.cores / figure::float(has as u64);
        (part >= rates::FULL).then(|| {
            let all = if has == 1 { "its processor".to_owned() } else { format!("its {has} processors") };
            format!("The server used {} of {all}: this is about as much as it can do.", figure::percent(part.min(1.0)))
        })
    }

    /// A server of its own that could not be kept apart.
    fn together(&self) -> Option<String> {
        (self.target.own && self.target.pinned.is_none()).then(|| {
            "The server and the load were not given processors of their own, so each also measures how the other was \
             scheduled."
                .to_owned()
        })
    }
}
