//! The end of a turn: collected messages leave in one write each, and dropped batches are reported.

use std::time::Duration;

use super::{LINES, RAW, TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::{Limits, SlowConsumer};
use crate::service::ServiceId;
use crate::service::scripted_service::LossReport;

/// Messages sent in one turn.
const MESSAGES: usize = 16;

/// Limits with which three collected messages fill a queue.
fn limits(slow_consumer: SlowConsumer) -> Limits {
    Limits { max_write_buffer_bytes: 300, slow_consumer, ..Limits::default() }
}

fn collect(test: &mut TestLoop, sender: &ScriptedSocket, words: &str) {
    sender.send(&framed([format!("collect {words}")]));
    test.turn();
}

/// `number` with 100 digits, so that three of them fill a queue.
fn long(number: usize) -> String {
    format!("{number:0100}")
}

fn numbers(socket: &ScriptedSocket) -> Vec<usize> {
    received(socket).iter().map(|words| words.parse().unwrap()).collect()
}

#[test]
fn messages_collected_in_a_turn_are_one_write_each() {
    let mut test = TestLoop::new(Limits::default());
    let members: Vec<ScriptedSocket> = (0..MESSAGES).map(|_| test.connect()).collect();
    test.log();
    for (number, member) in members.iter().enumerate() {
        member.send(&framed([format!("collect {number}")]));
    }
    test.turn();
    assert_eq!(test.log(), ["turn_end none 16"], "one call for any number of requests");
    let frame = framed((0..MESSAGES).map(|number| number.to_string()));
    for member in &members {
        assert_eq!(member.written(), frame);
        assert_eq!(member.calls_made().1, 1, "one write and no retry");
    }
    test.run_until_idle();
    assert_eq!(test.log(), [""; 0], "no further call in a later turn");
}

#[test]
fn a_batch_is_framed_as_each_member_is() {
    let mut test = TestLoop::new(Limits::default());
    let (sender, line, raw) = (test.connect(), test.connect_to(LINES), test.connect_to(RAW));
    sender.send(&framed(["collect one", "collect two"]));
    test.turn();
    assert_eq!(received(&sender), ["one", "two"]);
    assert_eq!((line.written(), raw.written()), (b"one\ntwo\n".to_vec(), b"onetwo".to_vec()));
    assert_eq!((line.write_sizes().len(), raw.write_sizes().len()), (1, 1));
}

#[test]
fn a_payload_is_left_out_only_where_its_framing_fails() {
    let mut test = TestLoop::new(Limits::default());
    let (sender, line) = (test.connect(), test.connect_to(LINES));
    sender.send(&framed(["collect one", "collect two\nlines", "collect three"]));
    test.turn();
    assert_eq!(received(&sender), ["one", "two\nlines", "three"]);
    assert_eq!(line.written(), b"one\nthree\n");
}

#[test]
fn replies_sends_and_batches_arrive_in_order() {
    for room in 0..60 {
        let mut test = TestLoop::new(Limits::default());
        let socket = test.connect();
        socket.set_room(room);
        socket.send(&framed(["first", "batch a b", "twice c", "collect last", "batch d", "then"]));
        test.run_until_idle();
        socket.set_room(usize::MAX);
        test.run_until_idle();
        assert_eq!(
            received(&socket),
            ["first", "a", "b", "done", "c", "c", "d", "done", "then", "last"],
            "room {room}"
        );
    }
}

#[test]
fn on_turn_end_follows_all_callbacks_of_the_turn() {
    let mut test = TestLoop::new(Limits::default());
    test.service.script().loss_report = LossReport::AtTurnEnd;
    let (sender, leaver, witness) = (test.connect(), test.connect(), test.connect());
    sender.send(&framed(["timer 5", "collect first"]));
    test.turn();
    test.log();
    // A frame, a timer, a post and a close, all in one turn.
    test.script.advance(Duration::from_millis(5));
    test.handle.post(ServiceId(0), Box::new("collect posted".to_owned())).unwrap();
    sender.send(&framed(["collect spoken"]));
    leaver.finish();
    test.turn();
    let lines = test.log();
    assert_eq!(lines.last().unwrap(), "turn_end none 3", "{lines:?}");
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(received(&witness), ["first", "spoken", "posted", "a member left"]);
    assert_eq!(witness.write_sizes().len(), 2, "one write for each turn");
}

#[test]
fn on_close_follows_a_full_queue_in_the_same_turn() {
    let mut test = TestLoop::new(limits(SlowConsumer::Disconnect));
    test.service.script().loss_report = LossReport::AtTurnEnd;
    let (sender, slow, witness) = (test.connect(), test.connect(), test.connect());
    slow.set_room(0);
    (0..3).for_each(|number| collect(&mut test, &sender, &long(number)));
    test.log();
    collect(&mut test, &sender, "last straw");
    let lines = test.log();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[1].starts_with("close 1 slow consumer"), "{lines:?}");
    assert_eq!((&*lines[0], &*lines[2]), ("turn_end none 1", "turn_end none 1"));
    assert_eq!(received(&witness)[3..], ["last straw", "a member left"]);
    assert_eq!(witness.write_sizes().len(), 4, "one write a turn");
    assert!(slow.is_closed());
}

