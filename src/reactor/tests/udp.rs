//! Datagrams: batches, a full socket, and datagrams that cannot be sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{TestLoop, UDP, UDP_ADDR, framed, received};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::budget::START_STRIDE;
use crate::engine::limits::Limits;
use crate::engine::slab::reserved_key;
use crate::net::udp_batch::BATCH;
use crate::service::warning_limit::{MAX_LINES, WINDOW};

fn client(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1000 + u16::try_from(number).unwrap()))
}

fn arrive(test: &TestLoop, count: usize) {
    for number in 0..count {
        test.script.datagram(UDP, client(number), format!("datagram {number}").as_bytes());
    }
}

fn numbers(test: &TestLoop) -> Vec<usize> {
    let number = |(to, payload): (SocketAddr, Vec<u8>)| {
        let number = String::from_utf8(payload).unwrap().strip_prefix("datagram ").unwrap().parse().unwrap();
        assert_eq!(to, client(number), "a reply went to another address");
        number
    };
    test.script.sent(UDP).into_iter().map(number).collect()
}

fn report_room(test: &TestLoop) {
    test.script.report(reserved_key(UDP), false, true, false);
}

#[test]
fn each_reply_goes_to_the_datagrams_sender() {
    let mut test = TestLoop::new(Limits::default());
    arrive(&test, 3 * BATCH + 7);
    test.run_until_idle();
    assert_eq!(numbers(&test), (0..3 * BATCH + 7).collect::<Vec<_>>());
    assert_eq!(test.event_loop.shared.worker.stats.datagrams_in, test.event_loop.shared.worker.stats.datagrams_out);
}

#[test]
fn an_empty_datagram_is_echoed() {
    let mut test = TestLoop::new(Limits::default());
    test.script.datagram(UDP, client(1), b"");
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP), [(client(1), Vec::new())]);
}

#[test]
fn a_full_batch_is_followed_by_another_receive() {
    let mut test = TestLoop::new(Limits::default());
    arrive(&test, BATCH);
    test.run_until_idle();
    arrive(&test, 1);
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP).len(), BATCH + 1);
}

#[test]
fn a_datagram_flood_is_bounded_by_its_budget() {
    let mut test = TestLoop::new(Limits { datagram_budget: BATCH, ..Limits::default() });
    let socket = test.connect();
    arrive(&test, 5 * BATCH);
    socket.send(&framed(["hello"]));
    test.turn();
    assert_eq!(received(&socket), ["hello"]);
    assert_eq!(test.script.waiting_datagrams(UDP), 4 * BATCH);
    assert_eq!(test.turn().timeout, Some(Duration::ZERO), "the rest is received without an event");
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP).len(), 5 * BATCH);
}

#[test]
fn a_full_udp_socket_is_not_read_until_it_has_room() {
    let mut test = TestLoop::new(Limits::default());
    test.script.script_sends(
        UDP,
        [ScriptedCall::AtMost(5), ScriptedCall::Interrupted, ScriptedCall::AtMost(3), ScriptedCall::WouldBlock],
    );
    arrive(&test, 2 * BATCH);
    test.run_until_idle();
    assert_eq!(numbers(&test), (0..8).collect::<Vec<_>>());
    let waiting = 2 * BATCH - 2 * START_STRIDE as usize;
    assert_eq!(test.script.waiting_datagrams(UDP), waiting, "datagrams that cannot be answered now stay in the kernel");
    report_room(&test);
    test.run_until_idle();
    assert_eq!(numbers(&test), (0..2 * BATCH).collect::<Vec<_>>());
}

#[test]
fn an_unsendable_datagram_is_skipped() {
    let mut test = TestLoop::new(Limits::default());
    let fails = ScriptedCall::Fails(io::ErrorKind::InvalidInput);
    test.script.script_sends(UDP, [ScriptedCall::AtMost(2), fails, ScriptedCall::AtMost(1), fails]);
    arrive(&test, 8);
    test.run_until_idle();
    assert_eq!(numbers(&test), [0, 1, 3, 5, 6, 7]);
    assert_eq!(test.event_loop.shared.worker.stats.datagrams_dropped, 2);
}

