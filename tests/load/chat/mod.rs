//! The chat load against a correct server, where it finds no fault; runs that fail, end early or
//! stall.

mod faults;
mod server;

use std::io::Write as _;
use std::time::Duration;

use socket2::Type;
use switchboard::Endpoint;
use switchboard::load::chat::{ChatLoadConfig, ChatOutcome, run};
use switchboard::load::{Activity, LoadError, LoadOutcome, LoadPhase, LoadProgress};

use crate::guard::guard;
use crate::localhost::refusing;
use crate::observers::{EndStallWhen, Stall, StopWhen, UNTIL_STOPPED, has_answers};
use faults::{run_with_fault, short_timeout};
use server::{Fault, Server};

fn plan(target: &Endpoint) -> ChatLoadConfig {
    ChatLoadConfig {
        target: target.clone(),
        members: 6,
        publishers: 2,
        rooms: 1,
        payload_bytes: 64,
        activity: Activity::Closed { in_flight: 4 },
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        reply_timeout: guard(),
    }
}

/// Runs a load that must have no fault.
fn run_without_fault(plan: &ChatLoadConfig) -> LoadOutcome<ChatOutcome> {
    let outcome = run(plan, &mut ()).unwrap();
    assert!(outcome.is_verified(), "{outcome:?}");
    assert_eq!((outcome.elapsed, outcome.connections), (plan.duration, plan.members));
    assert_eq!(outcome.connects.len(), plan.members as u64);
    assert_eq!(outcome.latency.len(), outcome.messages);
    assert_eq!(outcome.bytes, outcome.messages * plan.payload_bytes as u64);
    outcome
}

#[test]
fn every_member_receives_every_message_in_order() {
    let server = Server::start(Fault::None);
    for (publishers, in_flight, payload_bytes) in [(1, 1, 40), (1, 16, 64), (6, 4, 4096)] {
        let activity = Activity::Closed { in_flight };
        let outcome =
            run_without_fault(&ChatLoadConfig { publishers, activity, payload_bytes, ..plan(&server.target) });
        assert_eq!(outcome.workload.received, outcome.workload.ids * 6, "every delivery is checked");
        assert!(outcome.workload.received >= outcome.messages && outcome.answered == outcome.messages);
        assert_eq!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>(), outcome.messages);
        // A part of the members has received the messages in flight at the end of the measured
        // time.
        let awaited = in_flight as u64 * 6;
        assert!(outcome.messages.abs_diff(outcome.workload.sent * 6) <= awaited, "{outcome:?}");
    }
}

#[test]
fn each_room_has_its_own_ids_and_publishers() {
    let server = Server::start(Fault::None);
    let outcome = run_without_fault(&ChatLoadConfig { members: 10, rooms: 3, publishers: 5, ..plan(&server.target) });
    // Rooms of 4, 3 and 3.
    assert!(
        outcome.workload.received > outcome.workload.ids * 3 && outcome.workload.received < outcome.workload.ids * 4,
        "{outcome:?}"
    );
}

#[test]
fn an_open_loop_sends_exactly_the_due_messages() {
    let server = Server::start(Fault::None);
    for (rooms, publishers) in [(1, 1), (2, 3)] {
        let activity = Activity::Open { rate: 200.0 };
        let outcome = run_without_fault(&ChatLoadConfig { activity, rooms, publishers, ..plan(&server.target) });
        assert_eq!((outcome.due, outcome.workload.sent, outcome.workload.ids), (60, 60, 60));
        assert_eq!(outcome.messages, 60 * 6 / rooms as u64);
        assert_eq!(outcome.generator.send_lag.len(), 60);
    }
}

#[test]
fn idle_members_send_nothing() {
    let server = Server::start(Fault::None);
    let outcome = run_without_fault(&ChatLoadConfig {
        activity: Activity::Idle,
        publishers: 0,
        members: 200,
        rooms: 2,
        ..plan(&server.target)
    });
    assert_eq!((outcome.workload.ids, outcome.workload.received, outcome.workload.sent), (0, 0, 0));
    assert!(outcome.connecting > Duration::ZERO);
}

#[test]
fn two_runs_with_many_members_do_not_collide() {
    let server = Server::start(Fault::None);
    for _ in 0..2 {
        run_without_fault(&ChatLoadConfig { members: 700, publishers: 3, rooms: 3, ..plan(&server.target) });
    }
}

#[test]
fn a_run_without_any_member_is_an_error() {
    let (free_addr, _socket) = refusing(Type::STREAM);
    let error = run(&plan(&Endpoint::Tcp(free_addr)), &mut ()).unwrap_err();
    assert!(
        matches!(&error, LoadError::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused),
        "{error}"
    );
    let server = Server::start(Fault::NickTaken);
    let one = ChatLoadConfig { members: 1, publishers: 1, ..plan(&server.target) };
    assert!(run(&one, &mut ()).is_ok(), "the fault concerns the second member only");
}

#[test]
fn an_echo_server_is_rejected() {
    let target = crate::servers::tcp(crate::servers::echo);
    let error = run(&ChatLoadConfig { reply_timeout: short_timeout(), ..plan(&target) }, &mut ()).unwrap_err();
    assert!(matches!(&error, LoadError::Connect(_)), "{error}");
}

/// Each member receives zeros without end, which are empty frames.
#[test]
fn a_flood_does_not_stop_the_run() {
    let target = crate::servers::tcp(|mut stream| while stream.write_all(&[0; 16 * 1024]).is_ok() {});
    let error = run(&ChatLoadConfig { reply_timeout: short_timeout(), ..plan(&target) }, &mut ()).unwrap_err();
    assert!(matches!(&error, LoadError::Connect(error) if error.kind() == std::io::ErrorKind::TimedOut), "{error}");
}

