//! Each kind of load, against servers without fault: none is found, and what was done is counted.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use switchboard::load::{Activity, LoadConfig, LoadObserver, LoadOutcome, LoadPhase, LoadProgress, run};
use switchboard::{Endpoint, Framing};

use crate::among_others;
use crate::servers::{bytes, echo, plan, tcp, udp};

/// Runs a plan in which nothing may go wrong; for longer if a loaded machine gets nothing done.
fn flawless(plan: &LoadConfig) -> LoadOutcome {
    let _turn = among_others();
    let mut plan = plan.clone();
    let outcome = loop {
        let outcome = run(&plan, &mut ()).unwrap();
        assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
        if outcome.messages > 0 {
            break outcome;
        }
        assert!(plan.duration < Duration::from_mins(1), "nothing was answered: {outcome:?}");
        plan.duration *= 4;
    };
    assert_eq!(outcome.elapsed, plan.duration);
    assert_eq!(outcome.latency.len(), outcome.messages + outcome.unanswered);
    if plan.payload_bytes.start() == plan.payload_bytes.end() {
        assert_eq!(outcome.bytes, outcome.messages * *plan.payload_bytes.start() as u64);
    }
    outcome
}

#[test]
fn a_closed_loop_counts_what_is_answered() {
    let outcome = flawless(&plan(tcp(echo)));
    assert_eq!((outcome.connects.len(), outcome.connections), (4, 4));
    assert_eq!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>(), outcome.messages);
    assert_eq!(outcome.samples.iter().map(|sample| sample.length).sum::<Duration>(), outcome.elapsed);
    assert_eq!((outcome.due, outcome.send_lag()), (0, 0));
    assert_eq!(outcome.answered, outcome.messages);
}

#[test]
fn an_open_loop_sends_what_is_due_and_no_more() {
    let outcome = flawless(&LoadConfig { activity: Activity::Open { rate: 1000.0 }, ..plan(tcp(echo)) });
    assert_eq!((outcome.due, outcome.messages, outcome.unanswered), (300, 300, 0));
    assert_eq!(outcome.send_lag(), 300);
}

trait SendLag {
    fn send_lag(&self) -> u64;
}

impl SendLag for LoadOutcome {
    /// Messages whose lag was measured.
    fn send_lag(&self) -> u64 {
        self.generator.send_lag.len()
    }
}

#[test]
fn an_open_loop_goes_over_datagrams_too() {
    let outcome = flawless(&LoadConfig { activity: Activity::Open { rate: 500.0 }, ..plan(udp()) });
    assert_eq!((outcome.due, outcome.messages), (150, 150));
}

#[test]
fn messages_under_way_may_be_many_and_of_any_size() {
    for (target, framing, in_flight, sizes) in [
        (tcp(echo), Framing::U32BE, 16, 0..=20_000),
        (tcp(echo), Framing::Varint, 16, 0..=300),
        (tcp(echo), Framing::U8, 100, 0..=255),
        (tcp(echo), Framing::Lines, 16, 0..=9_000),
        (tcp(echo), Framing::Raw, 16, 1..=20_000),
        // No more than the server's socket has room for: what the kernel drops is lost, and rightly counted so.
        (udp(), Framing::Raw, 4, 1..=2_000),
    ] {
        let activity = Activity::Closed { in_flight };
        flawless(&LoadConfig { framing, activity, payload_bytes: sizes, ..plan(target) });
    }
}

/// Both sides' socket buffers are smaller, so every message is sent and received in pieces.
#[test]
fn a_message_may_be_larger_than_what_a_socket_takes() {
    for framing in [Framing::U32BE, Framing::Lines, Framing::Raw] {
        for size in [1_000_000, 8_000_000] {
            let activity = Activity::Closed { in_flight: 3 };
            // They take long on a loaded machine, which loses none.
            let (payload_bytes, answer_timeout) = (bytes(size), Duration::from_mins(2));
            flawless(&LoadConfig {
                framing,
                activity,
                payload_bytes,
                answer_timeout,
                connections: 2,
                ..plan(tcp(echo))
            });
        }
    }
}

