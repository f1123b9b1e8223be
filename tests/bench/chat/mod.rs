//! The load on a chat: against a server without fault nothing is found, and whatever a server does wrong is found and named.

mod server;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use switchboard::Endpoint;
use switchboard::load::chat::{ChatActivity, ChatLoadConfig, ChatOutcome, FaultKind, run};
use switchboard::load::{LoadError, LoadObserver, LoadPhase, LoadProgress};

use crate::among_others;
use server::{Deed, Fault, Server};

fn plan(target: &Endpoint) -> ChatLoadConfig {
    ChatLoadConfig {
        target: target.clone(),
        members: 6,
        publishers: 2,
        rooms: 1,
        payload_bytes: 64,
        activity: ChatActivity::Closed { in_flight: 4 },
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(300),
        answer_timeout: Duration::from_secs(10),
    }
}

/// Runs a plan in which nothing may go wrong; for longer if a loaded machine gets nothing done.
fn flawless(plan: &ChatLoadConfig) -> ChatOutcome {
    let _turn = among_others();
    let mut plan = plan.clone();
    let outcome = loop {
        let outcome = run(&plan, &mut ()).unwrap();
        assert!(outcome.is_verified(), "{outcome:?}");
        if outcome.deliveries > 0 || plan.activity == ChatActivity::Idle {
            break outcome;
        }
        assert!(plan.duration < Duration::from_mins(1), "nothing was delivered: {outcome:?}");
        plan.duration *= 4;
    };
    assert_eq!((outcome.elapsed, outcome.members), (plan.duration, plan.members));
    assert_eq!(outcome.joins.len(), plan.members as u64);
    assert_eq!(outcome.latency.len(), outcome.deliveries);
    assert_eq!(outcome.bytes, outcome.deliveries * plan.payload_bytes as u64);
    outcome
}

#[test]
fn everybody_hears_everything_once_in_order() {
    let server = Server::start(Fault::None);
    for (publishers, in_flight, payload_bytes) in [(1, 1, 40), (1, 16, 64), (6, 4, 4096)] {
        let activity = ChatActivity::Closed { in_flight };
        let outcome = flawless(&ChatLoadConfig { publishers, activity, payload_bytes, ..plan(&server.target) });
        assert_eq!(outcome.received, outcome.ids * 6, "all of them count for the proof");
        assert!(outcome.received >= outcome.deliveries && outcome.delivered == outcome.deliveries);
        assert_eq!(outcome.samples.iter().map(|sample| sample.messages).sum::<u64>(), outcome.deliveries);
        // Those under way at the end of the measured time have come to some and not to others.
        let awaited = in_flight as u64 * 6;
        assert!(outcome.deliveries.abs_diff(outcome.messages * 6) <= awaited, "{outcome:?}");
    }
}

#[test]
fn each_room_has_its_own_ids_and_its_own_publishers() {
    let server = Server::start(Fault::None);
    let outcome = flawless(&ChatLoadConfig { members: 10, rooms: 3, publishers: 5, ..plan(&server.target) });
    // Rooms of 4, 3 and 3.
    assert!(outcome.received > outcome.ids * 3 && outcome.received < outcome.ids * 4, "{outcome:?}");
}

#[test]
fn an_open_loop_says_what_is_due_and_no_more() {
    let server = Server::start(Fault::None);
    for (rooms, publishers) in [(1, 1), (2, 3)] {
        let activity = ChatActivity::Open { rate: 200.0 };
        let outcome = flawless(&ChatLoadConfig { activity, rooms, publishers, ..plan(&server.target) });
        assert_eq!((outcome.due, outcome.messages, outcome.ids), (60, 60, 60));
        assert_eq!(outcome.deliveries, 60 * 6 / rooms as u64);
        assert_eq!(outcome.generator.send_lag.len(), 60);
    }
}

#[test]
fn idle_members_are_only_held() {
    let server = Server::start(Fault::None);
    let outcome = flawless(&ChatLoadConfig {
        activity: ChatActivity::Idle,
        publishers: 0,
        members: 200,
        rooms: 2,
        ..plan(&server.target)
    });
    assert_eq!((outcome.ids, outcome.received, outcome.messages), (0, 0, 0));
    assert!(outcome.joining > Duration::ZERO);
}

