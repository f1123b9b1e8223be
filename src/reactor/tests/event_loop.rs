//! The turn: budgets, the ready queue, late, spurious and early events, and failing polls.

use std::io;
use std::time::Duration;

use super::{FRAMING, TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::error::Error;
use crate::engine::limits::Limits;
use crate::frame::encode;
use crate::service::scripted_service::LossReport;

/// More bytes than one read takes.
const MORE_THAN_A_READ: usize = 3 * 256 * 1024;

#[test]
fn an_idle_loop_sleeps_without_timeout() {
    let mut test = TestLoop::new(Limits::default());
    let _socket = test.connect();
    assert_eq!(test.run_until_idle(), None);
}

#[test]
fn a_busy_peer_reads_one_budget_in_a_turn() {
    let mut test = TestLoop::new(Limits::default());
    let (busy, other) = (test.connect(), test.connect());
    let frame = framed(["quiet ".to_owned() + &"x".repeat(994)]);
    busy.send(&frame.repeat(MORE_THAN_A_READ / frame.len()));
    other.send(&framed(["hello"]));
    let before = busy.unread();
    let polled = test.turn();
    assert_eq!(polled.events, 2);
    let unread = busy.unread();
    assert!(unread > 0 && unread < before, "the first turn read {} bytes", before - unread);
    assert_eq!(received(&other), ["hello"], "the neighbour was served in the same turn");
    let polled = test.turn();
    assert_eq!((polled.events, polled.timeout), (0, Some(Duration::ZERO)), "the rest is read without an event");
    assert!(busy.unread() < unread);
    test.run_until_idle();
    assert_eq!(busy.unread(), 0);
}

#[test]
fn a_read_budget_of_one_frame_makes_peers_alternate() {
    let mut test = TestLoop::new(Limits { read_budget_bytes: 7, ..Limits::default() });
    let (a, b) = (test.connect(), test.connect());
    for socket in [&a, &b] {
        socket.send(&framed(["first", "later", "third"]));
        socket.finish();
    }
    for answers in 1..3 {
        test.turn();
        assert_eq!((received(&a).len(), received(&b).len()), (answers, answers), "turn {answers}");
    }
    test.run_until_idle();
    assert_eq!(received(&a), ["first", "later", "third"]);
    assert!(a.is_closed() && b.is_closed());
}

#[test]
fn a_read_budget_equal_to_the_input_loses_no_event() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let frame = framed(["quiet ".to_owned() + &"x".repeat(1016)]);
    assert_eq!(frame.len(), 1024);
    socket.send(&frame.repeat(256));
    test.turn();
    assert_eq!(socket.unread(), 0, "the read filled the buffer and emptied the socket");
    test.run_until_idle();
    socket.send(&framed(["still there?"]));
    test.run_until_idle();
    assert_eq!(received(&socket), ["still there?"]);
}

#[test]
fn input_that_arrives_between_budgets_is_read_in_order() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let mut bytes = Vec::new();
    for number in 0..600 {
        encode(FRAMING, format!("quiet {number:01000}").as_bytes(), &mut bytes).unwrap();
    }
    socket.send(&bytes);
    test.turn();
    socket.send(&framed(["last"]));
    socket.finish();
    test.run_until_idle();
    assert_eq!(received(&socket), ["last"]);
    assert_eq!(test.event_loop.shared.worker.stats.frames_in, 601);
}

#[test]
fn an_event_for_a_removed_connection_is_ignored() {
    let mut test = TestLoop::new(Limits::default());
    let gone = test.connect();
    let key = test.script.key_of(&gone).unwrap();
    gone.finish();
    test.run_until_idle();
    let next = test.connect();
    next.script_reads([ScriptedCall::Fails(io::ErrorKind::Other)]);
    test.script.report(key, true, true, true);
    test.turn();
    assert!(!next.is_closed(), "the next connection in the slot was stepped");
    assert_eq!(test.event_loop.connections.len(), 1);
}

