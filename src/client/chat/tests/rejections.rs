//! Errors of the server: which end the session, which cause a reconnect, and which change nothing.

use std::time::Duration;

use super::fake_server::{FakeServer, error};
use super::simulation::ChatSimulation;
use crate::client::chat::{ChatCommand, Ending, LOBBY, Notice, SessionOptions};
use crate::frame::FrameError;
use crate::service::{CloseReason, OutputBacklog};
use crate::services::chat::wire::{ChatEvent, ChatRequest};

fn hellos(sim: &ChatSimulation) -> usize {
    sim.sent.iter().filter(|request| matches!(request, ChatRequest::Hello { nick } if nick == "eva")).count()
}

#[test]
fn full_server_is_retried_with_the_same_nick() {
    let mut server = FakeServer::with_history(9);
    server.rejects_with = Some("too-many");
    let mut sim = ChatSimulation::new(SessionOptions { nick: Some("eva".into()), ..SessionOptions::default() }, server);
    for _ in 0..3 {
        sim.deliver_all();
        sim.disconnect();
        sim.advance(Duration::from_secs(100));
        sim.connect();
    }
    assert_eq!(sim.shown.iter().filter(|event| matches!(event, ChatEvent::Error { .. })).count(), 3);
    sim.server.rejects_with = None;
    sim.disconnect();
    sim.run_until_quiet();
    assert_eq!((sim.session.nick(), hellos(&sim)), (Some("eva"), 5));
    sim.command(ChatCommand::Finish);
    sim.run_until_quiet();
    assert_eq!(
        sim.ending,
        Some(Ending::Finished { rejected: 0, unconfirmed: 0 }),
        "a rejected connection is no request"
    );
}

#[test]
fn finish_ends_although_every_connection_is_rejected() {
    for (nick, code) in [(Some("eva".to_owned()), "too-many"), (None, "too-many"), (Some("eva".to_owned()), "strange")]
    {
        let mut server = FakeServer::with_history(9);
        server.rejects_with = Some(code);
        let mut sim = ChatSimulation::new(SessionOptions { nick, ..SessionOptions::default() }, server);
        sim.say("hi");
        sim.command(ChatCommand::Finish);
        let started_at = sim.now;
        while sim.ending.is_none() {
            sim.deliver_all();
            sim.disconnect();
            sim.advance(Duration::from_secs(100));
            sim.connect();
            assert!(sim.now <= started_at + Duration::from_secs(31), "the session does not end");
        }
        assert!(matches!(sim.ending, Some(Ending::Finished { unconfirmed: 1, .. })), "{:?}", sim.ending);
    }
}

#[test]
fn error_without_label_keeps_the_nick() {
    let mut server = FakeServer::with_history(9);
    server.rejects_with = Some("strange");
    let mut sim = ChatSimulation::new(SessionOptions { nick: Some("eva".into()), ..SessionOptions::default() }, server);
    sim.run_until_quiet();
    sim.disconnect();
    sim.run_until_quiet();
    assert_eq!((sim.session.nick(), hellos(&sim)), (Some("eva"), 2));
}

#[test]
fn banned_or_kicked_client_does_not_reconnect() {
    let mut server = FakeServer::with_history(9);
    server.rejects_with = Some("banned");
    let mut sim = ChatSimulation::new(SessionOptions { nick: Some("eva".into()), ..SessionOptions::default() }, server);
    sim.run_until_quiet();
    assert_eq!(sim.ending, Some(Ending::Rejected("no".into())));
    assert!(matches!(sim.shown[..], [ChatEvent::Error { .. }]), "{:?}", sim.shown);

    for reason in [
        "kicked by the operator".to_owned(),
        "kicked by the operator: spam".to_owned(),
        "this address is banned".to_owned(),
        "this address is banned: spam".to_owned(),
        unreadable_request(),
    ] {
        let mut sim = ChatSimulation::with_eva(&[]);
        sim.run_until_quiet();
        sim.server.send_event(ChatEvent::Bye { reason: reason.clone().into() });
        sim.run_until_quiet();
        assert_eq!(sim.ending, Some(Ending::Rejected(reason)));
        assert!(matches!(sim.shown.last(), Some(ChatEvent::Bye { .. })), "{:?}", sim.shown);
        assert!(sim.notices.is_empty(), "{:?}", sim.notices);
    }
}

/// Returns the reason that this crate's server gives for a request over its limit.
fn unreadable_request() -> String {
    let error = FrameError::TooLarge { declared_bytes: 5000, max_frame_bytes: 1024, looks_like: None };
    CloseReason::BadFrame(error).to_string()
}

