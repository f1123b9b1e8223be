//! Stalls, which only an open loop measures in full: a stalled server delays every message that
//! becomes due meanwhile. `load::recorder` has the exact figures for a scripted clock.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use switchboard::Endpoint;
use switchboard::load::{
    Activity, LoadConfig, LoadObserver, LoadOutcome, LoadProgress, RateStep, SearchEnd, Slo, StepVerdict, find_max, run,
};

use crate::observers::{EndStallWhen, Stall, UNTIL_STOPPED};
use crate::servers::{echo, echo_frames, plan, tcp};

const STALL: Duration = Duration::from_millis(500);
/// Latency that a message exceeds because of the stall.
const SLOW: Duration = Duration::from_millis(100);
const DURATION: Duration = Duration::from_secs(2);

/// Starts a server that answers no connection during the stall, which begins at message `number`.
fn stalling_server(number: u64, stall: &Stall) -> Endpoint {
    let (messages, stall) = (Arc::new(Mutex::new(0)), stall.clone());
    tcp(move |stream| {
        echo_frames(stream, || {
            let mut messages = messages.lock().unwrap();
            *messages += 1;
            if *messages == number {
                stall.wait();
            }
        });
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap()
}

/// Returns the number of slow messages.
fn slow(outcome: &LoadOutcome) -> u64 {
    outcome.latency.count_between(nanos(SLOW), u64::MAX)
}

fn max(outcome: &LoadOutcome) -> Duration {
    Duration::from_nanos(outcome.latency.max())
}

/// Runs an open loop of a message a millisecond, whose server stalls until the condition holds.
/// Returns the outcome, the length of the stall, and how many messages the stall must have delayed
/// by [`SLOW`].
fn run_open_loop(
    reply_timeout: Duration,
    condition: impl FnMut(Duration, &LoadProgress) -> bool,
) -> (LoadOutcome, Duration, u64) {
    let stall = Stall::default();
    let plan = LoadConfig {
        activity: Activity::Open { rate: 1000.0 },
        duration: DURATION,
        reply_timeout,
        ..plan(stalling_server(100, &stall))
    };
    let mut observer = EndStallWhen::new(stall.clone(), condition);
    let outcome = run(&plan, &mut observer).unwrap();
    let (began, ended) = (stall.began().unwrap(), stall.ended().unwrap());
    let last_slow = ended.checked_sub(SLOW).unwrap().min(observer.measure_began.unwrap() + DURATION);
    let delayed = u64::try_from((last_slow.saturating_duration_since(began)).as_millis()).unwrap();
    assert_eq!((outcome.due, outcome.latency.len()), (2000, 2000), "{outcome:?}");
    (outcome, ended - began, delayed.saturating_sub(5))
}

#[test]
fn an_open_loop_charges_a_stall_for_every_late_message() {
    let (outcome, stalled, delayed) = run_open_loop(Duration::from_mins(1), |stalled, _| stalled >= STALL);
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    assert_eq!((outcome.messages, outcome.unanswered), (2000, 0));
    assert!(slow(&outcome) >= delayed, "{} messages of {delayed} were slow", slow(&outcome));
    assert!(max(&outcome) >= stalled, "{outcome:?}");
}

/// The messages that were given up during the stall waited the longest.
#[test]
fn a_stall_longer_than_the_answer_timeout_is_charged_in_full() {
    const LOST: u64 = 300;
    let is_over = |stalled, progress: &LoadProgress| stalled >= STALL * 2 && progress.faults.lost >= LOST;
    let (outcome, stalled, delayed) = run_open_loop(STALL, is_over);
    let lost = outcome.faults.lost;
    assert_eq!(outcome.messages + outcome.unanswered + lost, 2000, "{outcome:?}");
    assert!(lost >= LOST, "{outcome:?}");
    assert!(slow(&outcome) >= delayed, "{} messages of {delayed} were slow", slow(&outcome));
    assert!(max(&outcome) >= stalled, "late answers count: {outcome:?}");
}

/// An observer that ends the stall, and then ends the run when the stall's latency is reported.
struct StopAfterStall(EndStallWhen<fn(Duration, &LoadProgress) -> bool>);

impl LoadObserver for StopAfterStall {
    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        let is_reported = progress.last_sample.is_some_and(|sample| sample.max >= STALL);
        if is_reported { ControlFlow::Break(()) } else { self.0.on_progress(progress) }
    }
}

/// In a closed loop the same stall delays one message of each connection. `load::workload::echo`
/// tests that a connection sends nothing while its answer is outstanding.
#[test]
fn a_closed_loop_records_a_stall_once_for_each_connection() {
    let stall = Stall::default();
    // The first four messages are exchanged before the measured time.
    let plan = LoadConfig { duration: UNTIL_STOPPED, ..plan(stalling_server(6, &stall)) };
    let observer = EndStallWhen::new(stall.clone(), (|stalled, _: &LoadProgress| stalled >= STALL) as fn(_, &_) -> _);
    let outcome = run(&plan, &mut StopAfterStall(observer)).unwrap();
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    assert!(slow(&outcome) >= 1, "{outcome:?}");
    assert!(max(&outcome) >= stall.ended().unwrap() - stall.began().unwrap(), "{outcome:?}");
}

/// An observer that lets a server answer 100 messages at each of its reports, ten times a second.
struct Quota(Arc<(Mutex<u64>, Condvar)>);

impl LoadObserver for Quota {
    fn on_progress(&mut self, _progress: &LoadProgress) -> ControlFlow<()> {
        *self.0.0.lock().unwrap() += 100;
        self.0.1.notify_all();
        ControlFlow::Continue(())
    }
}

/// No server thread is left behind.
impl Drop for Quota {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = u64::MAX;
        self.0.1.notify_all();
    }
}