#[test]
fn repeated_turn_end_requests_get_one_call_a_turn() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    test.service.script().requests_every_turn_end = true;
    socket.send(&framed(["collect hello"]));
    test.turn();
    test.log();
    for _ in 0..3 {
        socket.send(&framed(["echo"]));
        assert_eq!(test.turn().timeout, Some(Duration::ZERO), "the loop does not sleep before the next call");
        assert_eq!(test.log(), ["turn_end none 0"]);
    }
    assert_eq!(received(&socket), ["hello", "echo", "echo", "echo"]);
    test.service.script().requests_every_turn_end = false;
    assert_eq!(test.run_until_idle(), None);
}

#[test]
fn a_stop_still_calls_on_turn_end() {
    let mut test = TestLoop::new(Limits::default());
    test.service.script().loss_report = LossReport::AtTurnEnd;
    let (_one, _two) = (test.connect(), test.connect());
    let service = test.service.clone();
    test.log();
    test.handle.stop();
    test.event_loop.run().unwrap();
    assert_eq!(
        service.take_log(),
        ["close 0 server is shutting down", "close 1 server is shutting down", "turn_end none 2"]
    );
}

#[test]
fn on_dropped_names_each_batch_and_on_writable_follows() {
    for (policy, dropped, kept) in [
        // A byte of the first batch is sent.
        (SlowConsumer::DropNewest, ["4", "5", "6"], vec![1, 1, 2, 2, 3, 3]),
        (SlowConsumer::DropOldest, ["2", "3", "4"], vec![1, 1, 5, 5, 6, 6]),
    ] {
        let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 500, ..limits(policy) });
        let (sender, slow, witness) = (test.connect(), test.connect(), test.connect());
        slow.set_room(1);
        let mut log = Vec::new();
        for number in 1..=6 {
            sender.send(&framed([format!("collect {}", long(number)), format!("collect {}", long(number))]));
            test.log();
            test.turn();
            log.extend(test.log().into_iter().filter(|line| !line.starts_with("turn_end")));
        }
        assert_eq!(log, dropped.map(|id| format!("dropped 1 2 of {id}")), "{policy}");
        assert_eq!(test.event_loop.shared.worker.stats.frames_dropped, 6);
        slow.set_room(usize::MAX);
        test.run_until_idle();
        assert_eq!(test.log(), ["writable 1"]);
        assert_eq!(numbers(&slow), kept, "a batch arrives whole or not at all");
        assert_eq!(numbers(&witness), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]);
    }
}

#[test]
fn batches_dropped_together_are_reported_in_order() {
    let mut test = TestLoop::new(limits(SlowConsumer::DropOldest));
    let (sender, slow) = (test.connect(), test.connect());
    slow.set_room(0);
    for _ in 0..10 {
        collect(&mut test, &sender, &"x".repeat(28));
    }
    collect(&mut test, &sender, &"x".repeat(1000));
    test.log();
    collect(&mut test, &sender, "more");
    let lines = test.log();
    let expected: Vec<String> = (2..=11).map(|id| format!("dropped 1 1 of {id}")).collect();
    assert_eq!(lines[1..], expected, "the large batch and all before it");
    slow.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(received(&slow), ["more"]);
}

#[test]
fn a_batch_dropped_for_its_own_sender_is_reported_to_it() {
    let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 400, ..limits(SlowConsumer::DropNewest) });
    let (slow, other) = (test.connect(), test.connect());
    slow.set_room(0);
    let before = "x".repeat(150);
    other.send(&framed([format!("send 0 {before}")]));
    test.run_until_idle();
    test.log();
    let (one, two) = ("1".repeat(150), "2".repeat(150));
    slow.send(&framed([format!("batch {one}|{two}|3 3|4")]));
    test.turn();
    // The reply is kept, and the newest batch makes room for it.
    assert_eq!(test.log(), ["dropped 0 2 of 3", "dropped 0 1 of 4", "dropped 0 1 of 2"]);
    slow.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(test.log(), ["writable 0"]);
    assert_eq!(received(&slow), [&*before, &one, "done"]);
    assert_eq!(received(&other), [&*one, &two, "3", "3", "4"]);
    assert_eq!(test.event_loop.shared.worker.stats.frames_dropped, 4, "the frames of three batches");
}

#[test]
fn a_batch_dropped_in_on_dropped_is_reported_next_turn() {
    let mut test = TestLoop::new(limits(SlowConsumer::DropNewest));
    test.service.script().loss_report = LossReport::AtTurnEnd;
    let (sender, slow) = (test.connect(), test.connect());
    slow.set_room(0);
    (0..3).for_each(|number| collect(&mut test, &sender, &long(number)));
    test.log();
    collect(&mut test, &sender, "too much");
    assert_eq!(test.log(), ["turn_end none 1", "dropped 1 1 of 4"]);
    for id in 5..8 {
        assert_eq!(test.turn().timeout, Some(Duration::ZERO));
        assert_eq!(test.log(), ["turn_end none 1".to_owned(), format!("dropped 1 1 of {id}")]);
    }
    test.service.script().loss_report = LossReport::None;
    test.run_until_idle();
}

#[test]
fn on_dropped_precedes_on_close() {
    let mut test = TestLoop::new(limits(SlowConsumer::DropNewest));
    let (sender, slow) = (test.connect(), test.connect());
    slow.set_room(0);
    (0..3).for_each(|number| collect(&mut test, &sender, &long(number)));
    test.log();
    sender.send(&framed(["batch too much", "kick 1"]));
    test.turn();
    assert_eq!(test.log(), ["dropped 1 2 of 4", "close 1 kicked"]);
}
