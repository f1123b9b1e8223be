//! Watches one run: samples the server process, and ends a run that cannot give a result.

use std::ops::ControlFlow;
use std::process::ExitStatus;

use switchboard::load::{LoadObserver, LoadPhase, LoadProgress};

use super::progress::DuelProgress;
use crate::cli::process::{Interrupt, ProcessProbe, ProcessSample, ServerProcess};
use crate::cli::report::text::connections_text;

/// The observer of one run.
pub(super) struct DuelWatcher<'a> {
    progress: &'a DuelProgress,
    interrupt: &'a Interrupt,
    child: &'a mut ServerProcess,
    probe: Option<ProcessProbe>,
    /// Connections that the load opens.
    wanted: usize,
    /// True after the first sample in the warm-up.
    has_sampled_warm_up: bool,
    /// Sample before the first connection.
    pub(super) before: Option<ProcessSample>,
    /// Sample at the start of the measured time.
    pub(super) began: Option<ProcessSample>,
    /// Sample at the end of the measured time.
    pub(super) ended: Option<ProcessSample>,
    /// Number of open connections, if it was below `wanted` in the warm-up.
    pub(super) too_few_connections: Option<usize>,
    /// Exit status of a server that exited during the run.
    pub(super) exit_status: Option<ExitStatus>,
}

impl<'a> DuelWatcher<'a> {
    /// Creates a watcher and takes the first sample.
    pub(super) fn new(
        progress: &'a DuelProgress,
        interrupt: &'a Interrupt,
        child: &'a mut ServerProcess,
        wanted: usize,
    ) -> Self {
        let probe = ProcessProbe::open(child.pid());
        let before = probe.as_ref().and_then(ProcessProbe::sample);
        Self {
            progress,
            interrupt,
            child,
            probe,
            wanted,
            has_sampled_warm_up: false,
            before,
            began: None,
            ended: None,
            too_few_connections: None,
            exit_status: None,
        }
    }
}

impl LoadObserver for DuelWatcher<'_> {
    fn on_measure_start(&mut self) {
        log::debug!("measuring at {}", connections_text(self.wanted));
        self.began = self.probe.as_ref().and_then(ProcessProbe::sample);
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        self.progress.update(progress);
        // The first sample lists the server's threads, which takes 15 ms for 5,000. Take it in the
        // warm-up, so that the sample at the start of the measured time is fast.
        if progress.phase == LoadPhase::WarmingUp && !self.has_sampled_warm_up {
            self.has_sampled_warm_up = true;
            let _ = self.probe.as_ref().and_then(ProcessProbe::sample);
        }
        // Too few connections in the warm-up are a limit of the machine. A loss after it is a
        // fault.
        if progress.phase == LoadPhase::WarmingUp && progress.connections < self.wanted {
            self.too_few_connections = Some(progress.connections);
        }
        self.exit_status = self.child.exit_status();
        let must_end = self.exit_status.is_some() || self.too_few_connections.is_some() || self.interrupt.is_raised();
        if must_end { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_measure_end(&mut self) {
        self.ended = self.probe.as_ref().and_then(ProcessProbe::final_sample);
    }
}
