//! What a server says that is no answer, and what it refuses: when to come back, when to go, and what is still one's own.

use std::time::Duration;

use super::fake_server::{Server, error};
use super::simulation::World;
use crate::client::chat::{Command, Ending, LOBBY, Notice, Wishes};
use crate::services::chat::wire::{Event, Request};

fn hellos(world: &World) -> usize {
    world.sent.iter().filter(|request| matches!(request, Request::Hello { nick } if nick == "eva")).count()
}

#[test]
fn a_full_server_is_tried_again_under_the_same_name() {
    let mut server = Server::keeping(9);
    server.turns_away = Some("too-many");
    let mut world = World::new(Wishes { nick: Some("eva".into()), ..Wishes::default() }, server);
    for _ in 0..3 {
        world.hear_all();
        world.lose();
        world.pass(Duration::from_secs(100));
        world.connect();
    }
    assert_eq!(world.shown.iter().filter(|event| matches!(event, Event::Error { .. })).count(), 3);
    world.server.turns_away = None;
    world.lose();
    world.settle();
    assert_eq!((world.session.nick(), hellos(&world)), (Some("eva"), 5));
    world.command(Command::Finish);
    world.settle();
    assert_eq!(world.ended, Some(Ending::Finished { refused: 0, lost: 0 }), "to be turned away is no refusal");
}

#[test]
fn the_end_comes_though_a_full_server_never_lets_one_in() {
    for (nick, code) in [(Some("eva".to_owned()), "too-many"), (None, "too-many"), (Some("eva".to_owned()), "strange")]
    {
        let mut server = Server::keeping(9);
        server.turns_away = Some(code);
        let mut world = World::new(Wishes { nick, ..Wishes::default() }, server);
        world.say("hi");
        world.command(Command::Finish);
        let begun = world.now;
        while world.ended.is_none() {
            world.hear_all();
            world.lose();
            world.pass(Duration::from_secs(100));
            world.connect();
            assert!(world.now <= begun + Duration::from_secs(31), "it never ends");
        }
        assert!(matches!(world.ended, Some(Ending::Finished { lost: 1, .. })), "{:?}", world.ended);
    }
}

#[test]
fn an_error_that_answers_nothing_takes_no_nick_away() {
    let mut server = Server::keeping(9);
    server.turns_away = Some("strange");
    let mut world = World::new(Wishes { nick: Some("eva".into()), ..Wishes::default() }, server);
    world.settle();
    world.lose();
    world.settle();
    assert_eq!((world.session.nick(), hellos(&world)), (Some("eva"), 2));
}

#[test]
fn who_is_sent_away_does_not_come_back() {
    let mut server = Server::keeping(9);
    server.turns_away = Some("banned");
    let mut world = World::new(Wishes { nick: Some("eva".into()), ..Wishes::default() }, server);
    world.settle();
    assert_eq!(world.ended, Some(Ending::TurnedAway("no".into())));
    assert!(matches!(world.shown[..], [Event::Error { .. }]), "{:?}", world.shown);

    let mut world = World::with_eva(&[]);
    world.settle();
    world.server.tell(Event::Bye { reason: "shutting down".into() });
    world.settle();
    assert_eq!(world.ended, None);
    world.server.tell(Event::Bye { reason: "kicked by the operator".into() });
    world.settle();
    assert_eq!(world.ended, Some(Ending::TurnedAway("kicked by the operator".into())));
    assert!(matches!(world.shown.last(), Some(Event::Bye { .. })), "{:?}", world.shown);
}

#[test]
fn a_server_that_has_lost_count_has_refused_nothing() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.server.tell(error("missed", None, None, Some(3)));
    world.command(Command::Finish);
    world.settle();
    assert!(world.shown.contains(&error("missed", None, None, Some(3))));
    assert_eq!(world.ended, Some(Ending::Finished { refused: 0, lost: 0 }));
}

#[test]
fn what_waits_when_there_is_no_more_patience_is_counted() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.say("one");
    world.command(Command::Whisper { to: "bo".into(), text: "two".into() });
    assert_eq!(world.session.so_far(), Ending::Finished { refused: 0, lost: 2 });
    world.lose();
    world.command(Command::Whisper { to: "bo".into(), text: "three".into() });
    assert_eq!(world.session.so_far(), Ending::Finished { refused: 0, lost: 3 });
    world.settle();
    // Of the whisper that was lost with the connection, nobody knows.
    assert_eq!(world.session.so_far(), Ending::Finished { refused: 0, lost: 1 });
}

#[test]
fn a_room_may_be_entered_again_before_it_is_left() {
    let mut world = World::with_eva(&["tea"]);
    world.server.say("tea", "bo", "one");
    world.settle();
    world.server.say("tea", "bo", "two");
    world.settle();
    world.command(Command::Leave(Some("tea".into())));
    assert_eq!(world.session.rooms().collect::<Vec<_>>(), [LOBBY]);
    world.command(Command::Join("tea".into()));
    world.say("back");
    world.settle();
    assert_eq!(world.times_said("back"), 1, "{:?}", world.shown);
    assert_eq!((world.session.current(), world.ids("tea").last()), ("tea", Some(&3)));
    // And once more, in one breath; what was said between is nobody's business here, and no gap.
    world.command(Command::Leave(None));
    assert!(world.transmit());
    world.server.say_often("tea", "bo", "not for eva", 5);
    world.command(Command::Join("tea".into()));
    world.settle();
    world.server.say("tea", "bo", "for eva");
    world.settle();
    assert_eq!((world.ids("tea"), &world.told[..]), (vec![2, 3, 9], &[][..]));
    // The last word counts.
    world.command(Command::Leave(None));
    world.command(Command::Join("tea".into()));
    world.command(Command::Leave(None));
    world.settle();
    assert_eq!(world.session.rooms().collect::<Vec<_>>(), [LOBBY]);
    assert!(world.session.is_idle());
}

#[test]
fn a_room_that_was_being_left_is_not_entered_by_coming_back() {
    let mut world = World::with_eva(&["tea"]);
    world.settle();
    world.say("said, and not acknowledged");
    world.command(Command::Leave(None));
    world.lose();
    world.settle();
    assert_eq!(world.times_said("said, and not acknowledged"), 1);
    assert_eq!(world.session.rooms().collect::<Vec<_>>(), [LOBBY]);
    world.command(Command::Join("tea".into()));
    world.settle();
    world.command(Command::Leave(None));
    world.lose();
    let joins = |world: &World| {
        world.sent.iter().filter(|it| matches!(it, Request::Join { room, .. } if room == "tea")).count()
    };
    let before = joins(&world);
    world.settle();
    assert_eq!((joins(&world), world.session.rooms().collect::<Vec<_>>()), (before, vec![LOBBY]));
    assert!(!world.told.iter().any(|notice| matches!(notice, Notice::Missing { .. })));
}
