//! Watches a run: shows its progress, samples the server process at the start and the end of the
//! measured time, and ends a run that a signal stops or that cannot give a result.

use std::ops::ControlFlow;
use std::time::{Duration, Instant, SystemTime};

use switchboard::load::{LoadObserver, LoadPhase, LoadProgress, RateStep};

use super::plan::BenchPlan;
use super::progress::RunProgress;
use super::server::BenchServer;
use crate::cli::process::{CpuAssignment, Interrupt, ProcessProbe, ProcessSample, ProcessUsage};
use crate::cli::report::figure;
use crate::cli::report::text::connections_text;

/// Time without any connection after which the run ends. The generator reopens a broken connection
/// after 0.1 s, so a server without connections for this long accepts none.
const NO_CONNECTION_TIMEOUT: Duration = Duration::from_secs(1);

/// The parts of a command that all its runs share.
pub(crate) struct RunSetup<'a> {
    /// The processors of spawned servers. The load has been pinned to its own.
    pub(crate) pinning: Option<&'a CpuAssignment>,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) progress: &'a RunProgress,
}

/// The observer of one run, or of all runs of a search.
pub(super) struct RunWatcher<'a> {
    server: &'a mut BenchServer,
    setup: &'a RunSetup<'a>,
    /// True if the load keeps its connections open. Then a server without any has left the run.
    keeps_connections: bool,
    /// Connections that the load opens.
    connections: usize,
    /// True if a run ends unless all of them are open in the warm-up.
    needs_all_connections: bool,
    /// Start of the time without any connection.
    disconnected_since: Option<Instant>,
    /// True after the first sample in the warm-up.
    has_sampled_warm_up: bool,
    readings: RunReadings,
    /// Readings of the finished search steps.
    steps: Vec<RunReadings>,
}

/// Samples of the server process during one run, and the way the run ended.
#[derive(Clone, Debug)]
pub(super) struct RunReadings {
    /// The server process, if it is known.
    pub(super) pid: Option<u32>,
    /// Wall-clock time at the start of the measured time.
    pub(super) began_at: SystemTime,
    pub(super) ended_early: Option<EarlyEnd>,
    /// Sample before the first connection.
    pub(super) idle: Option<ProcessSample>,
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
    /// Fewer connections than needed were open in the warm-up.
    TooFewConnections(usize),
}

impl<'a> RunWatcher<'a> {
    /// Creates a watcher and takes the first sample.
    pub(super) fn new(server: &'a mut BenchServer, plan: &BenchPlan, setup: &'a RunSetup<'a>) -> Self {
        let idle = server.probe.as_ref().and_then(ProcessProbe::sample);
        let began_at = SystemTime::now();
        let readings = RunReadings { pid: server.pid, began_at, ended_early: None, idle, began: None, ended: None };
        setup.progress.begin_run(plan.load.phases());
        Self {
            server,
            setup,
            keeps_connections: plan.load.keeps_connections(),
            connections: plan.load.connections(),
            needs_all_connections: plan.needs_all_connections,
            disconnected_since: None,
            has_sampled_warm_up: false,
            readings,
            steps: Vec::new(),
        }
    }

    /// Returns the readings of the last run and those of each search step before it.
    pub(super) fn finish(self) -> (RunReadings, Vec<RunReadings>) {
        (self.readings, self.steps)
    }

    fn sample(&self) -> Option<ProcessSample> {
        self.server.probe.as_ref().and_then(ProcessProbe::sample)
    }

    /// Returns the reason to end the run now, if there is one.
    fn early_end(&mut self, progress: &LoadProgress) -> Option<EarlyEnd> {
        let is_disconnected = self.keeps_connections && progress.connections == 0 && progress.faults.broken > 0;
        let since =
            if is_disconnected { Some(*self.disconnected_since.get_or_insert_with(Instant::now)) } else { None };
        self.disconnected_since = since;
        let lacks_connections = self.needs_all_connections && progress.connections < self.connections;
        if self.setup.interrupt.is_raised() {
            Some(EarlyEnd::Signal)
        } else if self.server.has_exited() {
            Some(EarlyEnd::ServerExited)
        } else if lacks_connections && progress.phase == LoadPhase::WarmingUp {
            // Later, a lost connection is a fault.
            Some(EarlyEnd::TooFewConnections(progress.connections))
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
            Self::TooFewConnections(_) => "too_few_connections",
        }
    }
}

/// Returns the words for a value of `ended_early`.
pub(super) fn early_end_reason(key: &str) -> &'static str {
    match key {
        "no_connections" => "the server had no connection for a second",
        "server_ended" => "the server exited",
        "too_few_connections" => "the server had too few connections",
        _ => "a signal stopped it",
    }
}

impl LoadObserver for RunWatcher<'_> {
    fn on_measure_start(&mut self) {
        log::debug!("measuring at {}", connections_text(self.connections));
        self.readings.began_at = SystemTime::now();
        self.readings.began = self.sample();
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        self.setup.progress.update(progress);
        // The first sample lists the server's threads, which takes 15 ms for 5,000. Take it in the
        // warm-up, so that the sample at the start of the measured time is fast.
        if progress.phase == LoadPhase::WarmingUp && !self.has_sampled_warm_up {
            self.has_sampled_warm_up = true;
            let _ = self.sample();
        }
        if let Some(reason) = self.early_end(progress) {
            self.readings.ended_early = Some(reason);
            log::debug!("run ended early: {}", early_end_reason(reason.key()));
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
        self.setup.progress.println(&tried);
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
