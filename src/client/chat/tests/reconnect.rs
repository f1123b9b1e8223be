//! Coming back to a server that sends what is new before it has heard who is there, and only once.

use std::time::Duration;

use super::super::{Action, Ending, Session, Wishes};
use crate::services::chat::wire::Event;

const NOW: Duration = Duration::ZERO;

fn welcome(server: &'static str) -> Event<'static> {
    let rooms = vec!["lobby".into()];
    Event::Welcome { nick: "eva".into(), rooms, messages_per_second: None, burst: None, server: Some(server.into()) }
}

fn message(id: u64) -> Event<'static> {
    Event::Message { room: "lobby".into(), id, from: "bo".into(), text: "hi".into(), at: "".into() }
}

/// The ids that are shown when a connection to `server` brings `early` before its welcome and `replayed` after it.
fn shown(session: &mut Session, server: &'static str, early: &[u64], replayed: &[u64]) -> Vec<u64> {
    session.handle_connected(NOW);
    let joined = Event::Joined { room: "lobby".into(), nick: "eva".into() };
    let events = early.iter().map(|id| message(*id)).chain([welcome(server), joined]);
    for event in events.chain(replayed.iter().map(|id| message(*id))).chain([Event::Pong]) {
        session.handle_event(event, NOW);
    }
    let mut ids = Vec::new();
    while let Some(action) = session.next_action() {
        if let Action::Show(Event::Message { id, .. }) = action {
            ids.push(id);
        }
    }
    session.handle_lost("cut", NOW);
    session.handle_timeout(Duration::from_hours(1));
    ids
}

#[test]
fn what_comes_before_the_welcome_is_neither_lost_nor_mistaken() {
    let mut session = Session::new(Wishes { nick: Some("eva".to_owned()), ..Wishes::default() });
    assert_eq!(shown(&mut session, "a", &[], &[1, 2]), [1, 2]);
    assert_eq!(shown(&mut session, "a", &[4], &[3]), [3, 4]);
    assert_eq!(shown(&mut session, "b", &[3, 4], &[1, 2]), [1, 2, 3, 4]);
}

#[test]
fn more_than_is_kept_before_the_welcome_is_asked_for_on_another_connection() {
    let mut session = Session::new(Wishes { nick: Some("eva".to_owned()), ..Wishes::default() });
    assert_eq!(shown(&mut session, "a", &[], &[1]), [1]);
    session.handle_connected(NOW);
    for id in 2..=4098 {
        session.handle_event(message(id), NOW);
    }
    let actions: Vec<_> = std::iter::from_fn(|| session.next_action()).collect();
    assert!(actions.contains(&Action::Disconnect) && !actions.iter().any(|it| matches!(it, Action::Show(_))));
    session.handle_timeout(Duration::from_hours(2));
    let replayed: Vec<_> = (2..=4098).collect();
    assert_eq!(shown(&mut session, "a", &[], &replayed), replayed);
}

fn actions(session: &mut Session) -> Vec<Action> {
    std::iter::from_fn(|| session.next_action()).collect()
}

fn eva(insists: bool) -> Session {
    Session::new(Wishes { nick: Some("eva".to_owned()), insists, ..Wishes::default() })
}

#[test]
fn what_the_server_dropped_is_asked_for_again() {
    let mut session = eva(false);
    assert_eq!(shown(&mut session, "a", &[], &[1]), [1]);
    session.handle_connected(NOW);
    for event in [welcome("a"), Event::Pong] {
        session.handle_event(event, NOW);
    }
    actions(&mut session);
    let missed = Event::Error {
        code: "missed".into(),
        text: "3 messages of lobby were missed".into(),
        room: Some("lobby".into()),
        first: Some(2),
        count: Some(3),
        offer: None,
        label: None,
    };
    session.handle_event(missed, NOW);
    assert_eq!(actions(&mut session).first(), Some(&Action::Disconnect));
    session.handle_timeout(Duration::from_hours(1));
    assert_eq!(actions(&mut session), [Action::Connect]);
    assert_eq!(shown(&mut session, "a", &[5], &[2, 3, 4]), [2, 3, 4, 5]);
}

#[test]
fn who_does_not_answer_a_greeting_is_no_chat_server() {
    let mut session = eva(false);
    session.handle_connected(NOW);
    assert_eq!(session.next_timeout(NOW), Some(Duration::from_secs(10)));
    session.handle_timeout(Duration::from_secs(10));
    let Some(Action::End(Ending::NoChat(why))) = actions(&mut session).pop() else { panic!("it goes on") };
    assert!(why.contains("10 s"), "{why}");
}

#[test]
fn nothing_is_said_under_another_name_than_the_one_insisted_on() {
    for insists in [true, false] {
        let mut session = eva(insists);
        session.handle_connected(NOW);
        let sent = actions(&mut session);
        let label = sent.iter().find_map(|action| match action {
            Action::Send(labelled) => labelled.label.clone(),
            _ => None,
        });
        let (code, text) = ("bad-nick".into(), "a nick has no colon in it".into());
        let refused = Event::Error { code, text, room: None, first: None, count: None, offer: None, label };
        session.handle_event(refused, NOW);
        let ends = actions(&mut session).iter().any(|action| matches!(action, Action::End(Ending::TurnedAway(_))));
        assert_eq!(ends, insists);
    }
}
