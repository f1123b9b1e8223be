//! Accepting: the budget of a turn, rejection when the server is full, and errors of `accept`.

use std::io;
use std::time::Duration;

use super::{LINES, RAW, TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::Limits;

fn out_of_descriptors() -> io::Error {
    io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())
}

fn connect_many(test: &TestLoop, count: usize) -> Vec<ScriptedSocket> {
    (0..count).map(|_| test.script.connect(0)).collect()
}

#[test]
fn a_turn_accepts_up_to_its_budget_and_continues_unprompted() {
    let mut test = TestLoop::new(Limits { accept_budget: 3, ..Limits::default() });
    let pending = connect_many(&test, 8);
    test.turn();
    assert_eq!(test.event_loop.shared.worker.stats.open, 3);
    test.turn();
    assert_eq!(test.event_loop.shared.worker.stats.open, 6);
    test.run_until_idle();
    assert_eq!(test.event_loop.shared.worker.stats.open, 8);
    for socket in &pending {
        socket.send(&framed(["hello"]));
    }
    test.run_until_idle();
    assert!(pending.iter().all(|socket| received(socket) == ["hello"]));
}

#[test]
fn an_accept_budget_equal_to_the_backlog_loses_no_event() {
    let mut test = TestLoop::new(Limits { accept_budget: 3, ..Limits::default() });
    let _pending = connect_many(&test, 3);
    test.run_until_idle();
    let _another = test.connect();
    assert_eq!(test.event_loop.shared.worker.stats.open, 4);
}

#[test]
fn an_aborted_accept_is_followed_by_the_next() {
    let mut test = TestLoop::new(Limits::default());
    let kinds = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted, io::ErrorKind::ConnectionAborted];
    test.script.fail_accepts(0, kinds.map(io::Error::from));
    let socket = test.connect();
    assert!(test.has_connection(&socket));
    assert_eq!(test.event_loop.shared.worker.stats.accepted, 1);
}

#[test]
fn without_descriptors_accept_pauses_until_a_close() {
    let mut test = TestLoop::new(Limits::default());
    let leaving = test.connect();
    test.script.fail_accepts(0, [out_of_descriptors()]);
    let waiting = test.script.connect(0);
    assert_eq!(test.run_until_idle(), Some(Duration::from_millis(100)), "the loop sleeps and does not retry at once");
    assert_eq!(test.event_loop.shared.worker.stats.accept_pauses, 1);
    assert!(!test.has_connection(&waiting));
    leaving.finish();
    test.run_until_idle();
    assert!(test.has_connection(&waiting));
}

#[test]
fn without_descriptors_accept_is_retried_after_100_ms() {
    let mut test = TestLoop::new(Limits::default());
    test.script.fail_accepts(0, [out_of_descriptors(), out_of_descriptors()]);
    let waiting = test.script.connect(0);
    test.run_until_idle();
    test.advance_time(Duration::from_millis(99));
    assert_eq!(test.event_loop.shared.worker.stats.accept_pauses, 1);
    test.advance_time(Duration::from_millis(1));
    assert_eq!(test.event_loop.shared.worker.stats.accept_pauses, 2);
    assert_eq!(test.script.backlog(0), 1);
    test.advance_time(Duration::from_millis(100));
    assert!(test.has_connection(&waiting));
}

#[test]
fn each_want_of_descriptors_or_memory_pauses_accepting() {
    use rustix::io::Errno;
    for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM] {
        let mut test = TestLoop::new(Limits::default());
        let served = test.connect();
        test.script.fail_accepts(0, [errno.into()]);
        let waiting = test.script.connect(0);
        assert_eq!(test.run_until_idle(), Some(Duration::from_millis(100)), "{errno}");
        served.send(&framed(["hello"]));
        test.run_until_idle();
        assert_eq!(received(&served), ["hello"]);
        assert_eq!((test.event_loop.shared.worker.stats.accept_pauses, test.script.backlog(0)), (1, 1), "{errno}");
        test.advance_time(Duration::from_millis(100));
        assert!(test.has_connection(&waiting));
    }
}

