//! Reconnects to a server that sends new messages before the greeting, and each message only once.

use std::time::Duration;

use super::super::{ChatSession, Ending, Notice, SessionAction, SessionOptions};
use crate::services::chat::wire::ChatEvent;

const NOW: Duration = Duration::ZERO;

fn welcome(server: &'static str) -> ChatEvent<'static> {
    let rooms = vec!["lobby".into()];
    ChatEvent::Welcome {
        nick: "eva".into(),
        rooms,
        messages_per_second: None,
        burst: None,
        server: Some(server.into()),
    }
}

fn message(id: u64) -> ChatEvent<'static> {
    let (room, from, text) = ("lobby".into(), "bo".into(), "hi".into());
    ChatEvent::Message { room, id, from, text, action: false, at: "".into() }
}

/// Connects, receives `early_messages` before the welcome and `replayed` after it, and disconnects.
/// Returns the ids shown.
fn shown(session: &mut ChatSession, server: &'static str, early_messages: &[u64], replayed: &[u64]) -> Vec<u64> {
    session.handle_connected(NOW);
    let joined = ChatEvent::Joined { room: "lobby".into(), nick: "eva".into() };
    let events = early_messages.iter().map(|id| message(*id)).chain([welcome(server), joined]);
    for event in events.chain(replayed.iter().map(|id| message(*id))).chain([ChatEvent::Pong]) {
        session.handle_event(event, NOW);
    }
    let mut ids = Vec::new();
    while let Some(action) = session.next_action() {
        if let SessionAction::Show(ChatEvent::Message { id, .. }) = action {
            ids.push(id);
        }
    }
    session.handle_disconnected("cut", NOW);
    session.handle_timeout(Duration::from_hours(1));
    ids
}

#[test]
fn messages_before_the_welcome_are_held_and_shown_in_order() {
    let mut session = ChatSession::new(SessionOptions { nick: Some("eva".to_owned()), ..SessionOptions::default() });
    assert_eq!(shown(&mut session, "a", &[], &[1, 2]), [1, 2]);
    assert_eq!(shown(&mut session, "a", &[4], &[3]), [3, 4]);
    assert_eq!(shown(&mut session, "b", &[3, 4], &[1, 2]), [1, 2, 3, 4]);
}

#[test]
fn too_many_messages_before_the_welcome_cause_a_reconnect() {
    let mut session = ChatSession::new(SessionOptions { nick: Some("eva".to_owned()), ..SessionOptions::default() });
    assert_eq!(shown(&mut session, "a", &[], &[1]), [1]);
    session.handle_connected(NOW);
    for id in 2..=4098 {
        session.handle_event(message(id), NOW);
    }
    let actions: Vec<_> = std::iter::from_fn(|| session.next_action()).collect();
    assert!(
        actions.contains(&SessionAction::Disconnect) && !actions.iter().any(|it| matches!(it, SessionAction::Show(_)))
    );
    session.handle_timeout(Duration::from_hours(2));
    let replayed: Vec<_> = (2..=4098).collect();
    assert_eq!(shown(&mut session, "a", &[], &replayed), replayed);
}

fn actions(session: &mut ChatSession) -> Vec<SessionAction> {
    std::iter::from_fn(|| session.next_action()).collect()
}

fn eva(require_nick: bool) -> ChatSession {
    ChatSession::new(SessionOptions { nick: Some("eva".to_owned()), require_nick, ..SessionOptions::default() })
}

#[test]
fn dropped_messages_are_requested_by_a_reconnect() {
    let mut session = eva(false);
    assert_eq!(shown(&mut session, "a", &[], &[1]), [1]);
    session.handle_connected(NOW);
    for event in [welcome("a"), ChatEvent::Pong] {
        session.handle_event(event, NOW);
    }
    actions(&mut session);
    let missed = ChatEvent::Error {
        code: "missed".into(),
        text: "3 messages of lobby were missed".into(),
        room: Some("lobby".into()),
        first: Some(2),
        count: Some(3),
        last: Some(4),
        offer: None,
        label: None,
    };
    session.handle_event(missed, NOW);
    assert_eq!(actions(&mut session).first(), Some(&SessionAction::Disconnect));
    session.handle_timeout(Duration::from_hours(1));
    assert_eq!(actions(&mut session), [SessionAction::Connect]);
    assert_eq!(shown(&mut session, "a", &[5], &[2, 3, 4]), [2, 3, 4, 5]);
}

