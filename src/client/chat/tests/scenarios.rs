//! The behaviour that a user relies on, one scenario per test.

use std::time::Duration;

use super::fake_server::FakeServer;
use super::simulation::ChatSimulation;
use crate::client::chat::{ChatCommand, Ending, LOBBY, Notice, SessionOptions};
use crate::services::chat::wire::{ChatEvent, ChatRequest};

fn pending_pings(sim: &ChatSimulation) -> usize {
    sim.sent.iter().filter(|request| **request == ChatRequest::Ping).count()
}

#[test]
fn greeting_joins_rooms_and_speaks_in_the_last_one() {
    let mut sim = ChatSimulation::with_eva(&["tea", "coffee"]);
    sim.say("hi");
    sim.run_until_quiet();
    let names = sim.sent.iter().map(|request| match request {
        ChatRequest::Hello { nick } => format!("hello {nick}"),
        ChatRequest::Join { room, since } => format!("join {room} {since:?}"),
        ChatRequest::Say { room, text, .. } => format!("say {room} {text}"),
        other => format!("{other:?}"),
    });
    let first: Vec<_> = names.take(4).collect();
    assert_eq!(first, ["hello eva", "join coffee None", "join tea None", "say coffee hi"]);
    assert_eq!((sim.session.nick(), sim.session.current()), (Some("eva"), "coffee"));
    assert!(sim.notices.is_empty(), "{:?}", sim.notices);
}

#[test]
fn action_is_sent_as_one_and_a_text_that_looks_like_one_is_not() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.say("hi");
    sim.command(ChatCommand::Act("waves".to_owned()));
    sim.say("/me waves");
    sim.run_until_quiet();
    let said = sim.sent.iter().filter_map(|request| match request {
        ChatRequest::Say { text, action, .. } => Some((&**text, *action)),
        _ => None,
    });
    let expected = [("hi", None), ("waves", Some(true)), ("/me waves", Some(false))];
    assert_eq!(said.collect::<Vec<_>>(), expected);
}

#[test]
fn offered_nick_is_taken_and_reported() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.server.taken_nicks.extend(["eva".to_owned(), "eva2".to_owned()]);
    sim.run_until_quiet();
    assert_eq!(sim.session.nick(), Some("eva3"));
    assert_eq!(sim.notices, [Notice::NickTaken { requested: "eva".into(), assigned: Some("eva3".into()) }]);
    // After a reconnect the session requests the original nick again.
    sim.server.taken_nicks.clear();
    sim.disconnect();
    sim.run_until_quiet();
    assert_eq!(sim.session.nick(), Some("eva"));
}

#[test]
fn guest_learns_its_nick_from_the_first_join() {
    let mut sim = ChatSimulation::new(SessionOptions::default(), FakeServer::with_history(9));
    sim.run_until_quiet();
    assert_eq!(sim.session.nick(), None);
    sim.command(ChatCommand::Join("tea".into()));
    assert!(sim.session.is_identity_pending());
    sim.run_until_quiet();
    assert_eq!((sim.session.nick(), sim.session.current()), (Some("guest-1"), "tea"));
    assert!(!sim.session.is_identity_pending());
    sim.command(ChatCommand::Nick("eva".into()));
    sim.run_until_quiet();
    assert_eq!(sim.session.nick(), Some("eva"));
}

#[test]
fn missed_messages_follow_a_reconnect_and_are_counted() {
    let mut sim = ChatSimulation::with_eva(&["tea"]);
    sim.server.say("tea", "bo", "one");
    sim.run_until_quiet();
    sim.server.say("tea", "bo", "two");
    sim.run_until_quiet();
    sim.disconnect();
    assert!(
        matches!(&sim.notices[..], [Notice::Disconnected { retry_in, .. }] if *retry_in < Duration::from_millis(250))
    );
    sim.server.say("tea", "bo", "three");
    sim.server.say(LOBBY, "bo", "four");
    // `four` is the first message of a room without an earlier one.
    sim.run_until_quiet();
    assert_eq!(sim.notices[1..], [Notice::Reconnected { missed: Some(2) }]);
    assert_eq!((sim.ids("tea"), sim.ids(LOBBY)), (vec![2, 3], vec![1]));
    let rejoined = sim.shown.iter().filter(|event| matches!(event, ChatEvent::Joined { .. })).count();
    assert_eq!(rejoined, 1, "a rejoin is not shown");
}

