//! The phases of a soak: a short load, rest, the whole load, rest, and the comparison.

use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar};

use super::actors::ACTORS;
use super::context::{ActorContext, StopSignal};
use super::resources::Resources;
use super::site::Site;
use super::tally::Tally;
use crate::cli::commands::bench::args::BenchSoakArgs;
use crate::cli::error::CliError;
use crate::cli::process::Interrupt;
use crate::cli::report::figure;
use crate::cli::terminal::progress;

/// The load before the first sample, so that threads, pools and tables exist that the server keeps.
const WARM_UP: Duration = Duration::from_secs(5);
/// The time in which the server must have let go of everything. It closes connections within
/// seconds; a command of exec may take two.
const SETTLE: Duration = Duration::from_secs(30);
/// The time for which nothing must change until the server counts as idle.
const UNCHANGED: Duration = Duration::from_secs(2);
/// The interval between two looks at the server and the progress.
const LOOK: Duration = Duration::from_millis(200);

/// A phase in which the clients run.
#[derive(Clone, Copy, Debug)]
enum Phase {
    WarmUp,
    Whole,
}

/// The findings of a soak.
#[derive(Debug)]
pub(super) struct SoakOutcome {
    pub(super) tallies: Vec<Tally>,
    pub(super) elapsed: Duration,
    /// The resources of the server before and after the load; `None` if this system does not report
    /// them.
    pub(super) resources: Option<(Resources, Resources)>,
    /// The reason why the server ended early or badly.
    pub(super) server_error: Option<String>,
}

/// One soak while it goes on.
struct Soak<'a> {
    site: Site,
    seed: u64,
    interrupt: &'a Interrupt,
    /// A signal that is never raised, for the waits between the phases.
    never: StopSignal,
    bar: ProgressBar,
}

pub(super) fn run(args: &BenchSoakArgs, interrupt: &Interrupt, quiet: bool) -> Result<SoakOutcome, CliError> {
    let site = Site::start(args.engine).map_err(|cause| CliError::Failed(format!("cannot start a server: {cause}")))?;
    let bar = progress::message_bar(args.length().as_secs().max(1), quiet);
    let never = StopSignal::new().map_err(|error| load_error(&error))?;
    let mut soak = Soak { site, seed: args.seed, interrupt, never, bar };
    soak.load(WARM_UP, Phase::WarmUp).map_err(|error| load_error(&error))?;
    let before = soak.resources_at_rest();
    let began = Instant::now();
    let tallies = soak.load(args.length(), Phase::Whole).map_err(|error| load_error(&error))?;
    let elapsed = began.elapsed();
    let after = before.and_then(|before| soak.resources_let_go(&before));
    soak.bar.finish_and_clear();
    let Soak { mut site, .. } = soak;
    let server_error = site.server.exit_error().or_else(|| site.stop().err());
    Ok(SoakOutcome { tallies, elapsed, resources: before.zip(after), server_error })
}

fn load_error(error: &std::io::Error) -> CliError {
    CliError::Failed(format!("cannot run the clients: {error}"))
}

impl Soak<'_> {
    /// Runs all clients for `length`, or until a signal or the server's end.
    fn load(&mut self, length: Duration, phase: Phase) -> std::io::Result<Vec<Tally>> {
        let stop = StopSignal::new()?;
        let tallies: Vec<_> = ACTORS.iter().map(|_| Tally::default()).collect();
        let ends = Instant::now() + length;
        let site = &mut self.site;
        let (bar, interrupt, seed) = (&self.bar, self.interrupt, self.seed.wrapping_mul(2) + phase as u64);
        std::thread::scope(|scope| {
            // Only the process is looked at while the clients run.
            let Site { server, contents, .. } = site;
            for (number, (actor, tally)) in ACTORS.iter().zip(&tallies).enumerate() {
                let random = fastrand::Rng::with_seed(seed.wrapping_mul(1 << 32) + number as u64);
                let mut cx = ActorContext { site: contents, tally, stop: &stop, random };
                let run = move || (actor.run)(&mut cx);
                let started = std::thread::Builder::new().name(actor.name.to_owned()).spawn_scoped(scope, run);
                if let Err(error) = started {
                    stop.raise();
                    return Err(error);
                }
            }
            while Instant::now() < ends && !interrupt.is_raised() && server.exit_status().is_none() {
                let left = ends.saturating_duration_since(Instant::now());
                show(bar, length, left, phase, &tallies);
                stop.wait(left.min(LOOK), interrupt.cancel_token());
            }
            stop.raise();
            bar.set_message(" · ending the clients");
            Ok(())
        })?;
        Ok(tallies)
    }

    /// Waits until the server holds the same for some time, and returns what it holds.
    fn resources_at_rest(&self) -> Option<Resources> {
        self.bar.set_message(" · waiting until the server is idle");
        let deadline = Instant::now() + SETTLE;
        let (mut last, mut since) = (self.resources()?, Instant::now());
        while since.elapsed() < UNCHANGED && Instant::now() < deadline && self.look_later() {
            let now = self.resources()?;
            if now.counts() != last.counts() {
                since = Instant::now();
            }
            last = now;
        }
        Some(last)
    }

    /// Waits until the server holds no more than `before`, and returns what it holds then, or in
    /// the end.
    fn resources_let_go(&self, before: &Resources) -> Option<Resources> {
        self.bar.set_message(" · waiting until the server lets go");
        let deadline = Instant::now() + SETTLE;
        loop {
            let now = self.resources()?;
            if now.excess(before).is_empty() || Instant::now() >= deadline || !self.look_later() {
                return Some(now);
            }
        }
    }

    fn resources(&self) -> Option<Resources> {
        Resources::of(self.site.probe.as_ref()?, &self.site.stats_file())
    }

    /// Waits for the next look at the server. Returns false after a signal.
    fn look_later(&self) -> bool {
        self.never.wait(LOOK, self.interrupt.cancel_token())
    }
}

fn show(bar: &ProgressBar, length: Duration, left: Duration, phase: Phase, tallies: &[Tally]) {
    if bar.is_hidden() {
        return;
    }
    let sum = |count: fn(&Tally) -> u64| tallies.iter().map(count).sum();
    let answers = figure::counted(sum(Tally::answers), "answer", "answers");
    let faults = match sum(Tally::faults) {
        0 => "no faults".to_owned(),
        faults => figure::counted(faults, "fault", "faults"),
    };
    match phase {
        Phase::WarmUp => bar.set_message(format!(" · warming up · {faults}")),
        Phase::Whole => {
            bar.set_message(format!(", {:#} left · {answers} · {faults}", HumanDuration(left)));
            bar.set_position(length.saturating_sub(left).as_secs());
        }
    }
}