#[test]
fn the_longest_durations_do_not_overflow() {
    let server = Server::start(Fault::None);
    run_without_fault(&ChatLoadConfig { reply_timeout: Duration::MAX, ..plan(&server.target) });
    for (warm_up, duration) in [(Duration::MAX, Duration::from_secs(1)), (Duration::ZERO, Duration::MAX)] {
        let plan = ChatLoadConfig { warm_up, duration, ..plan(&server.target) };
        let has_joined = |progress: &LoadProgress| progress.phase != LoadPhase::Connecting;
        run(&plan, &mut StopWhen(has_joined)).unwrap();
    }
}

#[test]
fn an_invalid_config_is_rejected() {
    let target: Endpoint = "127.0.0.1:9".parse().unwrap();
    let plan = || plan(&target);
    for (plan, says) in [
        (ChatLoadConfig { members: 0, ..plan() }, "members: at least one"),
        (ChatLoadConfig { rooms: 0, ..plan() }, "rooms: 6 members need between 1 and 6 rooms"),
        (ChatLoadConfig { rooms: 7, ..plan() }, "rooms: 6 members need between 1 and 6 rooms"),
        (ChatLoadConfig { rooms: 3, ..plan() }, "publishers: each of the 3 rooms"),
        (ChatLoadConfig { publishers: 7, ..plan() }, "publishers: 7 exceed the 6 members"),
        (ChatLoadConfig { payload_bytes: 39, ..plan() }, "payload: a text has between 40 (its stamp) and 4096 bytes"),
        (ChatLoadConfig { payload_bytes: 4097, ..plan() }, "payload: a text has"),
        (ChatLoadConfig { activity: Activity::Closed { in_flight: 0 }, ..plan() }, "in-flight: at least one"),
        (ChatLoadConfig { activity: Activity::Open { rate: f64::NAN }, ..plan() }, "rate: NaN messages a second"),
        (
            ChatLoadConfig { target: Endpoint::Udp("127.0.0.1:9".parse().unwrap()), ..plan() },
            "target: members need a connection",
        ),
        (ChatLoadConfig { activity: Activity::Churn, ..plan() }, "churn: members keep their connections"),
        (ChatLoadConfig { duration: Duration::ZERO, ..plan() }, "duration: "),
        (ChatLoadConfig { reply_timeout: Duration::ZERO, ..plan() }, "answer-timeout: "),
    ] {
        let Err(LoadError::Config(what)) = run(&plan, &mut ()) else { panic!("{says}") };
        assert!(what.starts_with(says), "{what}");
    }
}

#[test]
fn deliveries_in_the_measured_time_count() {
    let server = Server::start(Fault::None);
    let plan = ChatLoadConfig { duration: UNTIL_STOPPED, ..plan(&server.target) };
    let outcome = run(&plan, &mut StopWhen(has_answers)).unwrap();
    assert!(outcome.messages > 0 && outcome.faults.is_none(), "{outcome:?}");
    assert_eq!(outcome.messages, outcome.answered);
}

#[test]
fn a_run_ended_early_has_no_faults() {
    let server = Server::start(Fault::None);
    for phase in [LoadPhase::Connecting, LoadPhase::WarmingUp, LoadPhase::Measuring] {
        let hour = Duration::from_hours(1);
        let plan = ChatLoadConfig {
            warm_up: if phase == LoadPhase::WarmingUp { hour } else { Duration::ZERO },
            duration: hour,
            ..plan(&server.target)
        };
        let outcome = run(&plan, &mut StopWhen(|progress: &LoadProgress| progress.phase == phase)).unwrap();
        assert!(outcome.workload.faults.is_none() && outcome.elapsed < guard(), "{phase:?}: {outcome:?}");
    }
}

/// The schedule continues while the server stalls, and the messages due then count.
#[test]
fn an_open_loop_counts_messages_due_in_a_stall() {
    let (stall, length) = (Stall::default(), Duration::from_millis(400));
    let server = Server::start_with(Fault::Stall, {
        let stall = stall.clone();
        move || stall.wait()
    });
    let activity = Activity::Open { rate: 200.0 };
    let plan = ChatLoadConfig { activity, reply_timeout: guard(), ..plan(&server.target) };
    let outcome = run(&plan, &mut EndStallWhen::new(stall, |stalled, _: &LoadProgress| stalled >= length)).unwrap();
    assert_eq!((outcome.due, outcome.workload.sent, outcome.messages), (60, 60, 360), "{outcome:?}");
    assert!(outcome.is_verified(), "{outcome:?}");
    // Messages due in the first 300 ms of the stall are more than 100 ms late; it begins with the
    // second.
    let late = outcome.latency.count_between(100_000_000, u64::MAX);
    assert!(late >= 300, "{late}: {outcome:?}");
}

/// The waiting times of undelivered messages count as latencies. Members receive the first few
/// messages of the warm-up and none after them.
#[test]
fn an_open_loop_counts_waits_without_delivery() {
    let warm_up = Duration::from_millis(200);
    let (outcome, _) = run_with_fault(Fault::SwallowAll, |plan| ChatLoadConfig {
        activity: Activity::Open { rate: 200.0 },
        reply_timeout: short_timeout(),
        warm_up,
        ..plan
    });
    // One more or less, because the measured time begins a little later.
    assert!((59..=61).contains(&outcome.due) && outcome.messages == 0, "{outcome:?}");
    assert_eq!(outcome.latency.len(), outcome.due * 6, "the warm-up does not count: {outcome:?}");
    assert!(outcome.latency.min() >= 1_900_000_000, "{outcome:?}");
    assert!(
        outcome.workload.faults.unsaid > outcome.due
            && outcome.workload.faults.total() == outcome.workload.faults.unsaid,
        "{outcome:?}"
    );
}
