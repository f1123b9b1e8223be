//! The turn itself: budgets, the ready queue, events that are late, wrong or early, and polls that fail.

use std::io;
use std::time::Duration;

use super::{FRAMING, Rig, heard, wire};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::limits::Limits;
use crate::frame::encode;

/// More than one read takes.
const MORE_THAN_A_READ: usize = 3 * 256 * 1024;

#[test]
fn an_idle_loop_sleeps_without_end() {
    let mut rig = Rig::new(Limits::default());
    let _socket = rig.connect();
    assert_eq!(rig.settle(), None);
}

#[test]
fn a_busy_peer_gets_one_budget_a_turn_and_its_neighbour_the_next() {
    let mut rig = Rig::new(Limits::default());
    let (busy, other) = (rig.connect(), rig.connect());
    let frame = wire(["quiet ".to_owned() + &"x".repeat(994)]);
    busy.send(&frame.repeat(MORE_THAN_A_READ / frame.len()));
    other.send(&wire(["hello"]));
    let before = busy.unread();
    let polled = rig.turn();
    assert_eq!(polled.events, 2);
    let unread = busy.unread();
    assert!(unread > 0 && unread < before, "the first turn read {} bytes", before - unread);
    assert_eq!(heard(&other), ["hello"], "the neighbour was served in the same turn");
    let polled = rig.turn();
    assert_eq!((polled.events, polled.timeout), (0, Some(Duration::ZERO)), "the rest needs no event");
    assert!(busy.unread() < unread);
    rig.settle();
    assert_eq!(busy.unread(), 0);
}

#[test]
fn a_budget_of_one_frame_makes_two_peers_alternate_frame_by_frame() {
    let mut rig = Rig::new(Limits { read_budget_bytes: 7, ..Limits::default() });
    let (a, b) = (rig.connect(), rig.connect());
    for socket in [&a, &b] {
        socket.send(&wire(["first", "later", "third"]));
        socket.finish();
    }
    for answers in 1..3 {
        rig.turn();
        assert_eq!((heard(&a).len(), heard(&b).len()), (answers, answers), "turn {answers}");
    }
    rig.settle();
    assert_eq!(heard(&a), ["first", "later", "third"]);
    assert!(a.is_closed() && b.is_closed());
}

#[test]
fn a_budget_that_ends_exactly_where_the_input_does_loses_no_later_input() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let frame = wire(["quiet ".to_owned() + &"x".repeat(1016)]);
    assert_eq!(frame.len(), 1024);
    socket.send(&frame.repeat(256));
    rig.turn();
    assert_eq!(socket.unread(), 0, "the read filled the buffer and emptied the socket");
    rig.settle();
    socket.send(&wire(["still there?"]));
    rig.settle();
    assert_eq!(heard(&socket), ["still there?"]);
}

#[test]
fn what_arrives_while_a_peer_waits_for_its_next_budget_is_read_in_order() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let mut bytes = Vec::new();
    for number in 0..600 {
        encode(FRAMING, format!("quiet {number:01000}").as_bytes(), &mut bytes).unwrap();
    }
    socket.send(&bytes);
    rig.turn();
    socket.send(&wire(["last"]));
    socket.finish();
    rig.settle();
    assert_eq!(heard(&socket), ["last"]);
    assert_eq!(rig.turn.desk.stats.frames_in, 601);
}

#[test]
fn an_event_for_a_connection_that_has_gone_reaches_nobody() {
    let mut rig = Rig::new(Limits::default());
    let gone = rig.connect();
    let key = rig.world.key_of(&gone).unwrap();
    gone.finish();
    rig.settle();
    let heir = rig.connect();
    heir.script_reads([ScriptedCall::Fails(io::ErrorKind::Other)]);
    rig.world.report(key, true, true, true);
    rig.turn();
    assert!(!heir.is_closed(), "the next tenant of the slot was not touched");
    assert_eq!(rig.turn.conns.len(), 1);
}