#[test]
fn listeners_without_descriptors_take_turns() {
    let mut test = TestLoop::new(Limits::default());
    let leaving = test.connect();
    for number in [0, LINES] {
        test.script.fail_accepts(number, [out_of_descriptors()]);
    }
    let _pending = [0, LINES].map(|number| [(); 2].map(|()| test.script.connect(number)));
    test.run_until_idle();
    assert_eq!(test.event_loop.shared.admission.starved_listeners, [0, LINES]);
    leaving.finish();
    test.turn();
    // The descriptor goes to the first. There is none for the second.
    test.script.fail_accepts(LINES, [out_of_descriptors()]);
    test.turn();
    assert_eq!([0, LINES].map(|number| test.script.backlog(number)), [1, 2]);
    test.script.fail_accepts(0, [out_of_descriptors()]);
    assert_eq!(test.run_until_idle(), Some(Duration::from_millis(100)));
    assert_eq!(test.event_loop.shared.admission.starved_listeners, [LINES, 0], "the next turn is the second's");
    test.advance_time(Duration::from_millis(100));
    assert_eq!([0, LINES].map(|number| test.script.backlog(number)), [0, 0]);
    assert!(test.event_loop.shared.admission.starved_listeners.is_empty());
}

#[test]
fn a_lasting_accept_error_pauses_and_does_not_spin() {
    let mut test = TestLoop::new(Limits::default());
    test.script.fail_accepts(0, [io::ErrorKind::NetworkDown.into()]);
    let waiting = test.script.connect(0);
    assert_eq!(test.run_until_idle(), Some(Duration::from_millis(100)));
    test.advance_time(Duration::from_millis(100));
    assert!(test.has_connection(&waiting));
}

#[test]
fn pending_connections_do_not_end_an_accept_pause() {
    let mut test = TestLoop::new(Limits::default());
    test.script.fail_accepts(0, [out_of_descriptors()]);
    let _first = test.script.connect(0);
    test.run_until_idle();
    let _second = test.script.connect(0);
    test.run_until_idle();
    assert_eq!(test.script.backlog(0), 2);
    test.advance_time(Duration::from_millis(100));
    assert_eq!(test.script.backlog(0), 0);
}

#[test]
fn a_full_server_rejects_in_each_framing_and_closes() {
    let mut test = TestLoop::new(Limits { max_connections: 1, ..Limits::default() });
    let _resident = test.connect();
    let framed = test.connect();
    let lines = test.connect_to(LINES);
    let raw = test.connect_to(RAW);
    assert_eq!(received(&framed), ["server is full: 1 connection"]);
    assert_eq!(lines.written(), b"server is full: 1 connection\n");
    assert_eq!(raw.written(), b"server is full: 1 connection\n");
    for socket in [&framed, &lines, &raw] {
        assert!(socket.is_shut_down() && !socket.is_closed());
        socket.send(b"what it had to say");
        socket.finish();
        test.run_until_idle();
        assert!(socket.is_closed());
    }
    assert_eq!(test.event_loop.shared.worker.stats.refused, 3);
    assert_eq!(test.log(), ["open 0"], "a rejected connection has no callback");
}

#[test]
fn a_freed_place_goes_to_the_next_connection() {
    let mut test = TestLoop::new(Limits { max_connections: 1, ..Limits::default() });
    let resident = test.connect();
    let _rejected = test.connect();
    resident.finish();
    test.run_until_idle();
    let next = test.connect();
    next.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(received(&next), ["hello"]);
}

#[test]
fn rejected_connections_get_the_reason_and_64_may_linger() {
    let mut test = TestLoop::new(Limits { max_connections: 1, ..Limits::default() });
    let _resident = test.connect();
    let rejected = connect_many(&test, 70);
    test.run_until_idle();
    assert!(rejected.iter().all(|socket| socket.is_shut_down() && received(socket).len() == 1));
    assert_eq!(rejected.iter().filter(|socket| socket.is_closed()).count(), 6);
    assert_eq!(test.event_loop.shared.worker.stats.refused, 70);
    test.advance_time(Limits::default().linger_timeout);
    assert!(rejected.iter().all(ScriptedSocket::is_closed));
    assert!(test.event_loop.shared.admission.rejected.is_empty() && test.event_loop.connections.len() == 1);
}

#[test]
fn a_rejected_connection_that_was_reset_is_removed() {
    let mut test = TestLoop::new(Limits { max_connections: 1, ..Limits::default() });
    let _resident = test.connect();
    let rejected = test.script.connect(0);
    rejected.reset();
    test.run_until_idle();
    assert!(rejected.is_closed());
    assert_eq!(test.event_loop.shared.admission.rejected.len(), 0);
}

#[test]
fn a_failed_registration_closes_without_a_callback() {
    let mut test = TestLoop::new(Limits::default());
    test.script.fail_next_register();
    let failed = test.connect();
    assert!(failed.is_closed());
    let next = test.connect();
    assert!(test.has_connection(&next));
    assert_eq!(test.log(), ["open 0"]);
}