#[test]
fn a_spurious_event_does_no_harm() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let key = test.script.key_of(&socket).unwrap();
    for (readable, writable, end) in [(true, false, false), (false, true, false), (true, true, true)] {
        test.script.report(key, readable, writable, end);
        test.run_until_idle();
    }
    socket.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(received(&socket), ["hello"]);
}

#[test]
fn several_events_in_one_poll_cause_one_step() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let key = test.script.key_of(&socket).unwrap();
    socket.send(&framed(["hello"]));
    test.script.report(key, true, false, false);
    test.script.report(key, false, true, false);
    test.turn();
    assert_eq!(received(&socket), ["hello"]);
}

#[test]
fn an_interrupted_poll_fires_no_deadline() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let request = framed(["hello"]);
    socket.send(&request[..1]);
    test.run_until_idle();
    // The process is stopped for longer than the frame timeout, and the rest arrives meanwhile.
    socket.send(&request[1..]);
    test.script.advance(2 * Limits::default().frame_timeout);
    test.script.fail_poll(io::ErrorKind::Interrupted);
    test.turn();
    test.run_until_idle();
    assert_eq!(received(&socket), ["hello"]);
}

#[test]
fn a_partial_poll_fires_no_deadline() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    let request = framed(["hello"]);
    socket.send(&request[..1]);
    test.run_until_idle();
    socket.send(&request[1..]);
    test.script.advance(2 * Limits::default().frame_timeout);
    test.script.fill_polls(1);
    test.turn();
    test.run_until_idle();
    assert_eq!(received(&socket), ["hello"]);
}

#[test]
fn partial_polls_delay_deadlines_only_for_a_bounded_time() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["hello"])[..1]);
    test.run_until_idle();
    test.script.advance(2 * Limits::default().frame_timeout);
    test.script.fill_polls(5);
    for _ in 0..5 {
        test.turn();
    }
    assert!(socket.is_shut_down());
}

#[test]
fn a_failed_poll_ends_the_loop_with_the_error() {
    let test = TestLoop::new(Limits::default());
    test.script.fail_poll(io::ErrorKind::InvalidInput);
    let ended = test.event_loop.run();
    assert!(matches!(ended, Err(Error::Poll(error)) if error.kind() == io::ErrorKind::InvalidInput));
}

#[test]
fn a_posted_message_is_delivered_in_the_next_turn() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    test.log();
    let handle = test.handle.clone();
    let post = move |words: &str| handle.post(crate::service::ServiceId(0), Box::new(words.to_owned()));
    std::thread::spawn(move || post("all hello from afar").unwrap()).join().unwrap();
    test.run_until_idle();
    assert_eq!(test.log(), ["post none all hello from afar"]);
    assert_eq!(received(&socket), ["hello from afar"]);
}

#[test]
fn messages_beyond_the_limit_are_given_back() {
    let test = TestLoop::new(Limits { max_queued_messages: 2, ..Limits::default() });
    let post = || test.handle.post(crate::service::ServiceId(0), Box::new("quiet".to_owned()));
    post().unwrap();
    post().unwrap();
    let refused = post().unwrap_err();
    assert_eq!(refused.to_string(), "message not posted: the queue is full");
    assert_eq!(*refused.into_message().downcast::<String>().unwrap(), "quiet");
}

#[test]
fn a_failed_flush_runs_on_close_in_the_same_turn() {
    let mut test = TestLoop::new(Limits::default());
    let (speaker, broken, witness) = (test.connect(), test.connect(), test.connect());
    test.service.script().loss_report = LossReport::Broadcast;
    broken.script_writes([ScriptedCall::Fails(io::ErrorKind::BrokenPipe)]);
    speaker.send(&framed(["send 1 hello"]));
    test.turn();
    assert_eq!(received(&witness), ["1 left"]);
    assert_eq!(received(&speaker), ["1 left"]);
}