#[test]
fn messages_that_the_server_no_longer_keeps_are_reported() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.server.say(LOBBY, "bo", "hi");
    sim.run_until_quiet();
    sim.disconnect();
    sim.server.history_len = 3;
    sim.server.say_times(LOBBY, "bo", "hi", 10);
    sim.run_until_quiet();
    assert!(sim.notices.contains(&Notice::Missing { room: LOBBY.into(), count: 7 }), "{:?}", sim.notices);
    assert!(sim.notices.contains(&Notice::Reconnected { missed: Some(3) }));
    assert_eq!(sim.ids(LOBBY), [1, 9, 10, 11]);

    // The session also detects a gap that the server does not announce.
    sim.disconnect();
    sim.server.hides_gaps = true;
    sim.server.say_times(LOBBY, "bo", "hi", 10);
    sim.run_until_quiet();
    assert_eq!(sim.ids(LOBBY), [1, 9, 10, 11, 19, 20, 21]);
    let missing = Notice::Missing { room: LOBBY.into(), count: 7 };
    assert_eq!(sim.notices.iter().filter(|notice| **notice == missing).count(), 2);
}

#[test]
fn restarted_server_shows_all_its_messages() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.server.say_times(LOBBY, "bo", "old", 5);
    sim.run_until_quiet();
    sim.restart();
    sim.server.say(LOBBY, "bo", "new");
    sim.server.say(LOBBY, "bo", "new");
    sim.run_until_quiet();
    assert!(sim.notices.contains(&Notice::ServerRestarted { room: LOBBY.into() }));
    assert_eq!(sim.ids(LOBBY), [1, 2, 3, 4, 5, 1, 2]);
}

#[test]
fn restart_is_detected_by_the_server_identity() {
    let mut sim = ChatSimulation::with_eva(&["tea"]);
    sim.server.announces_start = true;
    sim.run_until_quiet();
    sim.server.say_times(LOBBY, "bo", "old", 3);
    sim.run_until_quiet();
    sim.restart();
    sim.server.say_times(LOBBY, "bo", "new", 5);
    sim.run_until_quiet();
    assert_eq!(sim.ids(LOBBY), [1, 2, 3, 1, 2, 3, 4, 5]);
    let anew = |room: &str| Notice::ServerRestarted { room: room.into() };
    assert!(sim.notices.contains(&anew(LOBBY)) && !sim.notices.contains(&anew("tea")), "{:?}", sim.notices);
    // The same server process again: not a restart.
    sim.disconnect();
    sim.server.say(LOBBY, "bo", "newer");
    sim.run_until_quiet();
    assert_eq!(sim.ids(LOBBY), [1, 2, 3, 1, 2, 3, 4, 5, 6]);
    assert_eq!(sim.notices.iter().filter(|notice| **notice == anew(LOBBY)).count(), 1);
}

#[test]
fn unacked_message_is_resent_unless_it_was_seen() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.say("ok");
    sim.run_until_quiet();
    // This message arrives, and its acknowledgement is lost. The room already has one with the
    // same text.
    sim.say("ok");
    assert!(sim.transmit());
    // This message does not arrive.
    sim.say("lost");
    sim.disconnect();
    sim.run_until_quiet();
    assert_eq!((sim.times_stored("ok"), sim.times_stored("lost")), (2, 1));
    assert!(sim.notices.contains(&Notice::Resending { count: 1 }), "{:?}", sim.notices);
    assert!(sim.session.is_idle());
}

#[test]
fn message_to_a_room_that_rejected_the_join_is_not_sent() {
    let mut sim = ChatSimulation::with_eva(&["!closed"]);
    sim.run_until_quiet();
    sim.say("secret");
    sim.command(ChatCommand::Finish);
    sim.run_until_quiet();
    assert!(sim.server.rooms.is_empty(), "{:?}", sim.server.rooms);
    assert_eq!(sim.ending, Some(Ending::Finished { rejected: 2, unconfirmed: 0 }));
}

#[test]
fn thousand_messages_are_paced_by_the_rate_limit() {
    let mut server = FakeServer::with_history(9);
    server.rate_limit = Some((20, 5));
    let mut sim = ChatSimulation::new(SessionOptions { nick: Some("eva".into()), ..SessionOptions::default() }, server);
    let started_at = sim.now;
    let mut message = 0;
    while message < 1000 || !sim.session.is_idle() {
        while message < 1000 && sim.session.can_accept_command() {
            message += 1;
            sim.say(&message.to_string());
        }
        sim.exchange();
        sim.advance(Duration::from_secs(1));
    }
    let texts: Vec<_> = sim.server.rooms[LOBBY].iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(texts, (1..=1000).map(|number| number.to_string()).collect::<Vec<_>>());
    // The server would have panicked at a flood. The duration shows that the limiter wastes no
    // time.
    let took = sim.now.saturating_sub(started_at).as_secs_f64();
    assert!((49.0..51.0).contains(&took), "{took}");
}

