//! What a user relies on, one scene each.

use std::time::Duration;

use super::fake_server::Server;
use super::simulation::World;
use crate::client::chat::{Command, Ending, LOBBY, Notice, Wishes};
use crate::services::chat::wire::{Event, Request};

fn pings(world: &World) -> usize {
    world.sent.iter().filter(|request| **request == Request::Ping).count()
}

#[test]
fn one_greets_enters_rooms_and_speaks_in_the_last() {
    let mut world = World::with_eva(&["tea", "coffee"]);
    world.say("hi");
    world.settle();
    let names = world.sent.iter().map(|request| match request {
        Request::Hello { nick } => format!("hello {nick}"),
        Request::Join { room, since } => format!("join {room} {since:?}"),
        Request::Say { room, text } => format!("say {room} {text}"),
        other => format!("{other:?}"),
    });
    let first: Vec<_> = names.take(4).collect();
    assert_eq!(first, ["hello eva", "join coffee None", "join tea None", "say coffee hi"]);
    assert_eq!((world.session.nick(), world.session.current()), (Some("eva"), "coffee"));
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn the_nick_that_is_offered_is_taken_and_said() {
    let mut world = World::with_eva(&[]);
    world.server.taken.extend(["eva".to_owned(), "eva2".to_owned()]);
    world.settle();
    assert_eq!(world.session.nick(), Some("eva3"));
    assert_eq!(world.told, [Notice::Renamed { wished: "eva".into(), nick: Some("eva3".into()) }]);
    // The one that was wished for is asked for again.
    world.server.taken.clear();
    world.lose();
    world.settle();
    assert_eq!(world.session.nick(), Some("eva"));
}

#[test]
fn a_guest_learns_its_name_from_the_first_room_it_enters() {
    let mut world = World::new(Wishes::default(), Server::keeping(9));
    world.settle();
    assert_eq!(world.session.nick(), None);
    world.command(Command::Join("tea".into()));
    assert!(world.session.is_settling());
    world.settle();
    assert_eq!((world.session.nick(), world.session.current()), (Some("guest-1"), "tea"));
    assert!(!world.session.is_settling());
    world.command(Command::Nick("eva".into()));
    world.settle();
    assert_eq!(world.session.nick(), Some("eva"));
}

#[test]
fn what_was_said_meanwhile_follows_and_is_counted() {
    let mut world = World::with_eva(&["tea"]);
    world.server.say("tea", "bo", "one");
    world.settle();
    world.server.say("tea", "bo", "two");
    world.settle();
    world.lose();
    assert!(matches!(&world.told[..], [Notice::Lost { again_in, .. }] if *again_in < Duration::from_millis(250)));
    world.server.say("tea", "bo", "three");
    world.server.say(LOBBY, "bo", "four");
    // The first message of a room that nothing was heard of.
    world.settle();
    assert_eq!(world.told[1..], [Notice::Back { missed: Some(2) }]);
    assert_eq!((world.ids("tea"), world.ids(LOBBY)), (vec![2, 3], vec![1]));
    let rejoined = world.shown.iter().filter(|event| matches!(event, Event::Joined { .. })).count();
    assert_eq!(rejoined, 1, "coming back is no news");
}

#[test]
fn what_the_server_no_longer_has_is_told() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.server.say(LOBBY, "bo", "hi");
    world.settle();
    world.lose();
    world.server.keep = 3;
    world.server.say_often(LOBBY, "bo", "hi", 10);
    world.settle();
    assert!(world.told.contains(&Notice::Missing { room: LOBBY.into(), count: 7 }), "{:?}", world.told);
    assert!(world.told.contains(&Notice::Back { missed: Some(3) }));
    assert_eq!(world.ids(LOBBY), [1, 9, 10, 11]);

    // A server that does not announce it costs no message.
    world.lose();
    world.server.is_silent_about_gaps = true;
    world.server.say_often(LOBBY, "bo", "hi", 10);
    world.settle();
    assert_eq!(world.ids(LOBBY), [1, 9, 10, 11, 19, 20, 21]);
    let missing = Notice::Missing { room: LOBBY.into(), count: 7 };
    assert_eq!(world.told.iter().filter(|notice| **notice == missing).count(), 2);
}