#[test]
fn an_event_without_anything_behind_it_does_no_harm() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let key = rig.world.key_of(&socket).unwrap();
    for (readable, writable, end) in [(true, false, false), (false, true, false), (true, true, true)] {
        rig.world.report(key, readable, writable, end);
        rig.settle();
    }
    socket.send(&wire(["hello"]));
    rig.settle();
    assert_eq!(heard(&socket), ["hello"]);
}

#[test]
fn several_events_for_one_connection_in_one_poll_step_it_once() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let key = rig.world.key_of(&socket).unwrap();
    socket.send(&wire(["hello"]));
    rig.world.report(key, true, false, false);
    rig.world.report(key, false, true, false);
    rig.turn();
    assert_eq!(heard(&socket), ["hello"]);
}

#[test]
fn an_interrupted_poll_polls_again_before_anybody_is_late() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let request = wire(["hello"]);
    socket.send(&request[..1]);
    rig.settle();
    // The process is stopped for longer than the peer has, and the rest arrives meanwhile.
    socket.send(&request[1..]);
    rig.world.advance(2 * Limits::default().frame_timeout);
    rig.world.fail_poll(io::ErrorKind::Interrupted);
    rig.turn();
    rig.settle();
    assert_eq!(heard(&socket), ["hello"]);
}

#[test]
fn nobody_is_late_while_events_are_still_to_be_reported() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    let request = wire(["hello"]);
    socket.send(&request[..1]);
    rig.settle();
    socket.send(&request[1..]);
    rig.world.advance(2 * Limits::default().frame_timeout);
    rig.world.fill_polls(1);
    rig.turn();
    rig.settle();
    assert_eq!(heard(&socket), ["hello"]);
}

#[test]
fn polls_that_are_always_full_do_not_put_deadlines_off_for_ever() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["hello"])[..1]);
    rig.settle();
    rig.world.advance(2 * Limits::default().frame_timeout);
    rig.world.fill_polls(5);
    for _ in 0..5 {
        rig.turn();
    }
    assert!(socket.is_shut_down());
}

#[test]
fn a_poll_that_fails_otherwise_ends_the_loop_with_what_the_system_said() {
    let rig = Rig::new(Limits::default());
    rig.world.fail_poll(io::ErrorKind::InvalidInput);
    let ended = rig.turn.run();
    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn a_message_posted_by_another_thread_is_handed_over_in_the_next_turn() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    rig.log();
    let handle = rig.handle.clone();
    let post = move |words: &str| handle.post(crate::service::ServiceId(0), Box::new(words.to_owned()));
    std::thread::spawn(move || post("all hello from afar").unwrap()).join().unwrap();
    rig.settle();
    assert_eq!(rig.log(), ["post nobody all hello from afar"]);
    assert_eq!(heard(&socket), ["hello from afar"]);
}

#[test]
fn messages_wait_up_to_their_limit_and_are_given_back_beyond_it() {
    let rig = Rig::new(Limits { max_queued_messages: 2, ..Limits::default() });
    let post = || rig.handle.post(crate::service::ServiceId(0), Box::new("quiet".to_owned()));
    post().unwrap();
    post().unwrap();
    let refused = post().unwrap_err();
    assert_eq!(refused.to_string(), "too many messages wait for the engine");
    assert_eq!(*refused.into_message().downcast::<String>().unwrap(), "quiet");
}

#[test]
fn a_message_that_finds_its_reader_gone_still_lets_the_others_know_in_the_same_turn() {
    let mut rig = Rig::new(Limits::default());
    let (speaker, broken, witness) = (rig.connect(), rig.connect(), rig.connect());
    rig.puppet.strings().announces = true;
    broken.script_writes([ScriptedCall::Fails(io::ErrorKind::BrokenPipe)]);
    speaker.send(&wire(["tell 1 hello"]));
    rig.turn();
    assert_eq!(heard(&witness), ["1 left"]);
    assert_eq!(heard(&speaker), ["1 left"]);
}