#[test]
fn members_are_many_and_the_second_run_meets_nobody_of_the_first() {
    let server = Server::start(Fault::None);
    for _ in 0..2 {
        flawless(&ChatLoadConfig { members: 700, publishers: 3, rooms: 3, ..plan(&server.target) });
    }
}

/// Again and again, until the server has done wrong.
fn faulty(fault: Fault, plan: impl Fn(ChatLoadConfig) -> ChatLoadConfig) -> (ChatOutcome, Deed) {
    let _turn = among_others();
    let server = Server::start(fault);
    let began = Instant::now();
    loop {
        let outcome = run(&plan(self::plan(&server.target)), &mut ()).unwrap();
        if let Some(deed) = server.deed() {
            assert_eq!(outcome.is_verified(), fault == Fault::Stall, "{fault:?}: {outcome:?}");
            return (outcome, deed);
        }
        assert!(outcome.is_verified() && began.elapsed() < Duration::from_mins(1), "{fault:?}: {outcome:?}");
    }
}

/// What never comes is waited for; everything else takes no time.
const IN_VAIN: Duration = Duration::from_secs(2);

fn found(fault: Fault) -> (ChatOutcome, Deed) {
    faulty(fault, |plan| ChatLoadConfig { answer_timeout: IN_VAIN, ..plan })
}

/// One fault and no other was found, and named.
fn is_found(fault: Fault, kind: FaultKind) {
    let (outcome, deed) = found(fault);
    let counted = outcome.faults.named().into_iter().filter(|(_, count)| *count > 0).collect::<Vec<_>>();
    assert_eq!(counted.len(), 1, "{fault:?} is {kind:?}, not {counted:?}: {outcome:?}");
    assert_eq!(outcome.faults.total(), 1, "{fault:?}: {:?}", outcome.faults);
    let [violation] = &outcome.violations[..] else { panic!("{fault:?}: {:?}", outcome.violations) };
    assert_eq!((violation.kind, &violation.room), (kind, &deed.room), "{fault:?}");
    assert_eq!((violation.member, violation.id), (deed.member, deed.id), "{fault:?}: {violation}");
}

#[test]
fn an_id_that_one_member_was_not_sent_is_missing() {
    is_found(Fault::Skip, FaultKind::Missing);
}

#[test]
fn an_id_that_one_member_was_sent_twice_is_duplicated() {
    is_found(Fault::Duplicate, FaultKind::Duplicated);
}

#[test]
fn an_id_that_one_member_was_sent_after_the_next_is_reordered() {
    is_found(Fault::Swap, FaultKind::Reordered);
}

#[test]
fn another_text_is_corrupted() {
    is_found(Fault::Corrupt, FaultKind::Corrupted);
    is_found(Fault::Retime, FaultKind::Corrupted);
    is_found(Fault::Impute, FaultKind::Corrupted);
}

#[test]
fn a_message_of_another_room_has_strayed() {
    let (outcome, deed) = faulty(Fault::Stray, |plan| ChatLoadConfig { rooms: 2, members: 2, ..plan });
    // It is said in both, and is no stray in the first.
    if deed.room == "bench-1" {
        assert_eq!((outcome.faults.strayed, outcome.faults.total()), (1, 1), "{outcome:?}");
        assert_eq!(outcome.violations[0].room, "bench-0");
    } else {
        assert_eq!((outcome.faults.duplicated, outcome.faults.total()), (1, 1), "{outcome:?}");
    }
    assert_eq!((outcome.violations[0].member, outcome.violations[0].id), (deed.member, deed.id));
}

#[test]
fn what_is_no_event_is_corrupted_and_told() {
    let (outcome, deed) = found(Fault::Babble);
    assert_eq!((outcome.faults.corrupted, outcome.faults.total()), (1, 1));
    assert_eq!((outcome.server_errors[0].code.as_str(), outcome.server_errors[0].member), ("garbled", deed.member));
}