#[test]
fn an_overloaded_server_shows_its_waiting_times() {
    let quota = Arc::new((Mutex::new(0u64), Condvar::new()));
    let answerable = Arc::clone(&quota);
    let target = tcp(move |stream| {
        echo_frames(stream, || {
            let left = answerable.0.lock().unwrap();
            *answerable.1.wait_while(left, |left| *left == 0).unwrap() -= 1;
        });
    });
    let (activity, reply_timeout) = (Activity::Open { rate: 4000.0 }, Duration::from_secs(1));
    let plan = LoadConfig { activity, reply_timeout, duration: DURATION, ..plan(target) };
    let outcome = run(&plan, &mut Quota(quota)).unwrap();
    assert_eq!(outcome.due, 8000);
    // Each message has exactly one end; those waiting at the end of the run have waited long.
    let faults = outcome.faults;
    assert_eq!(outcome.messages + outcome.unanswered + faults.lost, outcome.due, "{faults:?}");
    assert!(outcome.messages < 4000);
    // 1,000 a second for two seconds; later answers do not count as throughput.
    assert!(outcome.answered < 2200, "{outcome:?}");
    assert!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>() >= outcome.answered, "{outcome:?}");
    assert!(faults.lost > 0 || max(&outcome) >= Duration::from_secs(1), "{outcome:?}");
}

fn search_plan(rate: f64) -> LoadConfig {
    LoadConfig { activity: Activity::Open { rate }, ..plan(tcp(echo)) }
}

/// An observer that ends the search after its first step.
#[derive(Default)]
struct StopAfterStep(bool);

impl LoadObserver for StopAfterStep {
    fn on_progress(&mut self, _progress: &LoadProgress) -> ControlFlow<()> {
        if self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_step(&mut self, _step: &RateStep) {
        self.0 = true;
    }
}

/// `load::search` tests the choice of rates.
#[test]
fn a_rate_that_holds_is_found() {
    let slo: Slo = "p95<1h".parse().unwrap();
    let found = find_max(&search_plan(100.0), &slo, &mut StopAfterStep::default()).unwrap();
    let steps: Vec<_> = found.steps.iter().map(|step| (step.rate, step.verdict, step.outcome.due)).collect();
    assert_eq!(steps, [(100.0, StepVerdict::Holds, 30)]);
    assert_eq!((found.rate, found.ended), (100.0, SearchEnd::Stopped));
}

#[test]
fn no_rate_holds_an_impossible_objective() {
    let slo: Slo = "max<1ns".parse().unwrap();
    let found = find_max(&search_plan(1.5), &slo, &mut ()).unwrap();
    assert!(found.rate == 0.0 && found.steps.len() >= 2, "{found:?}");
    assert!(found.steps.iter().all(|step| step.verdict != StepVerdict::Holds), "{found:?}");
}
