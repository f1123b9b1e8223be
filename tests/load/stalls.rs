//! What only an open loop sees: a server that stalls keeps everybody waiting who would have come meanwhile.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::Endpoint;
use switchboard::load::{Activity, LoadConfig, LoadOutcome, SearchEnd, Slo, StepVerdict, find_max, run};

use crate::servers::{echo_frames, plan, tcp};
use crate::{alone, hoped, once_in_five};

const STALL: Duration = Duration::from_millis(500);
/// No message waits so long but for the stall, on a machine that is not hopeless.
const SLOW: Duration = Duration::from_millis(100);

/// Answers no connection for a while, once, at its 500th message.
fn stalling(stall: Duration) -> Endpoint {
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

fn load(activity: Activity) -> LoadOutcome {
    let outcome =
        run(&LoadConfig { activity, duration: Duration::from_secs(2), ..plan(stalling(STALL)) }, &mut ()).unwrap();
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    outcome
}

fn slow(outcome: &LoadOutcome) -> u64 {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap();
    outcome.latency.count_between(nanos(SLOW), u64::MAX)
}

fn quantile(outcome: &LoadOutcome, quantile: f64) -> Duration {
    Duration::from_nanos(outcome.latency.value_at_quantile(quantile))
}

#[test]
fn an_open_loop_charges_a_stall_for_every_message_that_it_kept_waiting() {
    let _turn = alone();
    once_in_five(|| {
        let outcome = load(Activity::Open { rate: 1000.0 });
        assert_eq!((outcome.due, outcome.messages, outcome.unanswered), (2000, 2000, 0));
        // A message a millisecond: 400 of them waited longer than 100 of the 500 ms.
        assert!(slow(&outcome) >= 395, "{} messages were slow", slow(&outcome));
        assert!(quantile(&outcome, 0.999) >= Duration::from_millis(490), "{outcome:?}");
        assert!(quantile(&outcome, 1.0) >= Duration::from_millis(498), "{outcome:?}");
        hoped!(slow(&outcome) < 600 && quantile(&outcome, 0.5) < SLOW, "{} were slow: {outcome:?}", slow(&outcome));
        Ok(())
    });
}

/// Those that were given up meanwhile waited the longest.
#[test]
fn a_stall_longer_than_the_answer_timeout_is_charged_in_full() {
    let _turn = alone();
    once_in_five(|| {
        let plan = LoadConfig {
            activity: Activity::Open { rate: 1000.0 },
            duration: Duration::from_secs(2),
            answer_timeout: STALL,
            ..plan(stalling(STALL * 2))
        };
        let outcome = run(&plan, &mut ()).unwrap();
        let lost = outcome.faults.lost;
        assert_eq!((outcome.due, outcome.latency.len()), (2000, 2000), "{outcome:?}");
        assert_eq!(outcome.messages + outcome.unanswered + lost, 2000, "{outcome:?}");
        // A message a millisecond: 900 waited longer than 100 of the 1000 ms, and those of the first half were given up.
        assert!(slow(&outcome) >= 895, "{} messages were slow", slow(&outcome));
        assert!(lost >= 300, "{outcome:?}");
        assert!(quantile(&outcome, 1.0) >= Duration::from_millis(995), "their answers came after all: {outcome:?}");
        hoped!(slow(&outcome) < 1200 && lost < 800, "{} were slow: {outcome:?}", slow(&outcome));
        Ok(())
    });
}

/// The same stall, and all but one message of each connection missed it.
#[test]
fn a_closed_loop_hides_it() {
    let _turn = alone();
    once_in_five(|| {
        let outcome = load(Activity::Closed { in_flight: 1 });
        assert!(slow(&outcome) >= 1);
        assert!(quantile(&outcome, 1.0) >= Duration::from_millis(498), "{outcome:?}");
        hoped!(slow(&outcome) < 10 && quantile(&outcome, 0.999) < SLOW, "{} were slow: {outcome:?}", slow(&outcome));
        Ok(())
    });
}

/// Serves at most so many messages a second, over all connections.
fn limited(rate: u32) -> Endpoint {
    let next = Arc::new(Mutex::new(Instant::now()));
    tcp(move |stream| {
        echo_frames(stream, || {
            let mut next = next.lock().unwrap();
            // What a sleep took too long is made up for, but not what was not asked for.
            *next = (*next).max(Instant::now().checked_sub(Duration::from_millis(10)).unwrap());
            *next += Duration::from_secs(1) / rate;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        });
    })
}

#[test]
fn a_server_that_is_overloaded_shows_how_long_it_keeps_waiting() {
    let _turn = alone();
    let activity = Activity::Open { rate: 4000.0 };
    let answer_timeout = Duration::from_secs(1);
    let plan = LoadConfig { activity, answer_timeout, duration: Duration::from_secs(2), ..plan(limited(1000)) };
    let outcome = run(&plan, &mut ()).unwrap();
    assert_eq!(outcome.due, 8000);
    // Each message has come to one end, and whoever waits at the end of the run waits since long.
    let faults = outcome.faults;
    assert_eq!(outcome.messages + outcome.unanswered + faults.lost, outcome.due, "{faults:?}");
    assert!(outcome.messages < 4000);
    // A thousand a second for two seconds: what was answered after them is no throughput of theirs.
    assert!(outcome.answered < 2200, "{outcome:?}");
    assert!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>() >= outcome.answered, "{outcome:?}");
    assert!(faults.lost > 0 || quantile(&outcome, 1.0) >= Duration::from_secs(1), "{outcome:?}");
}

#[test]
fn the_highest_rate_that_holds_is_found() {
    const LIMIT: u32 = 2000;
    let _turn = alone();
    once_in_five(|| {
        let slo: Slo = "p95<30ms".parse().unwrap();
        let plan = LoadConfig {
            activity: Activity::Open { rate: 1500.0 },
            warm_up: Duration::from_millis(50),
            // Long enough for a rate 6 % too high to pile up 30 ms and what is made up for.
            duration: Duration::from_millis(700),
            ..plan(limited(LIMIT))
        };
        let found = find_max(&plan, &slo, &mut ()).unwrap();
        let steps: Vec<_> = found.steps.iter().map(|step| (step.rate, step.verdict)).collect();
        hoped!(found.ended == SearchEnd::Found && found.rate > 0.0, "{:?}: {steps:?}", found.ended);
        assert!(steps.contains(&(found.rate, StepVerdict::Holds)), "{steps:?}");
        let failed = |(rate, verdict): &(f64, StepVerdict)| {
            *rate > found.rate && *rate / found.rate < 1.031 && *verdict != StepVerdict::Holds
        };
        assert!(steps.iter().any(failed), "{steps:?}");
        hoped!((found.rate / f64::from(LIMIT) - 1.0).abs() < 0.1, "{}: {steps:?}", found.rate);
        Ok(())
    });
}
