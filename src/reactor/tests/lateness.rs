//! When a peer is late: the progress that no event reports, the rate, and pauses of the loop.

use std::time::Duration;

use super::deadlines::{MILLI, SECOND, last, limits};
use super::{TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::Limits;

/// A minute in steps of a second. Each adds to what the peer's system has acknowledged.
fn acknowledge_for_a_minute(test: &mut TestLoop, socket: &ScriptedSocket, acknowledged: &mut u64, each_second: u64) {
    for _ in 0..60 {
        *acknowledged += each_second;
        socket.acknowledge(*acknowledged);
        test.advance_time(SECOND);
    }
}

#[test]
fn what_the_peers_system_acknowledges_is_progress() {
    let mut test = TestLoop::new(Limits { min_read_rate: 0, ..limits() });
    let socket = test.connect();
    socket.acknowledge(1);
    socket.set_room(10);
    socket.send(&framed(["big 1000"]));
    test.run_until_idle();
    for acknowledged in 2..7 {
        for _ in 0..19 {
            test.advance_time(SECOND);
        }
        // No event reports it.
        socket.acknowledge(acknowledged);
    }
    assert!(!socket.is_closed());
    // A look every twentieth of the timeout finds it.
    for _ in 0..20 {
        test.advance_time(SECOND);
    }
    assert!(!socket.is_closed());
    test.advance_time(SECOND);
    assert!(socket.is_closed() && socket.is_aborted());
    assert_eq!(last(&test), "close 0 write timeout: the peer received no byte for 20s");
}

#[test]
fn room_that_no_event_has_reported_is_progress() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.set_room(10);
    socket.send(&framed(["big 1000"]));
    test.run_until_idle();
    for _ in 0..5 {
        test.advance_time(19 * SECOND);
        socket.add_hidden_room(5_000);
    }
    test.run_until_idle();
    assert!(!socket.is_closed());
}

#[test]
fn a_peer_below_the_minimum_rate_is_closed_after_a_minute() {
    for (each_second, is_closed) in [(100, true), (239, true), (240, false)] {
        let mut test = TestLoop::new(Limits { write_timeout: Duration::ZERO, ..limits() });
        let socket = test.connect();
        let mut acknowledged = 0;
        socket.acknowledge(0);
        socket.set_room(10);
        socket.send(&framed(["big 1000"]));
        test.run_until_idle();
        acknowledge_for_a_minute(&mut test, &socket, &mut acknowledged, each_second);
        assert!(!socket.is_closed(), "the first look is after 3 s, and the period begins there");
        acknowledge_for_a_minute(&mut test, &socket, &mut acknowledged, each_second);
        assert_eq!((socket.is_closed(), socket.is_aborted()), (is_closed, is_closed), "{each_second}");
        if is_closed {
            let words = format!("close 0 read rate: the peer received {} bytes in 60s, below", 60 * each_second);
            assert!(last(&test).starts_with(&words), "{:?}", test.log());
        }
    }
}

#[test]
fn a_pause_of_ours_does_not_count_into_the_rate() {
    let mut test = TestLoop::new(Limits { write_timeout: Duration::ZERO, ..limits() });
    let socket = test.connect();
    let mut acknowledged = 0;
    socket.acknowledge(0);
    socket.set_room(10);
    socket.send(&framed(["big 1000"]));
    test.run_until_idle();
    for _ in 0..3 {
        acknowledge_for_a_minute(&mut test, &socket, &mut acknowledged, 240);
        test.advance_time(3600 * SECOND);
    }
    assert!(!socket.is_closed());
}

#[test]
fn a_rate_is_not_measured_while_no_output_waits() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    for round in 1..5 {
        socket.acknowledge(round);
        socket.set_room(10);
        socket.send(&framed(["big 1000"]));
        test.run_until_idle();
        for _ in 0..15 {
            test.advance_time(SECOND);
        }
        socket.set_room(usize::MAX);
        test.run_until_idle();
        test.advance_time(600 * SECOND);
    }
    assert!(!socket.is_closed());
}

/// What has arrived by the deadline is read before the peer is late, in however many turns.
#[test]
fn a_frame_that_has_arrived_is_in_time_however_long_the_loop_was_away() {
    let limits = Limits { read_budget_bytes: 1000, idle_timeout: 15 * SECOND, ..limits() };
    let mut test = TestLoop::new(limits);
    let socket = test.connect();
    let frame = framed(["x".repeat(20_000)]);
    socket.send(&frame[..10]);
    test.run_until_idle();
    socket.send(&frame[10..]);
    test.advance_time(100 * SECOND);
    assert_eq!(received(&socket).len(), 1);
    assert!(!socket.is_shut_down());
    test.advance_time(15 * SECOND);
    assert!(socket.is_shut_down(), "then it is idle");
}

/// The event of the frame's end is lost or late.
#[test]
fn the_socket_is_read_before_its_peer_is_late() {
    let mut test = TestLoop::new(limits());
    let (socket, late) = (test.connect(), test.connect());
    let frame = framed(["in time"]);
    for socket in [&socket, &late] {
        socket.send(&frame[..5]);
    }
    test.run_until_idle();
    socket.send(&frame[5..]);
    socket.take_edge();
    test.advance_time(10 * SECOND);
    assert_eq!(received(&socket), ["in time"]);
    assert!(!socket.is_shut_down() && late.is_shut_down());
}

/// A peer that always has another byte to read is late nevertheless.
#[test]
fn a_trickle_that_never_ends_is_late() {
    let mut test = TestLoop::new(Limits { read_budget_bytes: 1, ..limits() });
    let socket = test.connect();
    socket.send(&framed(["x".repeat(60_000)])[..50_000]);
    test.turn();
    test.script.advance(10 * SECOND);
    for _ in 0..200 {
        test.turn();
        test.script.advance(MILLI);
    }
    assert!(socket.is_shut_down());
    assert!(received(&socket).is_empty());
}
