//! Each kind of load against correct servers: the run counts the work and finds no fault.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::ops::ControlFlow;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use switchboard::load::{Activity, LoadConfig, LoadObserver, LoadOutcome, LoadPhase, LoadProgress, run};
use switchboard::{Endpoint, Framing};

use crate::observers::{StopWhen, UNTIL_STOPPED, has_answers};
use crate::servers::{bytes, echo, plan, tcp, udp};

/// Runs a load that must have no fault. A busy machine may answer nothing in the measured time of a
/// closed loop, so a second run ends when an answer has been measured.
fn run_without_fault(plan: &LoadConfig) -> LoadOutcome {
    let outcome = run(plan, &mut ()).unwrap();
    assert_eq!(outcome.elapsed, plan.duration);
    check_without_fault(plan, &outcome);
    if let Activity::Closed { .. } | Activity::Churn = plan.activity {
        run_until_answered(plan);
    }
    outcome
}

/// Runs a load that must have no fault, until at least one answer has been measured.
fn run_until_answered(plan: &LoadConfig) -> LoadOutcome {
    let plan = LoadConfig { duration: UNTIL_STOPPED, ..plan.clone() };
    let outcome = run(&plan, &mut StopWhen(has_answers)).unwrap();
    assert!(outcome.messages > 0, "{outcome:?}");
    check_without_fault(&plan, &outcome);
    outcome
}

fn check_without_fault(plan: &LoadConfig, outcome: &LoadOutcome) {
    assert!(outcome.faults.is_none(), "{:?}", outcome.faults);
    assert_eq!(outcome.latency.len(), outcome.messages + outcome.unanswered);
    if plan.payload_bytes.start() == plan.payload_bytes.end() {
        assert_eq!(outcome.bytes, outcome.messages * *plan.payload_bytes.start() as u64);
    }
}

#[test]
fn a_closed_loop_counts_answered_messages() {
    let plan = plan(tcp(echo));
    assert_eq!(run_without_fault(&plan).connects.len(), 4);
    let outcome = run_until_answered(&plan);
    assert_eq!((outcome.connects.len(), outcome.connections), (4, 4));
    assert_eq!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>(), outcome.messages);
    assert_eq!(outcome.samples.iter().map(|sample| sample.length).sum::<Duration>(), outcome.elapsed);
    assert_eq!((outcome.due, outcome.send_lag()), (0, 0));
    assert_eq!(outcome.answered, outcome.messages);
}

#[test]
fn an_open_loop_sends_exactly_the_due_messages() {
    let outcome = run_without_fault(&LoadConfig { activity: Activity::Open { rate: 1000.0 }, ..plan(tcp(echo)) });
    assert_eq!((outcome.due, outcome.messages, outcome.unanswered), (300, 300, 0));
    assert_eq!(outcome.send_lag(), 300);
}

trait SendLag {
    fn send_lag(&self) -> u64;
}

impl SendLag for LoadOutcome {
    /// Returns the number of messages whose lag was measured.
    fn send_lag(&self) -> u64 {
        self.generator.send_lag.len()
    }
}

#[test]
fn an_open_loop_runs_over_udp() {
    let outcome = run_without_fault(&LoadConfig { activity: Activity::Open { rate: 500.0 }, ..plan(udp()) });
    assert_eq!((outcome.due, outcome.messages), (150, 150));
}

#[test]
fn the_longest_datagram_of_each_family_is_sent_and_checked() {
    for (any, longest) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let socket = UdpSocket::bind(any).unwrap();
        let target = Endpoint::Udp(socket.local_addr().unwrap());
        thread::spawn(move || {
            let mut datagram = vec![0; 70_000];
            while let Ok((bytes, from)) = socket.recv_from(&mut datagram) {
                socket.send_to(&datagram[..bytes], from).unwrap();
            }
        });
        run_without_fault(&LoadConfig { payload_bytes: bytes(longest), connections: 1, ..plan(target) });
    }
}

#[test]
fn many_messages_of_any_size_are_in_flight() {
    for (target, framing, in_flight, sizes) in [
        (tcp(echo), Framing::U32BE, 16, 0..=20_000),
        (tcp(echo), Framing::Varint, 16, 0..=300),
        (tcp(echo), Framing::U8, 100, 0..=255),
        (tcp(echo), Framing::Lines, 16, 0..=9_000),
        (tcp(echo), Framing::Raw, 16, 1..=20_000),
        // Few enough for the server's receive buffer: a datagram that the kernel drops is lost.
        (udp(), Framing::Raw, 4, 1..=2_000),
    ] {
        let activity = Activity::Closed { in_flight };
        run_without_fault(&LoadConfig { framing, activity, payload_bytes: sizes, ..plan(target) });
    }
}

/// The messages exceed the socket buffers of both sides, so each is sent and received in pieces.
#[test]
fn messages_may_exceed_the_socket_buffers() {
    for framing in [Framing::U32BE, Framing::Lines, Framing::Raw] {
        for size in [1_000_000, 8_000_000] {
            let activity = Activity::Closed { in_flight: 3 };
            // A busy machine needs long for these messages, but loses none.
            let (payload_bytes, reply_timeout) = (bytes(size), Duration::from_mins(2));
            run_without_fault(&LoadConfig {
                framing,
                activity,
                payload_bytes,
                reply_timeout,
                connections: 2,
                ..plan(tcp(echo))
            });
        }
    }
}