#[test]
fn what_a_member_does_not_hear_to_the_end_is_missing() {
    let (outcome, deed) = found(Fault::Silence);
    let end = outcome.ids;
    assert_eq!(outcome.faults.missing, end - deed.id + 1, "{outcome:?}");
    assert_eq!(outcome.faults.total(), outcome.faults.missing);
    assert_eq!((outcome.violations[0].member, outcome.violations[0].id), (deed.member, deed.id));
}

#[test]
fn an_id_that_was_left_out_is_missing_for_everybody() {
    let (outcome, deed) = found(Fault::Jump);
    assert_eq!((outcome.faults.missing, outcome.faults.total()), (6, 6));
    assert!(outcome.violations.iter().all(|violation| violation.id == deed.id), "{:?}", outcome.violations);
    assert_eq!(outcome.violations.len(), 3, "the first few are named");
}

#[test]
fn what_was_said_and_came_to_nobody_is_unsaid() {
    let (outcome, deed) = found(Fault::Swallow);
    assert_eq!((outcome.faults.unsaid, outcome.faults.total()), (1, 1), "{outcome:?}");
    assert_eq!((outcome.violations[0].kind, outcome.violations[0].member), (FaultKind::Unsaid, deed.member));
}

#[test]
fn what_was_said_once_and_came_under_two_ids_is_misnumbered() {
    let (outcome, deed) = found(Fault::Repeat);
    assert_eq!((outcome.faults.misnumbered, outcome.faults.total()), (1, 1), "{outcome:?}");
    assert_eq!((outcome.violations[0].kind, outcome.violations[0].member), (FaultKind::Misnumbered, deed.member));
}

#[test]
fn a_publishers_messages_in_another_order_are_misnumbered() {
    let (outcome, deed) = found(Fault::Reverse);
    assert_eq!((outcome.faults.misnumbered, outcome.faults.total()), (1, 1), "{outcome:?}");
    assert_eq!(outcome.violations[0].member, deed.member);
}

#[test]
fn a_member_that_is_broken_off_is_counted_and_the_others_go_on() {
    let (outcome, _) = found(Fault::Close);
    assert_eq!((outcome.faults.broken, outcome.faults.total(), outcome.members), (1, 1, 5), "{outcome:?}");
    assert!(outcome.ids > 20, "{outcome:?}");
}

#[test]
fn goodbye_is_told_in_the_servers_words() {
    let (outcome, deed) = found(Fault::Bye);
    assert_eq!((outcome.faults.broken, outcome.faults.server_errors, outcome.faults.total()), (1, 1, 2), "{outcome:?}");
    let complaint = &outcome.server_errors[0];
    assert_eq!((complaint.code.as_str(), complaint.text.as_str()), ("bye", "you are too slow"));
    assert_eq!(complaint.member, deed.member);
}

#[test]
fn an_error_is_told_in_the_servers_words() {
    let (outcome, deed) = found(Fault::Flood);
    assert_eq!((outcome.faults.server_errors, outcome.faults.unsaid, outcome.faults.total()), (1, 1, 2), "{outcome:?}");
    assert_eq!((outcome.server_errors[0].code.as_str(), outcome.server_errors[0].member), ("flood", deed.member));
}

#[test]
fn who_is_not_let_in_is_refused_and_the_others_go_on() {
    for (fault, server_errors) in [(Fault::Taken, 1), (Fault::Mute, 0)] {
        let (outcome, _) = found(fault);
        assert_eq!((outcome.faults.refused, outcome.faults.server_errors), (1, server_errors), "{outcome:?}");
        assert_eq!((outcome.faults.total(), outcome.members), (1 + server_errors, 5));
        assert!(outcome.deliveries > 0 && outcome.received == outcome.ids * 5, "{outcome:?}");
    }
}

#[test]
fn where_nobody_gets_in_there_is_no_run() {
    let _turn = among_others();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(&plan(&Endpoint::Tcp(nobody)), &mut ()).unwrap_err();
    assert!(
        matches!(&error, LoadError::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused),
        "{error}"
    );
    let server = Server::start(Fault::Taken);
    let one = ChatLoadConfig { members: 1, publishers: 1, ..plan(&server.target) };
    assert!(run(&one, &mut ()).is_ok(), "the fault is the second's");
}