#[test]
fn a_server_that_began_anew_shows_all_it_has() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.server.say_often(LOBBY, "bo", "old", 5);
    world.settle();
    world.restart();
    world.server.say(LOBBY, "bo", "new");
    world.server.say(LOBBY, "bo", "new");
    world.settle();
    assert!(world.told.contains(&Notice::Anew { room: LOBBY.into() }));
    assert_eq!(world.ids(LOBBY), [1, 2, 3, 4, 5, 1, 2]);
}

#[test]
fn a_server_that_began_anew_is_known_by_its_word_however_much_it_has_said_since() {
    let mut world = World::with_eva(&["tea"]);
    world.server.tells_start = true;
    world.settle();
    world.server.say_often(LOBBY, "bo", "old", 3);
    world.settle();
    world.restart();
    world.server.say_often(LOBBY, "bo", "new", 5);
    world.settle();
    assert_eq!(world.ids(LOBBY), [1, 2, 3, 1, 2, 3, 4, 5]);
    let anew = |room: &str| Notice::Anew { room: room.into() };
    assert!(world.told.contains(&anew(LOBBY)) && !world.told.contains(&anew("tea")), "{:?}", world.told);
    // The same server again: nothing anew.
    world.lose();
    world.server.say(LOBBY, "bo", "newer");
    world.settle();
    assert_eq!(world.ids(LOBBY), [1, 2, 3, 1, 2, 3, 4, 5, 6]);
    assert_eq!(world.told.iter().filter(|notice| **notice == anew(LOBBY)).count(), 1);
}

#[test]
fn what_was_not_acknowledged_is_said_again_unless_it_is_seen_to_have_been_said() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.say("ok");
    world.settle();
    // It arrives, and its acknowledgement does not. The same text stands there already.
    world.say("ok");
    assert!(world.transmit());
    // This one does not even arrive.
    world.say("lost");
    world.lose();
    world.settle();
    assert_eq!((world.times_said("ok"), world.times_said("lost")), (2, 1));
    assert!(world.told.contains(&Notice::Again { count: 1 }), "{:?}", world.told);
    assert!(world.session.is_idle());
}

#[test]
fn nothing_is_said_to_a_room_that_did_not_let_one_in() {
    let mut world = World::with_eva(&["!closed"]);
    world.settle();
    world.say("secret");
    world.command(Command::Finish);
    world.settle();
    assert!(world.server.rooms.is_empty(), "{:?}", world.server.rooms);
    assert_eq!(world.ended, Some(Ending::Finished { refused: 2, lost: 0 }));
}

#[test]
fn a_thousand_lines_wait_for_their_turn() {
    let mut server = Server::keeping(9);
    server.allows = Some((20, 5));
    let mut world = World::new(Wishes { nick: Some("eva".into()), ..Wishes::default() }, server);
    let begun = world.now;
    let mut said = 0;
    while said < 1000 || !world.session.is_idle() {
        while said < 1000 && world.session.has_room() {
            said += 1;
            world.say(&said.to_string());
        }
        world.exchange();
        world.pass(Duration::from_secs(1));
    }
    let texts: Vec<_> = world.server.rooms[LOBBY].iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(texts, (1..=1000).map(|number| number.to_string()).collect::<Vec<_>>());
    // The server's own count has panicked at nothing; and no time was wasted.
    let took = world.now.saturating_sub(begun).as_secs_f64();
    assert!((49.0..51.0).contains(&took), "{took}");
}

