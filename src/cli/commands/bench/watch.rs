//! Watches a run: shows how it goes at a terminal, looks at the server when the measured time begins and ends, and notices
//! Ctrl-C.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchboard::load::{LoadObserver, LoadPhase, LoadProgress, RateStep};

use super::server::Target;
use crate::cli::process::{Interrupt, ProcessProbe, ProcessSample, ProcessUsage};
use crate::cli::report::figure;

/// Watches one run.
#[derive(Debug)]
pub(super) struct Watcher<'a> {
    server: &'a mut Target,
    /// Whether connections last, so that a server without any has left the run.
    lasting: bool,
    /// Since when there has been no connection.
    alone_since: Option<Instant>,
    interrupt: &'a Interrupt,
    bar: ProgressBar,
    /// What the bar says that it is doing.
    stage: Option<LoadPhase>,
    readings: Readings,
    /// Of the steps of a search that are done.
    steps: Vec<Readings>,
}

/// What was seen of a run, and of the server's process in it.
#[derive(Clone, Debug)]
pub(super) struct Readings {
    /// When the measured time began, by the clock.
    pub(super) began_at: SystemTime,
    /// Why it was ended before its time.
    pub(super) ended_early: Option<Why>,
    /// Before there was any connection.
    idle: Option<ProcessSample>,
    /// When the measured time began.
    began: Option<ProcessSample>,
    /// When it was over, with all connections still there.
    pub(super) ended: Option<ProcessSample>,
}

/// Why a run was ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Signal,
    /// The server has left the run.
    NoConnections,
    /// The process that was started for it has ended.
    ServerEnded,
}

/// The generator opens a broken connection again after a tenth of a second. Who has none for so long gets none.
const ALONE: Duration = Duration::from_secs(1);

/// Parts of a bar.
const STEPS: u64 = 1000;

impl<'a> Watcher<'a> {
    /// `lasting`: connections are not to end, so a server without any has left the run.
    pub(super) fn new(server: &'a mut Target, lasting: bool, interrupt: &'a Interrupt, quiet: bool) -> Self {
        // It draws nothing where standard error is no terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(STEPS), target);
        // The template is a constant, and a bar that cannot be styled is a bar all the same.
        if let Ok(style) = ProgressStyle::with_template("{prefix:<12} {bar:12.cyan/dim} {wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let idle = server.probe.as_ref().and_then(ProcessProbe::now);
        Self {
            server,
            lasting,
            alone_since: None,
            interrupt,
            bar,
            readings: Readings { began_at: SystemTime::now(), ended_early: None, idle, began: None, ended: None },
            stage: None,
            steps: Vec::new(),
        }
    }

    /// Takes the bar away, and hands over what was seen: in the last run, and before it in each step of a search.
    pub(super) fn finish(self) -> (Readings, Vec<Readings>) {
        self.bar.finish_and_clear();
        (self.readings, self.steps)
    }
}

impl Watcher<'_> {
    /// Whether to go on is of no use, or not wanted.
    fn end(&mut self, progress: &LoadProgress) -> Option<Why> {
        let alone = self.lasting && progress.connections == 0 && progress.faults.broken > 0;
        let since = if alone { Some(*self.alone_since.get_or_insert_with(Instant::now)) } else { None };
        self.alone_since = since;
        if self.interrupt.is_raised() {
            Some(Why::Signal)
        } else if self.server.has_ended() {
            Some(Why::ServerEnded)
        } else {
            since.filter(|since| since.elapsed() >= ALONE).map(|_| Why::NoConnections)
        }
    }
}

impl Why {
    /// As in the JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::NoConnections => "no_connections",
            Self::ServerEnded => "server_ended",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::Signal => "a signal",
            Self::NoConnections => "a server that had left",
            Self::ServerEnded => "the server's end",
        }
    }
}

impl LoadObserver for Watcher<'_> {
    fn on_measure_start(&mut self) {
        log::debug!("measuring");
        self.readings.began_at = SystemTime::now();
        self.readings.began = self.server.probe.as_ref().and_then(ProcessProbe::now);
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        if !self.bar.is_hidden() {
            // Each of these draws, so what stays is left alone.
            if self.stage.replace(progress.phase) != Some(progress.phase) {
                self.bar.set_prefix(stage(progress.phase));
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and rounded")]
            let step = (progress.done.clamp(0.0, 1.0) * figure::float(STEPS)).round() as u64;
            self.bar.set_position(step);
            self.bar.set_message(line(progress));
        }
        if let Some(why) = self.end(progress) {
            self.readings.ended_early = Some(why);
            log::debug!("ended early by {}", why.cause());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn on_measure_end(&mut self) {
        self.readings.ended = self.server.probe.as_ref().and_then(ProcessProbe::at_end);
    }

    fn on_step(&mut self, step: &RateStep) {
        let tried = format!("{} {}", figure::rate(step.rate), step.verdict);
        log::debug!("{tried}");
        // Nothing where there is no bar.
        self.bar.println(tried);
        self.steps.push(self.readings.clone());
    }
}

impl Readings {
    /// What the server used in the measured time.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        Some(self.ended.as_ref()? - self.began.as_ref()?)
    }

    /// How much memory the server has taken since there was no connection.
    pub(super) fn growth_bytes(&self) -> Option<i64> {
        Some((self.ended.as_ref()? - self.idle.as_ref()?).rss_growth_bytes)
    }
}

fn stage(stage: LoadPhase) -> &'static str {
    match stage {
        LoadPhase::Connecting => "connecting",
        LoadPhase::WarmingUp => "warming up",
        LoadPhase::Measuring => "measuring",
        LoadPhase::Finishing => "finishing",
    }
}

fn line(progress: &LoadProgress) -> String {
    let mut parts = Vec::new();
    if let Some(last) = progress.last_sample.filter(|last| last.length > Duration::ZERO) {
        parts.push(figure::rate(figure::float(last.messages) / last.length.as_secs_f64()));
        parts.push(format!("p99 {}", figure::time(last.p99)));
    }
    parts.push(match progress.faults.total() {
        0 => "no faults".to_owned(),
        faults => format!("{} faults", figure::count(faults)),
    });
    // A narrow terminal cuts off the end.
    parts.push(format!("{} connections", figure::count(progress.connections as u64)));
    parts.join(" · ")
}
