//! Datagrams under a script: batches, a socket that is full, and datagrams that cannot be sent.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{Rig, UDP, UDP_ADDR, heard, wire};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::limits::Limits;
use crate::engine::slab::reserved_key;
use crate::net::udp_batch::BATCH;

fn client(number: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 1000 + u16::try_from(number).unwrap()))
}

fn arrive(rig: &Rig, count: usize) {
    for number in 0..count {
        rig.world.datagram(UDP, client(number), format!("datagram {number}").as_bytes());
    }
}

fn numbers(rig: &Rig) -> Vec<usize> {
    let number = |(to, payload): (SocketAddr, Vec<u8>)| {
        let number = String::from_utf8(payload).unwrap().strip_prefix("datagram ").unwrap().parse().unwrap();
        assert_eq!(to, client(number), "an answer went to somebody else");
        number
    };
    rig.world.sent(UDP).into_iter().map(number).collect()
}

fn report_room(rig: &Rig) {
    rig.world.report(reserved_key(UDP), false, true, false);
}

#[test]
fn every_answer_goes_to_the_sender_of_what_it_answers() {
    let mut rig = Rig::new(Limits::default());
    arrive(&rig, 3 * BATCH + 7);
    rig.settle();
    assert_eq!(numbers(&rig), (0..3 * BATCH + 7).collect::<Vec<_>>());
    assert_eq!(rig.turn.desk.stats.datagrams_in, rig.turn.desk.stats.datagrams_out);
}

#[test]
fn an_empty_datagram_is_answered_with_an_empty_one() {
    let mut rig = Rig::new(Limits::default());
    rig.world.datagram(UDP, client(1), b"");
    rig.settle();
    assert_eq!(rig.world.sent(UDP), [(client(1), Vec::new())]);
}

#[test]
fn a_batch_that_is_exactly_full_is_followed_by_another_look() {
    let mut rig = Rig::new(Limits::default());
    arrive(&rig, BATCH);
    rig.settle();
    arrive(&rig, 1);
    rig.settle();
    assert_eq!(rig.world.sent(UDP).len(), BATCH + 1);
}

#[test]
fn a_flood_has_its_budget_and_connections_are_served_between() {
    let mut rig = Rig::new(Limits { datagram_budget: BATCH, ..Limits::default() });
    let socket = rig.connect();
    arrive(&rig, 5 * BATCH);
    socket.send(&wire(["hello"]));
    rig.turn();
    assert_eq!(heard(&socket), ["hello"]);
    assert_eq!(rig.world.waiting_datagrams(UDP), 4 * BATCH);
    assert_eq!(rig.turn().timeout, Some(Duration::ZERO), "the rest needs no event");
    rig.settle();
    assert_eq!(rig.world.sent(UDP).len(), 5 * BATCH);
}

#[test]
fn a_socket_without_room_is_not_read_and_goes_on_in_order() {
    let mut rig = Rig::new(Limits::default());
    rig.world.script_sends(
        UDP,
        [ScriptedCall::AtMost(5), ScriptedCall::Interrupted, ScriptedCall::AtMost(3), ScriptedCall::WouldBlock],
    );
    arrive(&rig, 2 * BATCH);
    rig.settle();
    assert_eq!(numbers(&rig), (0..8).collect::<Vec<_>>());
    assert_eq!(rig.world.waiting_datagrams(UDP), BATCH, "what cannot be answered is left to the kernel");
    report_room(&rig);
    rig.settle();
    assert_eq!(numbers(&rig), (0..2 * BATCH).collect::<Vec<_>>());
}

#[test]
fn a_datagram_that_cannot_be_sent_is_skipped_and_the_others_are_not() {
    let mut rig = Rig::new(Limits::default());
    let fails = ScriptedCall::Fails(io::ErrorKind::InvalidInput);
    rig.world.script_sends(UDP, [ScriptedCall::AtMost(2), fails, ScriptedCall::AtMost(1), fails]);
    arrive(&rig, 8);
    rig.settle();
    assert_eq!(numbers(&rig), [0, 1, 3, 5, 6, 7]);
    assert_eq!(rig.turn.desk.stats.datagrams_dropped, 2);
}