#[test]
fn client_reconnects_after_any_other_bye() {
    let seconds = Duration::from_secs(60);
    for reason in [
        CloseReason::ShuttingDown,
        CloseReason::IdleTimeout(seconds),
        CloseReason::WriteTimeout(seconds),
        CloseReason::FrameTimeout { limit: seconds, looks_like: None },
        CloseReason::SlowConsumer(OutputBacklog::default()),
        CloseReason::MaxConnections(10),
        CloseReason::BufferBudget(1 << 20),
        CloseReason::NoThread,
        CloseReason::Service("flood".into()),
        CloseReason::Service("this address has 256 connections already".into()),
    ] {
        let mut sim = ChatSimulation::with_eva(&[]);
        sim.run_until_quiet();
        sim.server.send_event(ChatEvent::Bye { reason: reason.to_string().into() });
        sim.exchange();
        sim.disconnect();
        sim.run_until_quiet();
        assert_eq!((sim.ending.clone(), hellos(&sim)), (None, 2), "{reason}");
        assert_eq!(sim.notices.last(), Some(&Notice::Reconnected { missed: Some(0) }), "{reason}");
    }
}

#[test]
fn invalid_nick_that_is_not_required_makes_a_guest() {
    let mut server = FakeServer::with_history(9);
    server.refuses_nicks_with = Some("bad-nick");
    let mut sim =
        ChatSimulation::new(SessionOptions { nick: Some("e va".into()), ..SessionOptions::default() }, server);
    sim.say("hi");
    sim.run_until_quiet();
    assert_eq!(sim.notices, [Notice::NickRejected { requested: "e va".into() }]);
    assert_eq!(sim.times_stored("hi"), 1);
    sim.command(ChatCommand::Finish);
    sim.run_until_quiet();
    assert_eq!(sim.ending, Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
}

#[test]
fn missed_without_a_room_is_not_a_rejection() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.server.send_event(error("missed", None, None, Some(3)));
    sim.command(ChatCommand::Finish);
    sim.run_until_quiet();
    assert!(sim.shown.contains(&error("missed", None, None, Some(3))));
    assert_eq!(sim.ending, Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
}

#[test]
fn current_ending_counts_unconfirmed_messages() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.say("one");
    sim.command(ChatCommand::Whisper { to: "bo".into(), text: "two".into() });
    assert_eq!(sim.session.current_ending(), Ending::Finished { rejected: 0, unconfirmed: 2 });
    sim.disconnect();
    sim.command(ChatCommand::Whisper { to: "bo".into(), text: "three".into() });
    assert_eq!(sim.session.current_ending(), Ending::Finished { rejected: 0, unconfirmed: 3 });
    sim.run_until_quiet();
    // The whisper that was lost with the connection stays unconfirmed.
    assert_eq!(sim.session.current_ending(), Ending::Finished { rejected: 0, unconfirmed: 1 });
}

#[test]
fn room_may_be_joined_again_before_its_leave_is_confirmed() {
    let mut sim = ChatSimulation::with_eva(&["tea"]);
    sim.server.say("tea", "bo", "one");
    sim.run_until_quiet();
    sim.server.say("tea", "bo", "two");
    sim.run_until_quiet();
    sim.command(ChatCommand::Leave(Some("tea".into())));
    assert_eq!(sim.session.rooms().collect::<Vec<_>>(), [LOBBY]);
    sim.command(ChatCommand::Join("tea".into()));
    sim.say("back");
    sim.run_until_quiet();
    assert_eq!(sim.times_stored("back"), 1, "{:?}", sim.shown);
    assert_eq!((sim.session.current(), sim.ids("tea").last()), ("tea", Some(&3)));
    // A second leave and join without a wait in between: the messages in between are not a gap.
    sim.command(ChatCommand::Leave(None));
    assert!(sim.transmit());
    sim.server.say_times("tea", "bo", "not for eva", 5);
    sim.command(ChatCommand::Join("tea".into()));
    sim.run_until_quiet();
    sim.server.say("tea", "bo", "for eva");
    sim.run_until_quiet();
    assert_eq!((sim.ids("tea"), &sim.notices[..]), (vec![2, 3, 9], &[][..]));
    // The last of several commands counts.
    sim.command(ChatCommand::Leave(None));
    sim.command(ChatCommand::Join("tea".into()));
    sim.command(ChatCommand::Leave(None));
    sim.run_until_quiet();
    assert_eq!(sim.session.rooms().collect::<Vec<_>>(), [LOBBY]);
    assert!(sim.session.is_idle());
}

#[test]
fn room_being_left_is_not_joined_by_a_reconnect() {
    let mut sim = ChatSimulation::with_eva(&["tea"]);
    sim.run_until_quiet();
    sim.say("sent, and not acknowledged");
    sim.command(ChatCommand::Leave(None));
    sim.disconnect();
    sim.run_until_quiet();
    assert_eq!(sim.times_stored("sent, and not acknowledged"), 1);
    assert_eq!(sim.session.rooms().collect::<Vec<_>>(), [LOBBY]);
    sim.command(ChatCommand::Join("tea".into()));
    sim.run_until_quiet();
    sim.command(ChatCommand::Leave(None));
    sim.disconnect();
    let joins = |sim: &ChatSimulation| {
        sim.sent.iter().filter(|it| matches!(it, ChatRequest::Join { room, .. } if room == "tea")).count()
    };
    let before = joins(&sim);
    sim.run_until_quiet();
    assert_eq!((joins(&sim), sim.session.rooms().collect::<Vec<_>>()), (before, vec![LOBBY]));
    assert!(!sim.notices.iter().any(|notice| matches!(notice, Notice::Missing { .. })));
}
