//! Stalls, which only an open loop measures in full: a stalled server delays every message that
//! becomes due meanwhile.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::Endpoint;
use switchboard::load::{Activity, LoadConfig, LoadOutcome, SearchEnd, Slo, StepVerdict, find_max, run};

use crate::servers::{echo_frames, plan, tcp};
use crate::{lock_exclusive, require, succeeds_once};

const STALL: Duration = Duration::from_millis(500);
/// Latency that a message exceeds only because of the stall.
const SLOW: Duration = Duration::from_millis(100);

/// Starts a server that answers no connection for the time `stall`, once, at its 500th message.
fn stalling_server(stall: Duration) -> Endpoint {
    let messages = Arc::new(Mutex::new(0));
    tcp(move |stream| {
        echo_frames(stream, || {
            let mut messages = messages.lock().unwrap();
            *messages += 1;
            if *messages == 500 {
                thread::sleep(stall);
            }
        });
    })
}

fn run_load(activity: Activity) -> LoadOutcome {
    let outcome =
        run(&LoadConfig { activity, duration: Duration::from_secs(2), ..plan(stalling_server(STALL)) }, &mut ())
            .unwrap();
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    outcome
}

/// Returns the number of slow messages.
fn slow(outcome: &LoadOutcome) -> u64 {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap();
    outcome.latency.count_between(nanos(SLOW), u64::MAX)
}

fn quantile(outcome: &LoadOutcome, quantile: f64) -> Duration {
    Duration::from_nanos(outcome.latency.value_at_quantile(quantile))
}

#[test]
fn an_open_loop_charges_a_stall_for_every_late_message() {
    let _lock = lock_exclusive();
    succeeds_once(|| {
        let outcome = run_load(Activity::Open { rate: 1000.0 });
        assert_eq!((outcome.due, outcome.messages, outcome.unanswered), (2000, 2000, 0));
        // A message a millisecond: 400 of them waited longer than 100 of the 500 ms.
        assert!(slow(&outcome) >= 395, "{} messages were slow", slow(&outcome));
        assert!(quantile(&outcome, 0.999) >= Duration::from_millis(490), "{outcome:?}");
        assert!(quantile(&outcome, 1.0) >= Duration::from_millis(498), "{outcome:?}");
        require!(slow(&outcome) < 600 && quantile(&outcome, 0.5) < SLOW, "{} were slow: {outcome:?}", slow(&outcome));
        Ok(())
    });
}

/// The messages that were given up during the stall waited the longest.
#[test]
fn a_stall_longer_than_the_answer_timeout_is_charged_in_full() {
    let _lock = lock_exclusive();
    succeeds_once(|| {
        let plan = LoadConfig {
            activity: Activity::Open { rate: 1000.0 },
            duration: Duration::from_secs(2),
            reply_timeout: STALL,
            ..plan(stalling_server(STALL * 2))
        };
        let outcome = run(&plan, &mut ()).unwrap();
        let lost = outcome.faults.lost;
        assert_eq!((outcome.due, outcome.latency.len()), (2000, 2000), "{outcome:?}");
        assert_eq!(outcome.messages + outcome.unanswered + lost, 2000, "{outcome:?}");
        // A message a millisecond: 900 waited longer than 100 of the 1000 ms, and those of the
        // first half were given up.
        assert!(slow(&outcome) >= 895, "{} messages were slow", slow(&outcome));
        assert!(lost >= 300, "{outcome:?}");
        assert!(quantile(&outcome, 1.0) >= Duration::from_millis(995), "their late answers count: {outcome:?}");
        require!(slow(&outcome) < 1200 && lost < 800, "{} were slow: {outcome:?}", slow(&outcome));
        Ok(())
    });
}

/// In a closed loop the same stall delays one message of each connection.
#[test]
fn a_closed_loop_hides_a_stall() {
    let _lock = lock_exclusive();
    succeeds_once(|| {
        let outcome = run_load(Activity::Closed { in_flight: 1 });
        assert!(slow(&outcome) >= 1);
        assert!(quantile(&outcome, 1.0) >= Duration::from_millis(498), "{outcome:?}");
        require!(slow(&outcome) < 10 && quantile(&outcome, 0.999) < SLOW, "{} were slow: {outcome:?}", slow(&outcome));
        Ok(())
    });
}

/// Starts a server that answers at most `rate` messages a second, over all connections.
fn rate_limited_server(rate: u32) -> Endpoint {
    let next = Arc::new(Mutex::new(Instant::now()));
    tcp(move |stream| {
        echo_frames(stream, || {
            let mut next = next.lock().unwrap();
            // The server makes up for sleeps that last too long, but for at most 10 ms.
            *next = (*next).max(Instant::now().checked_sub(Duration::from_millis(10)).unwrap());
            *next += Duration::from_secs(1) / rate;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        });
    })
}

#[test]
fn an_overloaded_server_shows_its_waiting_times() {
    let _lock = lock_exclusive();
    let activity = Activity::Open { rate: 4000.0 };
    let reply_timeout = Duration::from_secs(1);
    let plan =
        LoadConfig { activity, reply_timeout, duration: Duration::from_secs(2), ..plan(rate_limited_server(1000)) };
    let outcome = run(&plan, &mut ()).unwrap();
    assert_eq!(outcome.due, 8000);
    // Each message has exactly one end; those waiting at the end of the run have waited long.
    let faults = outcome.faults;
    assert_eq!(outcome.messages + outcome.unanswered + faults.lost, outcome.due, "{faults:?}");
    assert!(outcome.messages < 4000);
    // 1,000 a second for two seconds; later answers do not count as throughput.
    assert!(outcome.answered < 2200, "{outcome:?}");
    assert!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>() >= outcome.answered, "{outcome:?}");
    assert!(faults.lost > 0 || quantile(&outcome, 1.0) >= Duration::from_secs(1), "{outcome:?}");
}

#[test]
fn the_highest_rate_that_holds_is_found() {
    const LIMIT: u32 = 2000;
    let _lock = lock_exclusive();
    succeeds_once(|| {
        let slo: Slo = "p95<30ms".parse().unwrap();
        let plan = LoadConfig {
            activity: Activity::Open { rate: 1500.0 },
            warm_up: Duration::from_millis(50),
            // Long enough for a rate 6 % too high to queue 30 ms plus the 10 ms made up for.
            duration: Duration::from_millis(700),
            ..plan(rate_limited_server(LIMIT))
        };
        let found = find_max(&plan, &slo, &mut ()).unwrap();
        let steps: Vec<_> = found.steps.iter().map(|step| (step.rate, step.verdict)).collect();
        require!(found.ended == SearchEnd::Found && found.rate > 0.0, "{:?}: {steps:?}", found.ended);
        assert!(steps.contains(&(found.rate, StepVerdict::Holds)), "{steps:?}");
        let failed = |(rate, verdict): &(f64, StepVerdict)| {
            *rate > found.rate && *rate / found.rate < 1.031 && *verdict != StepVerdict::Holds
        };
        assert!(steps.iter().any(failed), "{steps:?}");
        require!((found.rate / f64::from(LIMIT) - 1.0).abs() < 0.1, "{}: {steps:?}", found.rate);
        Ok(())
    });
}
