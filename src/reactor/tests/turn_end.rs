//! The end of a turn: what was collected over it, in one write for each; and what becomes of who reads too slowly for that.

use std::time::Duration;

use super::{LINES, RAW, Rig, heard, wire};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::{Limits, SlowConsumer};
use crate::service::ServiceId;

/// So many messages of one turn.
const SAID: usize = 16;

/// Three collected messages fill a queue.
fn limits(slow_consumer: SlowConsumer) -> Limits {
    Limits { max_write_buffer_bytes: 300, slow_consumer, ..Limits::default() }
}

fn say(rig: &mut Rig, speaker: &ScriptedSocket, words: &str) {
    speaker.send(&wire([format!("say {words}")]));
    rig.turn();
}

/// `number`, made so long that three of it are one too many.
fn long(number: usize) -> String {
    format!("{number:0100}")
}

fn numbers(socket: &ScriptedSocket) -> Vec<usize> {
    heard(socket).iter().map(|words| words.parse().unwrap()).collect()
}

#[test]
fn what_many_say_in_one_turn_is_one_write_for_each_member() {
    let mut rig = Rig::new(Limits::default());
    let members: Vec<ScriptedSocket> = (0..SAID).map(|_| rig.connect()).collect();
    rig.log();
    for (number, member) in members.iter().enumerate() {
        member.send(&wire([format!("say {number}")]));
    }
    rig.turn();
    assert_eq!(rig.log(), ["flush nobody 16"], "one call, however many asked");
    let frame = wire((0..SAID).map(|number| number.to_string()));
    for member in &members {
        assert_eq!(member.written(), frame);
        assert_eq!(member.calls_made().1, 1, "one write, which is not tried twice");
    }
    rig.settle();
    assert_eq!(rig.log(), [""; 0], "and not once more in a later turn");
}

#[test]
fn a_batch_is_framed_as_each_member_is() {
    let mut rig = Rig::new(Limits::default());
    let (speaker, line, raw) = (rig.connect(), rig.connect_to(LINES), rig.connect_to(RAW));
    speaker.send(&wire(["say one", "say two"]));
    rig.turn();
    assert_eq!(heard(&speaker), ["one", "two"]);
    assert_eq!((line.written(), raw.written()), (b"one\ntwo\n".to_vec(), b"onetwo".to_vec()));
    assert_eq!((line.write_sizes().len(), raw.write_sizes().len()), (1, 1));
}

#[test]
fn a_payload_that_one_framing_cannot_carry_is_missing_there_alone() {
    let mut rig = Rig::new(Limits::default());
    let (speaker, line) = (rig.connect(), rig.connect_to(LINES));
    speaker.send(&wire(["say one", "say two\nlines", "say three"]));
    rig.turn();
    assert_eq!(heard(&speaker), ["one", "two\nlines", "three"]);
    assert_eq!(line.written(), b"one\nthree\n");
}

#[test]
fn replies_messages_and_batches_of_one_callback_arrive_as_they_were_said() {
    for room in 0..60 {
        let mut rig = Rig::new(Limits::default());
        let socket = rig.connect();
        socket.set_room(room);
        socket.send(&wire(["first", "batch a b", "twice c", "say last", "batch d", "then"]));
        rig.settle();
        socket.set_room(usize::MAX);
        rig.settle();
        assert_eq!(heard(&socket), ["first", "a", "b", "done", "c", "c", "d", "done", "then", "last"], "room {room}");
    }
}

#[test]
fn everything_of_a_turn_comes_before_the_flush_and_nothing_is_sent_before_it() {
    let mut rig = Rig::new(Limits::default());
    rig.puppet.strings().gossips = true;
    let (speaker, leaver, witness) = (rig.connect(), rig.connect(), rig.connect());
    speaker.send(&wire(["timer 5", "say first"]));
    rig.turn();
    rig.log();
    // A frame, a timer, a post and an end, all in one turn.
    rig.world.advance(Duration::from_millis(5));
    rig.handle.post(ServiceId(0), Box::new("say posted".to_owned())).unwrap();
    speaker.send(&wire(["say spoken"]));
    leaver.finish();
    rig.turn();
    let lines = rig.log();
    assert_eq!(lines.last().unwrap(), "flush nobody 3", "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(heard(&witness), ["first", "spoken", "posted", "somebody left"]);
    assert_eq!(witness.write_sizes().len(), 2, "one for each turn");
}

#[test]
fn a_flush_that_is_too_much_for_a_slow_reader_tells_of_its_end_in_the_same_turn() {
    let mut rig = Rig::new(limits(SlowConsumer::Disconnect));
    rig.puppet.strings().gossips = true;
    let (speaker, slow, witness) = (rig.connect(), rig.connect(), rig.connect());
    slow.set_room(0);
    (0..3).for_each(|number| say(&mut rig, &speaker, &long(number)));
    rig.log();
    say(&mut rig, &speaker, "last straw");
    let lines = rig.log();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].starts_with("close 1 slow consumer"), "{lines:?}");
    assert_eq!((&*lines[0], &*lines[2]), ("flush nobody 1", "flush nobody 1"));
    assert_eq!(heard(&witness)[3..], ["last straw", "somebody left"]);
    assert_eq!(witness.write_sizes().len(), 4, "still one write a turn");
    assert!(slow.is_closed());
}