#[test]
fn silent_server_is_pinged_and_then_dropped() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    let (started_at, before) = (sim.now, pending_pings(&sim));
    while sim.notices.is_empty() {
        sim.advance(Duration::from_secs(100));
        assert!(sim.now <= started_at + Duration::from_mins(1), "the timeout is too long");
    }
    assert_eq!(pending_pings(&sim), before + 1);
    assert!(
        matches!(&sim.notices[..], [Notice::Disconnected { reason, .. }] if reason == "no data from the server for 60 s")
    );
    // A server that answers the pings is kept.
    sim.run_until_quiet();
    sim.notices.clear();
    (0..5).for_each(|_| sim.run_until_quiet());
    assert!(sim.notices.is_empty(), "{:?}", sim.notices);
}

#[test]
fn rate_limited_ping_is_queued_once() {
    let mut server = FakeServer::with_history(9);
    server.rate_limit = Some((1, 1));
    let mut sim = ChatSimulation::new(SessionOptions { nick: Some("eva".into()), ..SessionOptions::default() }, server);
    sim.run_until_quiet();
    sim.advance(Duration::from_secs(2));
    let before = pending_pings(&sim);
    (0..40).for_each(|number| sim.say(&number.to_string()));
    while sim.notices.is_empty() {
        sim.advance(Duration::from_secs(100));
        assert!(sim.session.next_timeout(sim.now) > Some(sim.now), "the timeout must be in the future");
    }
    assert_eq!(pending_pings(&sim), before + 1);
}

#[test]
fn finish_waits_for_every_answer() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.say("one");
    sim.say("bell \x07");
    sim.command(ChatCommand::Whisper { to: "bo".into(), text: "two".into() });
    sim.command(ChatCommand::Finish);
    sim.run_until_quiet();
    assert_eq!(sim.ending, Some(Ending::Finished { rejected: 1, unconfirmed: 0 }));
    assert_eq!(sim.times_stored("one"), 1);

    let mut sim = ChatSimulation::with_eva(&[]);
    sim.command(ChatCommand::Finish);
    sim.run_until_quiet();
    assert_eq!(sim.ending, Some(Ending::Finished { rejected: 0, unconfirmed: 0 }));
}

#[test]
fn finish_times_out_without_a_connection() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.say("one");
    sim.command(ChatCommand::Whisper { to: "bo".into(), text: "two".into() });
    sim.disconnect();
    sim.command(ChatCommand::Finish);
    let started_at = sim.now;
    while sim.ending.is_none() {
        // Each connection attempt fails.
        if std::mem::take(&mut sim.is_connecting) {
            sim.session.handle_disconnected("no connection", sim.now);
        }
        sim.advance(Duration::from_secs(1));
        assert!(sim.now <= started_at + Duration::from_secs(31));
    }
    assert_eq!(sim.ending, Some(Ending::Finished { rejected: 0, unconfirmed: 2 }));
    assert!(sim.notices.contains(&Notice::Unconfirmed { count: 1 }));
}

#[test]
fn single_connection_does_not_reconnect() {
    let options = SessionOptions { single_connection: true, ..SessionOptions::default() };
    let mut sim = ChatSimulation::new(options, FakeServer::with_history(9));
    sim.run_until_quiet();
    sim.disconnect();
    assert_eq!(sim.ending, Some(Ending::Disconnected("connection lost".into())));
    assert_eq!(sim.session.next_timeout(sim.now), None);
}

#[test]
fn lobby_stays_left_after_a_reconnect() {
    let mut sim = ChatSimulation::with_eva(&["tea"]);
    sim.run_until_quiet();
    sim.command(ChatCommand::Leave(Some(LOBBY.into())));
    sim.run_until_quiet();
    assert_eq!(sim.session.rooms().collect::<Vec<_>>(), ["tea"]);
    sim.disconnect();
    sim.run_until_quiet();
    sim.server.say(LOBBY, "bo", "not for eva");
    sim.run_until_quiet();
    assert!(sim.ids(LOBBY).is_empty());
    assert_eq!(sim.session.rooms().collect::<Vec<_>>(), ["tea"]);
    sim.command(ChatCommand::Leave(None));
    sim.run_until_quiet();
    sim.say("to whom?");
    assert!(matches!(sim.notices.last(), Some(Notice::CommandReply(text)) if text.starts_with("not sent")));
}

#[test]
fn endless_list_is_followed_for_100_pages() {
    let mut sim = ChatSimulation::with_eva(&[]);
    sim.run_until_quiet();
    sim.command(ChatCommand::Who(None));
    (0..20).for_each(|_| sim.run_until_quiet());
    let list_pages_left = sim.sent.iter().filter(|request| matches!(request, ChatRequest::Who { .. })).count();
    assert_eq!(list_pages_left, 101);
}
