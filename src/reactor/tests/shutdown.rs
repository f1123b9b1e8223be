//! Stopping: in good order until the deadline, or at once.

use std::time::Duration;

use super::{Rig, UDP, heard, wire};
use crate::engine::limits::Limits;

fn limits() -> Limits {
    Limits { drain_timeout: Duration::from_secs(5), linger_timeout: Duration::from_secs(1), ..Limits::default() }
}

#[test]
fn a_draining_loop_says_goodbye_to_everybody_and_ends_when_they_have_gone() {
    let mut rig = Rig::new(limits());
    rig.puppet.strings().farewell = Some("goodbye".to_owned());
    let sockets = [rig.connect(), rig.connect()];
    rig.handle.drain();
    rig.settle();
    for (number, socket) in sockets.iter().enumerate() {
        assert_eq!(heard(socket), ["goodbye"]);
        assert!(socket.is_shut_down() && !socket.is_closed());
        assert!(rig.turn.goes_on());
        assert!(rig.log().iter().any(|line| line.starts_with("close")) || number > 0);
        socket.finish();
        rig.settle();
    }
    assert!(!rig.turn.goes_on());
}

#[test]
fn a_draining_loop_lets_nobody_in() {
    let mut rig = Rig::new(limits());
    let staying = rig.connect();
    rig.handle.drain();
    rig.turn();
    let late = rig.world.connect(0);
    rig.settle();
    assert!((0..UDP).all(|number| !rig.world.is_open(number)));
    assert!(late.written().is_empty() && !rig.is_held(&late));
    assert!(staying.is_shut_down());
}

#[test]
fn no_half_frame_is_left_behind_by_a_drain_that_is_given_time() {
    let mut rig = Rig::new(limits());
    rig.puppet.strings().farewell = Some("goodbye".to_owned());
    let socket = rig.connect();
    socket.set_room(100);
    socket.send(&wire(["big 5000"]));
    rig.settle();
    rig.handle.drain();
    rig.settle();
    assert!(!socket.is_shut_down());
    while !socket.is_shut_down() {
        socket.set_room(500);
        rig.settle();
    }
    assert_eq!(heard(&socket).last().unwrap(), "goodbye");
    assert_eq!(heard(&socket)[0].len(), 5000);
}

#[test]
fn a_request_received_before_the_drain_is_answered_and_half_a_request_is_not_waited_for() {
    let mut rig = Rig::new(Limits { max_write_buffer_bytes: 4000, ..limits() });
    let (owing, half) = (rig.connect(), rig.connect());
    owing.set_room(0);
    owing.send(&wire(["big 3000", "big 3000", "received already"]));
    half.send(&[0]);
    rig.settle();
    rig.handle.drain();
    rig.settle();
    assert!(half.is_shut_down());
    owing.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&owing).last().unwrap(), "received already");
    assert!(owing.is_shut_down());
}

#[test]
fn a_drain_waits_for_work_under_way() {
    let mut rig = Rig::new(limits());
    let gate = rig.puppet.gate();
    let hold = gate.lock().unwrap();
    let socket = rig.connect();
    socket.send(&wire(["job result"]));
    rig.settle();
    rig.handle.drain();
    rig.settle();
    assert!(!socket.is_shut_down() && rig.turn.goes_on());
    drop(hold);
    rig.await_wake();
    assert_eq!(heard(&socket), ["result"]);
    assert!(socket.is_shut_down());
}

#[test]
fn the_drain_deadline_ends_the_loop_whatever_is_still_owed() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    socket.send(&wire(["big 5000"]));
    rig.settle();
    rig.handle.drain();
    assert_eq!(rig.settle(), Some(Duration::from_secs(5)));
    rig.elapse(Duration::from_millis(4999));
    assert!(rig.turn.goes_on());
    rig.elapse(Duration::from_millis(1));
    assert!(!rig.turn.goes_on());
}

#[test]
fn a_drained_loop_without_connections_ends_at_once() {
    let mut rig = Rig::new(limits());
    rig.handle.drain();
    rig.turn();
    assert!(!rig.turn.goes_on());
}

#[test]
fn a_service_may_stop_its_engine() {
    let mut rig = Rig::new(limits());
    let (socket, other) = (rig.connect(), rig.connect());
    socket.send(&wire(["before", "stop", "after"]));
    rig.settle();
    assert_eq!(heard(&socket)[0], "before");
    assert!(socket.is_shut_down() && other.is_shut_down());
    assert_eq!(rig.log().iter().filter(|line| line.ends_with("server is shutting down")).count(), 2);
}

#[test]
fn a_datagram_may_stop_the_engine() {
    let mut rig = Rig::new(limits());
    rig.world.datagram(UDP, "127.0.0.1:5".parse().unwrap(), b"stop");
    rig.settle();
    assert!(!rig.turn.goes_on());
}

#[test]
fn a_second_drain_changes_nothing_and_a_stop_ends_at_once() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    socket.send(&wire(["big 5000"]));
    rig.settle();
    rig.handle.drain();
    rig.settle();
    rig.elapse(Duration::from_secs(3));
    rig.handle.drain();
    rig.settle();
    assert!(rig.turn.goes_on());
    rig.handle.stop();
    rig.turn();
    assert!(!rig.turn.goes_on());
}