#[test]
fn a_service_that_always_wants_another_flush_gets_one_a_turn_and_others_are_served() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    rig.puppet.strings().is_restless = true;
    socket.send(&wire(["say hello"]));
    rig.turn();
    rig.log();
    for _ in 0..3 {
        socket.send(&wire(["echo"]));
        assert_eq!(rig.turn().timeout, Some(Duration::ZERO), "the loop does not sleep over it");
        assert_eq!(rig.log(), ["flush nobody 0"]);
    }
    assert_eq!(heard(&socket), ["hello", "echo", "echo", "echo"]);
    rig.puppet.strings().is_restless = false;
    assert_eq!(rig.settle(), None);
}

#[test]
fn an_engine_that_stops_still_has_its_services_flush() {
    let mut rig = Rig::new(Limits::default());
    rig.puppet.strings().gossips = true;
    let (_one, _two) = (rig.connect(), rig.connect());
    let puppet = rig.puppet.clone();
    rig.log();
    rig.handle.stop();
    rig.turn.run().unwrap();
    assert_eq!(
        puppet.take_log(),
        ["close 0 server is shutting down", "close 1 server is shutting down", "flush nobody 2"]
    );
}

#[test]
fn a_member_that_does_not_read_hears_which_batches_it_has_missed_and_then_that_there_is_room() {
    for (policy, missed, kept) in [
        // The first batch has been begun.
        (SlowConsumer::DropNewest, ["4", "5", "6"], vec![1, 1, 2, 2, 3, 3]),
        (SlowConsumer::DropOldest, ["2", "3", "4"], vec![1, 1, 5, 5, 6, 6]),
    ] {
        let mut rig = Rig::new(Limits { max_write_buffer_bytes: 500, ..limits(policy) });
        let (speaker, slow, witness) = (rig.connect(), rig.connect(), rig.connect());
        slow.set_room(1);
        let mut log = Vec::new();
        for number in 1..=6 {
            speaker.send(&wire([format!("say {}", long(number)), format!("say {}", long(number))]));
            rig.log();
            rig.turn();
            log.extend(rig.log().into_iter().filter(|line| !line.starts_with("flush")));
        }
        assert_eq!(log, missed.map(|ticket| format!("missed 1 2 of {ticket}")), "{policy}");
        assert_eq!(rig.turn.desk.stats.frames_dropped, 6);
        slow.set_room(usize::MAX);
        rig.settle();
        assert_eq!(rig.log(), ["drain 1"]);
        assert_eq!(numbers(&slow), kept, "a batch is there whole or not at all");
        assert_eq!(numbers(&witness), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
    }
}

#[test]
fn several_batches_dropped_at_once_are_told_in_their_order_in_the_turn_that_drops_them() {
    let mut rig = Rig::new(limits(SlowConsumer::DropOldest));
    let (speaker, slow) = (rig.connect(), rig.connect());
    slow.set_room(0);
    for _ in 0..10 {
        say(&mut rig, &speaker, &"x".repeat(28));
    }
    say(&mut rig, &speaker, &"x".repeat(1000));
    rig.log();
    say(&mut rig, &speaker, "more");
    let lines = rig.log();
    let expected: Vec<String> = (2..=11).map(|ticket| format!("missed 1 1 of {ticket}")).collect();
    assert_eq!(lines[1..], expected, "the one large batch and all before it");
    slow.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&slow), ["more"]);
}

#[test]
fn who_misses_its_own_batch_while_it_is_answered_is_told_so_and_nobody_else_is() {
    let mut rig = Rig::new(Limits { max_write_buffer_bytes: 400, ..limits(SlowConsumer::DropNewest) });
    let (slow, other) = (rig.connect(), rig.connect());
    slow.set_room(0);
    let before = "x".repeat(150);
    other.send(&wire([format!("tell 0 {before}")]));
    rig.settle();
    rig.log();
    let (one, two) = ("1".repeat(150), "2".repeat(150));
    slow.send(&wire([format!("batch {one}|{two}|3 3|4")]));
    rig.turn();
    assert_eq!(rig.log(), ["missed 0 2 of 3", "missed 0 1 of 4"]);
    slow.set_room(usize::MAX);
    rig.settle();
    assert_eq!(rig.log(), ["drain 0"]);
    assert_eq!(heard(&slow), [&*before, &one, &two]);
    assert_eq!(heard(&other), [&*one, &two, "3", "3", "4"]);
    assert_eq!(rig.turn.desk.stats.frames_dropped, 4, "three of batches, and the reply");
}

#[test]
fn what_is_missed_because_of_being_told_so_is_told_in_the_next_turn() {
    let mut rig = Rig::new(limits(SlowConsumer::DropNewest));
    rig.puppet.strings().gossips = true;
    let (speaker, slow) = (rig.connect(), rig.connect());
    slow.set_room(0);
    (0..3).for_each(|number| say(&mut rig, &speaker, &long(number)));
    rig.log();
    say(&mut rig, &speaker, "too much");
    assert_eq!(rig.log(), ["flush nobody 1", "missed 1 1 of 4"]);
    for ticket in 5..8 {
        assert_eq!(rig.turn().timeout, Some(Duration::ZERO));
        assert_eq!(rig.log(), ["flush nobody 1".to_owned(), format!("missed 1 1 of {ticket}")]);
    }
    rig.puppet.strings().gossips = false;
    rig.settle();
}

#[test]
fn who_has_ended_is_not_told_what_it_has_missed() {
    let mut rig = Rig::new(limits(SlowConsumer::DropNewest));
    let (speaker, slow) = (rig.connect(), rig.connect());
    slow.set_room(0);
    (0..3).for_each(|number| say(&mut rig, &speaker, &long(number)));
    rig.log();
    speaker.send(&wire(["batch too much", "kick 1"]));
    rig.turn();
    assert_eq!(rig.log(), ["close 1 kicked"]);
}