#[test]
fn errors_of_earlier_datagrams_do_not_keep_later_ones_from_being_received() {
    let mut rig = Rig::new(Limits::default());
    let kinds = [io::ErrorKind::ConnectionRefused, io::ErrorKind::Interrupted, io::ErrorKind::HostUnreachable];
    rig.world.fail_receives(UDP, kinds.map(io::Error::from));
    arrive(&rig, 3);
    rig.settle();
    assert_eq!(numbers(&rig), [0, 1, 2]);
}

#[test]
fn a_receive_that_fails_without_end_has_its_budget_too() {
    let mut rig = Rig::new(Limits { datagram_budget: 10, ..Limits::default() });
    rig.world.fail_receives(UDP, (0..25).map(|_| io::ErrorKind::ConnectionRefused.into()));
    let socket = rig.connect();
    arrive(&rig, 1);
    socket.send(&wire(["hello"]));
    rig.turn();
    assert_eq!(heard(&socket), ["hello"]);
    rig.settle();
    assert_eq!(numbers(&rig), [0]);
}

#[test]
fn a_datagram_nobody_asked_for_leaves_by_the_services_own_socket() {
    let mut rig = Rig::new(Limits::default());
    rig.world.datagram(UDP, client(1), b"forward words");
    rig.settle();
    assert_eq!(rig.world.sent(UDP), [(SocketAddr::from(([127, 0, 0, 1], 9)), b"words".to_vec())]);
}

#[test]
fn datagrams_wait_within_the_bound_and_are_dropped_beyond_it() {
    let mut rig = Rig::new(Limits { max_write_buffer_bytes: 50, ..Limits::default() });
    rig.world.script_sends(UDP, [ScriptedCall::WouldBlock]);
    for _ in 0..10 {
        rig.world.datagram(UDP, client(1), b"forward ten bytes.");
    }
    rig.settle();
    assert_eq!(rig.turn.desk.stats.datagrams_dropped, 5);
    report_room(&rig);
    rig.settle();
    assert_eq!(rig.world.sent(UDP).len(), 5);
}

#[test]
fn an_answer_too_long_for_any_datagram_is_not_sent() {
    let mut rig = Rig::new(Limits::default());
    rig.world.datagram(UDP, client(1), &vec![b'x'; 65_520]);
    arrive(&rig, 1);
    rig.settle();
    assert_eq!(rig.world.sent(UDP).len(), 1);
}

/// It would be answered for ever, by ourselves.
#[test]
fn a_datagram_that_claims_to_come_from_our_own_socket_is_not_answered() {
    let mut rig = Rig::new(Limits::default());
    rig.world.datagram(UDP, UDP_ADDR.into(), b"loop");
    rig.world.datagram(UDP, client(1), b"no loop");
    rig.settle();
    assert_eq!(rig.world.sent(UDP), [(client(1), b"no loop".to_vec())]);
    assert_eq!(rig.turn.desk.stats.datagrams_dropped, 1);
}

#[test]
fn what_was_said_in_datagrams_before_a_shutdown_is_still_sent_and_nothing_more_is_received() {
    let mut rig = Rig::new(Limits::default());
    rig.world.script_sends(UDP, [ScriptedCall::WouldBlock]);
    rig.world.datagram(UDP, client(1), b"last words");
    rig.settle();
    assert!(rig.world.sent(UDP).is_empty(), "the socket is full");
    rig.handle.drain();
    rig.turn();
    assert!(rig.turn.goes_on(), "something is still owed");
    rig.world.datagram(UDP, client(2), b"too late");
    report_room(&rig);
    rig.turn();
    assert_eq!(rig.world.sent(UDP), [(client(1), b"last words".to_vec())]);
    assert!(!rig.turn.goes_on());
}
