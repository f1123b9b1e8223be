//! Newcomers: how many a turn lets in, what they are told when there is no room, and errors that are nobody's fault.

use std::io;
use std::time::Duration;

use super::{LINES, RAW, Rig, heard, wire};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::Limits;

#[cfg(unix)]
fn out_of_descriptors() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())
}

#[cfg(not(unix))]
fn out_of_descriptors() -> io::Error {
    io::Error::from_raw_os_error(10_024)
}

fn crowd(rig: &Rig, count: usize) -> Vec<ScriptedSocket> {
    (0..count).map(|_| rig.world.connect(0)).collect()
}

#[test]
fn a_turn_accepts_its_budget_and_the_rest_needs_no_other_event() {
    let mut rig = Rig::new(Limits { accept_budget: 3, ..Limits::default() });
    let newcomers = crowd(&rig, 8);
    rig.turn();
    assert_eq!(rig.turn.desk.stats.open, 3);
    rig.turn();
    assert_eq!(rig.turn.desk.stats.open, 6);
    rig.settle();
    assert_eq!(rig.turn.desk.stats.open, 8);
    for socket in &newcomers {
        socket.send(&wire(["hello"]));
    }
    rig.settle();
    assert!(newcomers.iter().all(|socket| heard(socket) == ["hello"]));
}

#[test]
fn a_budget_that_ends_exactly_with_the_backlog_still_notices_the_next_newcomer() {
    let mut rig = Rig::new(Limits { accept_budget: 3, ..Limits::default() });
    let _newcomers = crowd(&rig, 3);
    rig.settle();
    let _another = rig.connect();
    assert_eq!(rig.turn.desk.stats.open, 4);
}

#[test]
fn a_newcomer_that_left_while_it_waited_does_not_keep_the_next_from_coming_in() {
    let mut rig = Rig::new(Limits::default());
    let kinds = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted, io::ErrorKind::ConnectionAborted];
    rig.world.fail_accepts(0, kinds.map(io::Error::from));
    let socket = rig.connect();
    assert!(rig.is_held(&socket));
    assert_eq!(rig.turn.desk.stats.accepted, 1);
}

#[test]
fn out_of_descriptors_accepting_pauses_until_a_connection_closes() {
    let mut rig = Rig::new(Limits::default());
    let leaving = rig.connect();
    rig.world.fail_accepts(0, [out_of_descriptors()]);
    let waiting = rig.world.connect(0);
    assert_eq!(rig.settle(), Some(Duration::from_millis(100)), "the loop sleeps: it does not try again and again");
    assert_eq!(rig.turn.desk.stats.accept_pauses, 1);
    assert!(!rig.is_held(&waiting));
    leaving.finish();
    rig.settle();
    assert!(rig.is_held(&waiting));
}

#[test]
fn out_of_descriptors_accepting_is_tried_again_after_a_tenth_of_a_second() {
    let mut rig = Rig::new(Limits::default());
    rig.world.fail_accepts(0, [out_of_descriptors(), out_of_descriptors()]);
    let waiting = rig.world.connect(0);
    rig.settle();
    rig.elapse(Duration::from_millis(99));
    assert_eq!(rig.turn.desk.stats.accept_pauses, 1);
    rig.elapse(Duration::from_millis(1));
    assert_eq!(rig.turn.desk.stats.accept_pauses, 2);
    assert_eq!(rig.world.backlog(0), 1);
    rig.elapse(Duration::from_millis(100));
    assert!(rig.is_held(&waiting));
}

#[test]
fn an_error_that_may_last_pauses_accepting_and_does_not_make_the_loop_spin() {
    let mut rig = Rig::new(Limits::default());
    rig.world.fail_accepts(0, [io::ErrorKind::NetworkDown.into()]);
    let waiting = rig.world.connect(0);
    assert_eq!(rig.settle(), Some(Duration::from_millis(100)));
    rig.elapse(Duration::from_millis(100));
    assert!(rig.is_held(&waiting));
}

#[test]
fn newcomers_that_arrive_during_a_pause_do_not_end_it() {
    let mut rig = Rig::new(Limits::default());
    rig.world.fail_accepts(0, [out_of_descriptors()]);
    let _first = rig.world.connect(0);
    rig.settle();
    let _second = rig.world.connect(0);
    rig.settle();
    assert_eq!(rig.world.backlog(0), 2);
    rig.elapse(Duration::from_millis(100));
    assert_eq!(rig.world.backlog(0), 0);
}

#[test]
fn a_newcomer_to_a_full_server_is_told_why_in_its_own_framing_and_let_go() {
    let mut rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let _resident = rig.connect();
    let framed = rig.connect();
    let lines = rig.connect_to(LINES);
    let raw = rig.connect_to(RAW);
    assert_eq!(heard(&framed), ["server is full: 1 connections"]);
    assert_eq!(lines.written(), b"server is full: 1 connections\n");
    assert_eq!(raw.written(), b"server is full: 1 connections\n");
    for socket in [&framed, &lines, &raw] {
        assert!(socket.is_shut_down() && !socket.is_closed());
        socket.send(b"what it had to say");
        socket.finish();
        rig.settle();
        assert!(socket.is_closed());
    }
    assert_eq!(rig.turn.desk.stats.refused, 3);
    assert_eq!(rig.log(), ["open 0"], "no service ever knew them");
}

#[test]
fn a_place_that_becomes_free_is_given_to_the_next() {
    let mut rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let resident = rig.connect();
    let _refused = rig.connect();
    resident.finish();
    rig.settle();
    let next = rig.connect();
    next.send(&wire(["hello"]));
    rig.settle();
    assert_eq!(heard(&next), ["hello"]);
}

#[test]
fn sixty_four_refused_newcomers_are_told_and_more_are_closed_without_a_word() {
    let mut rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let _resident = rig.connect();
    let refused = crowd(&rig, 70);
    rig.settle();
    assert_eq!(refused.iter().filter(|socket| socket.is_shut_down()).count(), 64);
    assert!(refused[64..].iter().all(|socket| socket.is_closed() && socket.written().is_empty()));
    assert_eq!(rig.turn.desk.stats.refused, 70);
    rig.elapse(Limits::default().linger_timeout);
    assert!(refused.iter().all(ScriptedSocket::is_closed));
    assert!(rig.turn.refused_open == 0 && rig.turn.conns.len() == 1);
}

#[test]
fn a_refused_newcomer_that_broke_off_meanwhile_is_forgotten() {
    let mut rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let _resident = rig.connect();
    let refused = rig.world.connect(0);
    refused.reset();
    rig.settle();
    assert!(refused.is_closed());
    assert_eq!(rig.turn.refused_open, 0);
}

#[test]
fn a_newcomer_that_cannot_be_watched_is_closed_and_no_service_hears_of_it() {
    let mut rig = Rig::new(Limits::default());
    rig.world.refuse_next_open();
    let unlucky = rig.connect();
    assert!(unlucky.is_closed());
    let next = rig.connect();
    assert!(rig.is_held(&next));
    assert_eq!(rig.log(), ["open 0"]);
}
