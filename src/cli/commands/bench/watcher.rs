//! Watches a run: shows progress on a terminal, samples the server process at the start and the end
//! of the measured time, and ends the run on a signal.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use switchboard::load::{LoadObserver, LoadPhase, LoadProgress, RateStep};

use super::server::BenchServer;
use crate::cli::process::{Interrupt, ProcessProbe, ProcessSample, ProcessUsage};
use crate::cli::report::figure;

/// Time without any connection after which the run ends. The generator reopens a broken connection
/// after 0.1 s, so a server without connections for this long accepts none.
const NO_CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// Positions of the progress bar.
const BAR_STEPS: u64 = 1000;

/// The observer of one run, or of all runs of a search.
#[derive(Debug)]
pub(super) struct BenchWatcher<'a> {
    server: &'a mut BenchServer,
    /// True if the load keeps its connections open. Then a server without any has left the run.
    connections_last: bool,
    /// Start of the time without any connection.
    disconnected_since: Option<Instant>,
    interrupt: &'a Interrupt,
    bar: ProgressBar,
    /// The phase that the bar shows.
    phase: Option<LoadPhase>,
    readings: RunReadings,
    /// Readings of the finished search steps.
    steps: Vec<RunReadings>,
}

/// Samples of the server process during one run, and the way the run ended.
#[derive(Clone, Debug)]
pub(super) struct RunReadings {
    /// Wall-clock time at the start of the measured time.
    pub(super) began_at: SystemTime,
    pub(super) ended_early: Option<EarlyEnd>,
    /// Sample before the first connection.
    idle: Option<ProcessSample>,
    /// Sample at the start of the measured time.
    began: Option<ProcessSample>,
    /// Sample at the end of the measured time, with all connections still open.
    pub(super) ended: Option<ProcessSample>,
}

/// The reason why a run ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EarlyEnd {
    Signal,
    /// The server had no connection for [`NO_CONNECTION_TIMEOUT`].
    NoConnections,
    /// The spawned server process exited.
    ServerExited,
}

impl<'a> BenchWatcher<'a> {
    /// Creates a watcher and takes the first sample. `connections_last`: the load closes no
    /// connection, so a server without connections has left the run.
    pub(super) fn new(
        server: &'a mut BenchServer,
        connections_last: bool,
        interrupt: &'a Interrupt,
        quiet: bool,
    ) -> Self {
        // indicatif does not draw if standard error is not a terminal.
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(BAR_STEPS), target);
        // The template is a constant; if it were invalid, the bar would keep its default style.
        if let Ok(style) = ProgressStyle::with_template("{prefix:<12} {bar:12.cyan/dim} {wide_msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        let idle = server.probe.as_ref().and_then(ProcessProbe::sample);
        Self {
            server,
            connections_last,
            disconnected_since: None,
            interrupt,
            bar,
            readings: RunReadings { began_at: SystemTime::now(), ended_early: None, idle, began: None, ended: None },
            phase: None,
            steps: Vec::new(),
        }
    }

    /// Removes the bar. Returns the readings of the last run and those of each search step before
    /// it.
    pub(super) fn finish(self) -> (RunReadings, Vec<RunReadings>) {
        self.bar.finish_and_clear();
        (self.readings, self.steps)
    }
}

impl BenchWatcher<'_> {
    /// Returns the reason to end the run now, if there is one.
    fn early_end(&mut self, progress: &LoadProgress) -> Option<EarlyEnd> {
        let is_disconnected = self.connections_last && progress.connections == 0 && progress.faults.broken > 0;
        let since =
            if is_disconnected { Some(*self.disconnected_since.get_or_insert_with(Instant::now)) } else { None };
        self.disconnected_since = since;
        if self.interrupt.is_raised() {
            Some(EarlyEnd::Signal)
        } else if self.server.has_exited() {
            Some(EarlyEnd::ServerExited)
        } else {
            since.filter(|since| since.elapsed() >= NO_CONNECTION_TIMEOUT).map(|_| EarlyEnd::NoConnections)
        }
    }
}

impl EarlyEnd {
    /// Returns the value of `ended_early` in the JSON.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::NoConnections => "no_connections",
            Self::ServerExited => "server_ended",
        }
    }

    fn cause(self) -> &'static str {
        match self {
            Self::Signal => "signal received",
            Self::NoConnections => "no connection to the server",
            Self::ServerExited => "the server exited",
        }
    }
}

impl LoadObserver for BenchWatcher<'_> {
    fn on_measure_start(&mut self) {
        log::debug!("measuring");
        self.readings.began_at = SystemTime::now();
        self.readings.began = self.server.probe.as_ref().and_then(ProcessProbe::sample);
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        if !self.bar.is_hidden() {
            // Each setter redraws the bar, so set the prefix only when it changes.
            if self.phase.replace(progress.phase) != Some(progress.phase) {
                self.bar.set_prefix(phase_name(progress.phase));
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped, and rounded")]
            let position = (progress.done.clamp(0.0, 1.0) * figure::float(BAR_STEPS)).round() as u64;
            self.bar.set_position(position);
            self.bar.set_message(bar_message(progress));
        }
        if let Some(reason) = self.early_end(progress) {
            self.readings.ended_early = Some(reason);
            log::debug!("run ended early: {}", reason.cause());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn on_measure_end(&mut self) {
        self.readings.ended = self.server.probe.as_ref().and_then(ProcessProbe::final_sample);
    }

    fn on_step(&mut self, step: &RateStep) {
        let tried = format!("{} {}", figure::rate(step.rate), step.verdict);
        log::debug!("{tried}");
        // Has no effect if the bar is hidden.
        self.bar.println(tried);
        self.steps.push(self.readings.clone());
    }
}

impl RunReadings {
    /// Returns the server's usage in the measured time.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        Some(self.ended.as_ref()? - self.began.as_ref()?)
    }

    /// Returns the growth of the server's memory since before the first connection.
    pub(super) fn growth_bytes(&self) -> Option<i64> {
        Some((self.ended.as_ref()? - self.idle.as_ref()?).rss_growth_bytes)
    }
}

fn phase_name(phase: LoadPhase) -> &'static str {
    match phase {
        LoadPhase::Connecting => "connecting",
        LoadPhase::WarmingUp => "warming up",
        LoadPhase::Measuring => "measuring",
        LoadPhase::Finishing => "finishing",
    }
}

/// Returns rate, latency, faults and connections. The most important come first, because a narrow
/// terminal truncates the end.
fn bar_message(progress: &LoadProgress) -> String {
    let mut parts = Vec::new();
    if let Some(last) = progress.last_sample.filter(|last| last.length > Duration::ZERO) {
        parts.push(figure::rate(figure::float(last.messages) / last.length.as_secs_f64()));
        parts.push(format!("p99 {}", figure::time(last.p99)));
    }
    parts.push(match progress.faults.total() {
        0 => "no faults".to_owned(),
        faults => format!("{} faults", figure::count(faults)),
    });
    parts.push(format!("{} connections", figure::count(progress.connections as u64)));
    parts.join(" · ")
}