#[test]
fn an_echo_is_no_chat() {
    let _turn = among_others();
    let target = crate::servers::tcp(crate::servers::echo);
    let error = run(&ChatLoadConfig { answer_timeout: IN_VAIN, ..plan(&target) }, &mut ()).unwrap_err();
    assert!(matches!(&error, LoadError::Connect(_)), "{error}");
}

#[test]
fn what_cannot_be_done_is_refused() {
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
        (ChatLoadConfig { activity: ChatActivity::Closed { in_flight: 0 }, ..plan() }, "in-flight: at least one"),
        (ChatLoadConfig { activity: ChatActivity::Open { rate: f64::NAN }, ..plan() }, "rate: NaN messages a second"),
        (
            ChatLoadConfig { target: Endpoint::Udp("127.0.0.1:9".parse().unwrap()), ..plan() },
            "target: members need a connection",
        ),
        (ChatLoadConfig { duration: Duration::ZERO, ..plan() }, "duration: "),
        (ChatLoadConfig { answer_timeout: Duration::ZERO, ..plan() }, "answer-timeout: "),
    ] {
        let Err(LoadError::Config(what)) = run(&plan, &mut ()) else { panic!("{says}") };
        assert!(what.starts_with(says), "{what}");
    }
}

/// Ends a run in its first moment of a stage.
struct Impatient(LoadPhase);

impl LoadObserver for Impatient {
    fn on_progress(&mut self, progress: &LoadProgress) -> ControlFlow<()> {
        assert!((0.0..=1.0).contains(&progress.done), "{progress:?}");
        if progress.phase == self.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn who_ends_it_early_is_told_what_was_still_awaited_and_of_no_fault() {
    let _turn = among_others();
    let server = Server::start(Fault::None);
    for stage in [LoadPhase::Connecting, LoadPhase::WarmingUp, LoadPhase::Measuring] {
        let hour = Duration::from_hours(1);
        let plan = ChatLoadConfig {
            warm_up: if stage == LoadPhase::WarmingUp { hour } else { Duration::ZERO },
            duration: hour,
            ..plan(&server.target)
        };
        let outcome = run(&plan, &mut Impatient(stage)).unwrap();
        assert!(outcome.faults.is_none() && outcome.elapsed < Duration::from_mins(1), "{stage:?}: {outcome:?}");
    }
}

/// The timetable goes on while the server stands still, and what is due then is not left out.
#[test]
fn an_open_loop_counts_what_a_server_that_stalls_kept_waiting() {
    let (outcome, _) = faulty(Fault::Stall, |plan| ChatLoadConfig {
        activity: ChatActivity::Open { rate: 200.0 },
        answer_timeout: Duration::from_mins(1),
        ..plan
    });
    assert_eq!((outcome.due, outcome.messages, outcome.deliveries), (60, 60, 360), "{outcome:?}");
    assert!(outcome.is_verified(), "{outcome:?}");
    // For half of 400 ms some are late by more than 100.
    let late = outcome.latency.count_between(100_000_000, u64::MAX);
    assert!(late >= 100, "{late}: {outcome:?}");
}

/// What never came was waited for, and would otherwise be left out of the latencies: nine are heard in the warm-up, and none after it.
#[test]
fn an_open_loop_counts_how_long_it_waited_in_vain() {
    let warm_up = Duration::from_millis(200);
    let (outcome, _) = faulty(Fault::Hush, |plan| ChatLoadConfig {
        activity: ChatActivity::Open { rate: 200.0 },
        answer_timeout: IN_VAIN,
        warm_up,
        ..plan
    });
    // One more or less, as the measured time begins a moment later.
    assert!((59..=61).contains(&outcome.due) && outcome.deliveries == 0, "{outcome:?}");
    assert_eq!(outcome.latency.len(), outcome.due * 6, "those of the warm-up do not count: {outcome:?}");
    assert!(outcome.latency.min() >= 1_900_000_000, "{outcome:?}");
    assert!(outcome.faults.unsaid > outcome.due && outcome.faults.total() == outcome.faults.unsaid, "{outcome:?}");
}