fn guest() -> ChatSession {
    ChatSession::new(SessionOptions::default())
}

#[track_caller]
fn assert_not_a_chat_server(session: &mut ChatSession) {
    let Some(SessionAction::End(Ending::NotChatServer(reason))) = actions(session).pop() else { panic!("it goes on") };
    assert!(reason.contains("10s") || reason.ends_with("the server has never answered"), "{reason}");
}

#[test]
fn unanswered_greeting_means_not_a_chat_server() {
    for mut session in [eva(false), guest()] {
        session.handle_connected(NOW);
        assert_eq!(session.next_timeout(NOW), Some(Duration::from_secs(10)));
        session.handle_timeout(Duration::from_secs(10));
        assert_not_a_chat_server(&mut session);
    }
}

#[test]
fn peer_that_closes_without_an_event_is_not_a_chat_server() {
    for mut session in [eva(false), guest()] {
        let mut now = NOW;
        session.handle_connected(now);
        loop {
            session.handle_disconnected("connection lost", now);
            if session.next_timeout(now).is_none() {
                break assert_not_a_chat_server(&mut session);
            }
            now = session.next_timeout(now).unwrap();
            session.handle_timeout(now);
            assert_eq!(actions(&mut session).pop(), Some(SessionAction::Connect));
            session.handle_connected(now);
        }
        assert!(now < Duration::from_secs(10), "{now:?}");
    }
}

/// A server that is being restarted refuses connections, for longer than the greeting may take.
#[test]
fn failed_connects_after_a_lost_one_are_repeated() {
    let mut session = guest();
    session.handle_connected(NOW);
    session.handle_disconnected("connection lost", NOW);
    while let Some(due) = session.next_timeout(NOW).filter(|due| *due < Duration::from_mins(5)) {
        session.handle_timeout(due);
        session.handle_disconnected("no connection", due);
    }
    assert!(!actions(&mut session).iter().any(|action| matches!(action, SessionAction::End(_))));
}

#[test]
fn server_that_was_a_chat_server_is_one_after_a_reconnect() {
    for mut session in [eva(false), guest()] {
        session.handle_connected(NOW);
        session.handle_event(ChatEvent::Pong, NOW);
        session.handle_disconnected("cut", NOW);
        session.handle_timeout(Duration::from_hours(1));
        session.handle_connected(Duration::from_hours(1));
        actions(&mut session);
        session.handle_timeout(Duration::from_hours(1) + Duration::from_secs(10));
        let after = actions(&mut session);
        assert_eq!(after.first(), Some(&SessionAction::Disconnect));
        assert!(matches!(after.last(), Some(SessionAction::Notify(Notice::Disconnected { .. }))), "{after:?}");
    }
}

#[test]
fn greeting_timeout_is_an_option() {
    let options = SessionOptions { greeting_timeout: Duration::from_secs(2), ..SessionOptions::default() };
    let mut session = ChatSession::new(options);
    session.handle_connected(NOW);
    assert_eq!(session.next_timeout(NOW), Some(Duration::from_secs(2)));
}

#[test]
fn required_nick_that_is_invalid_ends_the_session() {
    for require_nick in [true, false] {
        let mut session = eva(require_nick);
        session.handle_connected(NOW);
        let sent = actions(&mut session);
        let label = sent.iter().find_map(|action| match action {
            SessionAction::Send(labelled) => labelled.label.clone(),
            _ => None,
        });
        let (code, text) = ("bad-nick".into(), "a nick has no colon in it".into());
        let rejected =
            ChatEvent::Error { code, text, room: None, first: None, count: None, last: None, offer: None, label };
        session.handle_event(rejected, NOW);
        let ends = actions(&mut session).iter().any(|action| matches!(action, SessionAction::End(Ending::Rejected(_))));
        assert_eq!(ends, require_nick);
    }
}