#[test]
fn a_load_runs_over_a_unix_domain_socket() {
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
    run_without_fault(&LoadConfig { activity: Activity::Closed { in_flight: 4 }, ..plan(target.clone()) });
    run_without_fault(&LoadConfig { activity: Activity::Churn, ..plan(target) });
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn churn_opens_a_connection_for_each_message() {
    let (closed, ends) = channel();
    let target = tcp(move |mut stream| {
        let mut frame = [0; 68];
        stream.read_exact(&mut frame).unwrap();
        stream.write_all(&frame).unwrap();
        // The client has shut down its write side, and sent no RST.
        assert!(matches!(stream.read(&mut frame), Ok(0)));
        closed.send(()).unwrap();
    });
    let outcome = run(&LoadConfig { activity: Activity::Churn, ..plan(target) }, &mut ()).unwrap();
    assert!(outcome.faults.is_none() && outcome.connects.len() >= outcome.messages, "{outcome:?}");
    assert_eq!(outcome.connections, 0);
    for _ in 0..outcome.connects.len() {
        ends.recv_timeout(Duration::from_mins(1)).expect("the server receives every end of stream");
    }
    assert!(ends.try_recv().is_err(), "the server has more connections than the run has counted");
}

#[test]
fn churn_counts_complete_exchanges() {
    run_until_answered(&LoadConfig { activity: Activity::Churn, ..plan(tcp(echo)) });
}

#[test]
fn churn_over_udp_opens_a_socket_for_each_message() {
    let outcome = run_without_fault(&LoadConfig { activity: Activity::Churn, ..plan(udp()) });
    assert_eq!(outcome.connections, 0);
}

#[test]
fn idle_connections_exchange_one_message_each() {
    let plan = LoadConfig { activity: Activity::Idle, connections: 100, ..plan(tcp(echo)) };
    let outcome = run_without_fault(&plan);
    assert_eq!((outcome.messages, outcome.connections), (100, 100));
}

#[test]
fn a_ramp_spreads_the_connections() {
    let ramp = Duration::from_millis(400);
    let outcome = run_without_fault(&LoadConfig { ramp, connections: 8, ..plan(tcp(echo)) });
    assert!(outcome.connecting >= ramp * 7 / 8, "{:?}", outcome.connecting);
}

/// An observer that logs its callbacks.
#[derive(Default)]
struct CallbackLog {
    phases: Vec<LoadPhase>,
    measure_starts: usize,
    measure_ends: usize,
    samples: BTreeSet<Duration>,
    break_in: Option<LoadPhase>,
}

impl LoadObserver for CallbackLog {
    fn on_measure_start(&mut self) {
        self.measure_starts += 1;
    }

    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        assert!((0.0..=1.0).contains(&progress.done), "{progress:?}");
        if self.phases.last() != Some(&progress.phase) {
            self.phases.push(progress.phase);
        }
        self.samples.extend(progress.last_sample.map(|sample| sample.at));
        let is_reached = progress.phase != LoadPhase::Measuring || has_answers(progress);
        let stops = self.break_in == Some(progress.phase) && is_reached;
        if stops { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn on_measure_end(&mut self) {
        self.measure_ends += 1;
    }
}

#[test]
fn an_observer_receives_every_phase() {
    let mut log = CallbackLog::default();
    let plan =
        LoadConfig { warm_up: Duration::from_millis(250), duration: Duration::from_millis(550), ..plan(tcp(echo)) };
    let outcome = run(&plan, &mut log).unwrap();
    // The last phase is often shorter than a tick, and is then not reported.
    assert_eq!(log.phases[..3], [LoadPhase::Connecting, LoadPhase::WarmingUp, LoadPhase::Measuring]);
    assert_eq!((log.measure_starts, log.measure_ends), (1, 1));
    assert!(log.samples.len() <= outcome.samples.len() && !outcome.samples.is_empty());
    assert!(outcome.samples.iter().all(|sample| sample.length >= Duration::from_millis(100)));
}

#[test]
fn an_observer_can_end_a_run() {
    for phase in [LoadPhase::Connecting, LoadPhase::WarmingUp, LoadPhase::Measuring] {
        let mut log = CallbackLog { break_in: Some(phase), ..CallbackLog::default() };
        let warm_up = if phase == LoadPhase::WarmingUp { UNTIL_STOPPED } else { Duration::ZERO };
        let outcome = run(&LoadConfig { duration: UNTIL_STOPPED, warm_up, ..plan(tcp(echo)) }, &mut log).unwrap();
        let measured = usize::from(phase == LoadPhase::Measuring);
        assert_eq!((log.measure_starts, log.measure_ends), (measured, measured));
        assert!(outcome.elapsed < UNTIL_STOPPED);
        assert_eq!(outcome.messages > 0, measured > 0);
        assert!(outcome.faults.is_none());
    }
}