#[test]
fn errors_of_sent_datagrams_do_not_stop_receiving() {
    let mut test = TestLoop::new(Limits::default());
    let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::Interrupted, io::ErrorKind::HostUnreachable];
    test.script.fail_receives(UDP, kinds.map(io::Error::from));
    arrive(&test, 3);
    test.run_until_idle();
    assert_eq!(numbers(&test), [0, 1, 2]);
}

#[test]
fn receive_errors_are_bounded_by_the_budget() {
    let mut test = TestLoop::new(Limits { datagram_budget: 10, ..Limits::default() });
    test.script.fail_receives(UDP, (0..25).map(|_| io::ErrorKind::ConnectionRefused.into()));
    let socket = test.connect();
    arrive(&test, 1);
    socket.send(&framed(["hello"]));
    test.turn();
    assert_eq!(received(&socket), ["hello"]);
    test.run_until_idle();
    assert_eq!(numbers(&test), [0]);
}

#[test]
fn an_unprompted_datagram_leaves_by_the_services_socket() {
    let mut test = TestLoop::new(Limits::default());
    test.script.datagram(UDP, client(1), b"forward words");
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP), [(SocketAddr::from(([127, 0, 0, 1], 9)), b"words".to_vec())]);
}

#[test]
fn queued_datagrams_beyond_the_limit_are_dropped() {
    let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 50, ..Limits::default() });
    test.script.script_sends(UDP, [ScriptedCall::WouldBlock]);
    for _ in 0..START_STRIDE {
        test.script.datagram(UDP, client(1), b"forward ten bytes.");
    }
    test.run_until_idle();
    assert_eq!(test.event_loop.shared.worker.stats.datagrams_dropped, 3);
    report_room(&test);
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP).len(), 5);
}

#[test]
fn a_reply_too_long_for_a_datagram_is_not_sent() {
    let mut test = TestLoop::new(Limits::default());
    test.script.datagram(UDP, client(1), &vec![b'x'; 65_520]);
    arrive(&test, 1);
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP).len(), 1);
}

/// The reply would come back to our own socket and be replied to without end.
#[test]
fn a_datagram_from_our_own_address_is_not_answered() {
    let mut test = TestLoop::new(Limits::default());
    test.script.datagram(UDP, UDP_ADDR.into(), b"loop");
    test.script.datagram(UDP, client(1), b"no loop");
    test.run_until_idle();
    assert_eq!(test.script.sent(UDP), [(client(1), b"no loop".to_vec())]);
    assert_eq!(test.event_loop.shared.worker.stats.datagrams_dropped, 1);
}

#[test]
fn a_drain_sends_queued_datagrams_and_receives_no_more() {
    let mut test = TestLoop::new(Limits::default());
    test.script.script_sends(UDP, [ScriptedCall::WouldBlock]);
    test.script.datagram(UDP, client(1), b"last words");
    test.run_until_idle();
    assert!(test.script.sent(UDP).is_empty(), "the socket is full");
    test.handle.drain();
    test.turn();
    assert!(test.event_loop.is_running(), "a datagram is still queued");
    test.script.datagram(UDP, client(2), b"too late");
    report_room(&test);
    test.turn();
    assert_eq!(test.script.sent(UDP), [(client(1), b"last words".to_vec())]);
    assert!(!test.event_loop.is_running());
}

#[test]
fn warnings_beyond_their_limit_are_reported_when_their_window_ends() {
    let mut test = TestLoop::new(Limits::default());
    for _ in 0..=MAX_LINES {
        test.script.datagram(UDP, UDP_ADDR.into(), b"loop");
    }
    assert!(test.run_until_idle().is_some_and(|timeout| timeout <= WINDOW), "the loop wakes to report");
    let next_report = |test: &TestLoop| test.event_loop.shared.worker.pending_actions.warnings.next_report();
    assert!(next_report(&test).is_some());
    test.advance_time(WINDOW);
    assert_eq!(next_report(&test), None, "reported");
}