#[cfg(unix)]
#[test]
fn a_unix_domain_socket_serves_as_well() {
    use std::os::unix::net::UnixListener;
    let path = std::env::temp_dir().join(format!("switchboard-bench-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || echo(stream.unwrap()));
        }
    });
    let target = Endpoint::Unix(path.clone());
    flawless(&LoadConfig { activity: Activity::Closed { in_flight: 4 }, ..plan(target.clone()) });
    flawless(&LoadConfig { activity: Activity::Churn, ..plan(target) });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn churn_is_a_connection_for_each_message() {
    let (opened, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (counted, closed) = (Arc::clone(&opened), Arc::clone(&ended));
    let target = tcp(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut frame = [0; 68];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(&frame).unwrap();
        // In good order: no more input, and no reset.
        if matches!(stream.read(&mut frame), Ok(0)) {
            closed.fetch_add(1, Ordering::Relaxed);
        }
    });
    let outcome = flawless(&LoadConfig { activity: Activity::Churn, ..plan(target) });
    assert!(outcome.connects.len() >= outcome.messages);
    assert_eq!(outcome.connections, 0);
    let begun = Instant::now();
    while ended.load(Ordering::Relaxed) < opened.load(Ordering::Relaxed) {
        assert!(begun.elapsed() < Duration::from_secs(20), "the server has not seen every end");
        thread::yield_now();
    }
    // More only if a loaded machine needed a second run.
    assert!(opened.load(Ordering::Relaxed) >= outcome.connects.len());
}

#[test]
fn churn_over_datagrams_is_a_socket_for_each() {
    let outcome = flawless(&LoadConfig { activity: Activity::Churn, ..plan(udp()) });
    assert_eq!(outcome.connections, 0);
}

#[test]
fn idle_connections_exchange_one_message_each() {
    let plan = LoadConfig { activity: Activity::Idle, connections: 100, ..plan(tcp(echo)) };
    let outcome = flawless(&plan);
    assert_eq!((outcome.messages, outcome.connections), (100, 100));
}

#[test]
fn a_ramp_spreads_the_connections() {
    let ramp = Duration::from_millis(400);
    let outcome = flawless(&LoadConfig { ramp, connections: 8, ..plan(tcp(echo)) });
    assert!(outcome.connecting >= ramp * 7 / 8, "{:?}", outcome.connecting);
}

/// Writes down what it is told.
#[derive(Default)]
struct Diary {
    stages: Vec<LoadPhase>,
    measuring: usize,
    measured: usize,
    samples: BTreeSet<Duration>,
    break_in: Option<LoadPhase>,
}

impl LoadObserver for Diary {
    fn on_measure_start(&mut self) {
        self.measuring += 1;
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        assert!((0.0..=1.0).contains(&progress.done), "{progress:?}");
        if self.stages.last() != Some(&progress.phase) {
            self.stages.push(progress.phase);
        }
        self.samples.extend(progress.last_sample.map(|sample| sample.at));
        if self.break_in == Some(progress.phase) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_measure_end(&mut self) {
        self.measured += 1;
    }
}

#[test]
fn who_watches_is_told_of_every_stage() {
    let _turn = among_others();
    let mut diary = Diary::default();
    let plan =
        LoadConfig { warm_up: Duration::from_millis(250), duration: Duration::from_millis(550), ..plan(tcp(echo)) };
    let outcome = run(&plan, &mut diary).unwrap();
    // The last answers mostly come at once, and then there is nothing to tell of the wait for them.
    assert_eq!(diary.stages[..3], [LoadPhase::Connecting, LoadPhase::WarmingUp, LoadPhase::Measuring]);
    assert_eq!((diary.measuring, diary.measured), (1, 1));
    assert!(diary.samples.len() <= outcome.samples.len() && !outcome.samples.is_empty());
    assert!(outcome.samples.iter().all(|sample| sample.length >= Duration::from_millis(100)));
}

#[test]
fn who_watches_may_end_it() {
    let _turn = among_others();
    for stage in [LoadPhase::Connecting, LoadPhase::WarmingUp, LoadPhase::Measuring] {
        let mut diary = Diary { break_in: Some(stage), ..Diary::default() };
        let hour = Duration::from_hours(1);
        let warm_up = if stage == LoadPhase::WarmingUp { hour } else { Duration::ZERO };
        let outcome = run(&LoadConfig { duration: hour, warm_up, ..plan(tcp(echo)) }, &mut diary).unwrap();
        let measured = usize::from(stage == LoadPhase::Measuring);
        assert_eq!((diary.measuring, diary.measured), (measured, measured));
        assert!(outcome.elapsed < Duration::from_mins(1));
        assert_eq!(outcome.messages > 0, measured > 0);
        assert!(outcome.faults.is_none());
    }
}