#[test]
fn a_silent_server_is_asked_and_then_given_up() {
    let mut world = World::with_eva(&[]);
    world.settle();
    let (begun, before) = (world.now, pings(&world));
    while world.told.is_empty() {
        world.pass(Duration::from_secs(100));
        assert!(world.now <= begun + Duration::from_mins(1), "it waits too long");
    }
    assert_eq!(pings(&world), before + 1);
    assert!(matches!(&world.told[..], [Notice::Lost { reason, .. }] if reason == "nothing was heard for 60 s"));
    // One that answers is not.
    world.settle();
    world.told.clear();
    (0..5).for_each(|_| world.settle());
    assert!(world.told.is_empty(), "{:?}", world.told);
}

#[test]
fn a_ping_that_may_not_be_sent_yet_is_asked_for_once() {
    let mut server = Server::keeping(9);
    server.allows = Some((1, 1));
    let mut world = World::new(Wishes { nick: Some("eva".into()), ..Wishes::default() }, server);
    world.settle();
    world.pass(Duration::from_secs(2));
    let before = pings(&world);
    (0..40).for_each(|number| world.say(&number.to_string()));
    while world.told.is_empty() {
        world.pass(Duration::from_secs(100));
        assert!(world.session.next_timeout(world.now) > Some(world.now), "it spins");
    }
    assert_eq!(pings(&world), before + 1);
}

#[test]
fn the_end_waits_for_every_answer() {
    let mut world = World::with_eva(&[]);
    world.say("one");
    world.say("bell \x07");
    world.command(Command::Whisper { to: "bo".into(), text: "two".into() });
    world.command(Command::Finish);
    world.settle();
    assert_eq!(world.ended, Some(Ending::Finished { refused: 1, lost: 0 }));
    assert_eq!(world.times_said("one"), 1);

    let mut world = World::with_eva(&[]);
    world.command(Command::Finish);
    world.settle();
    assert_eq!(world.ended, Some(Ending::Finished { refused: 0, lost: 0 }));
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.say("one");
    world.command(Command::Whisper { to: "bo".into(), text: "two".into() });
    world.lose();
    world.command(Command::Finish);
    let begun = world.now;
    while world.ended.is_none() {
        // Nobody answers the telephone.
        if std::mem::take(&mut world.dialling) {
            world.session.handle_lost("no connection", world.now);
        }
        world.pass(Duration::from_secs(1));
        assert!(world.now <= begun + Duration::from_secs(31));
    }
    assert_eq!(world.ended, Some(Ending::Finished { refused: 0, lost: 2 }));
    assert!(world.told.contains(&Notice::Unsure { count: 1 }));
}

#[test]
fn who_wants_no_second_connection_gets_none() {
    let wishes = Wishes { once: true, ..Wishes::default() };
    let mut world = World::new(wishes, Server::keeping(9));
    world.settle();
    world.lose();
    assert_eq!(world.ended, Some(Ending::Lost("connection lost".into())));
    assert_eq!(world.session.next_timeout(world.now), None);
}

#[test]
fn who_left_the_lobby_stays_out_of_it() {
    let mut world = World::with_eva(&["tea"]);
    world.settle();
    world.command(Command::Leave(Some(LOBBY.into())));
    world.settle();
    assert_eq!(world.session.rooms().collect::<Vec<_>>(), ["tea"]);
    world.lose();
    world.settle();
    world.server.say(LOBBY, "bo", "not for eva");
    world.settle();
    assert!(world.ids(LOBBY).is_empty());
    assert_eq!(world.session.rooms().collect::<Vec<_>>(), ["tea"]);
    world.command(Command::Leave(None));
    world.settle();
    world.say("to whom?");
    assert!(matches!(world.told.last(), Some(Notice::Answer(text)) if text.starts_with("not said")));
}

#[test]
fn a_list_without_an_end_is_not_followed_for_ever() {
    let mut world = World::with_eva(&[]);
    world.settle();
    world.command(Command::Who(None));
    (0..20).for_each(|_| world.settle());
    let pages = world.sent.iter().filter(|request| matches!(request, Request::Who { .. })).count();
    assert_eq!(pages, 101);
}
