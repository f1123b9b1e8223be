//! Stopping: a drain until its timeout, or a stop at once.

use std::time::Duration;

use super::{TestLoop, UDP, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::{Limits, SlowConsumer};
use crate::service::ServiceId;

fn limits() -> Limits {
    Limits { drain_timeout: Duration::from_secs(5), linger_timeout: Duration::from_secs(1), ..Limits::default() }
}

#[test]
fn a_drain_calls_on_close_and_ends_with_the_last_peer() {
    let mut test = TestLoop::new(limits());
    test.service.script().close_reply = Some("goodbye".to_owned());
    let sockets = [test.connect(), test.connect()];
    test.handle.drain();
    test.run_until_idle();
    for (number, socket) in sockets.iter().enumerate() {
        assert_eq!(received(socket), ["goodbye"]);
        assert!(socket.is_shut_down() && !socket.is_closed());
        assert!(test.event_loop.is_running());
        assert!(test.log().iter().any(|line| line.starts_with("close")) || number > 0);
        socket.finish();
        test.run_until_idle();
    }
    assert!(!test.event_loop.is_running());
}

#[test]
fn on_close_precedes_on_shutdown_whoever_drains() {
    let begins: [fn(&mut TestLoop); 3] = [
        |test| test.handle.drain(),
        |test| test.handle.post(ServiceId(0), Box::new("stop".to_owned())).unwrap(),
        |test| test.connect().send(&framed(["stop"])),
    ];
    for begin in begins {
        let mut test = TestLoop::new(limits());
        let _waiting = test.connect();
        test.log();
        begin(&mut test);
        test.run_until_idle();
        let log = test.log();
        let close = log.iter().position(|line| line.starts_with("close 0")).unwrap();
        let shutdown = log.iter().position(|line| line.starts_with("shutdown")).unwrap();
        assert!(close < shutdown, "{log:?}");
    }
}

#[test]
fn a_frame_behind_a_requested_drain_is_not_answered() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.send(&framed(["before", "stop", "after"]));
    test.run_until_idle();
    assert_eq!(received(&socket), ["before"]);
}

#[test]
fn a_drain_sends_what_a_broadcast_of_its_turn_has_queued() {
    for slow_consumer in [SlowConsumer::Disconnect, SlowConsumer::DropOldest, SlowConsumer::DropNewest] {
        let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 400, slow_consumer, ..limits() });
        test.service.script().close_reply = Some("goodbye".to_owned());
        let socket = test.connect();
        let message = "z".repeat(500);
        test.handle.post(ServiceId(0), Box::new(format!("all {message}"))).unwrap();
        test.handle.drain();
        test.run_until_idle();
        assert_eq!(received(&socket), [message.as_str(), "goodbye"], "{slow_consumer:?}");
    }
}

#[test]
fn a_drain_accepts_no_connection() {
    let mut test = TestLoop::new(limits());
    let staying = test.connect();
    test.handle.drain();
    test.turn();
    let late = test.script.connect(0);
    test.run_until_idle();
    assert!((0..UDP).all(|number| !test.script.is_open(number)));
    assert!(late.written().is_empty() && !test.has_connection(&late));
    assert!(staying.is_shut_down());
}

#[test]
fn a_drain_flushes_whole_frames() {
    let mut test = TestLoop::new(limits());
    test.service.script().close_reply = Some("goodbye".to_owned());
    let socket = test.connect();
    socket.set_room(100);
    socket.send(&framed(["big 5000"]));
    test.run_until_idle();
    test.handle.drain();
    test.run_until_idle();
    assert!(!socket.is_shut_down());
    while !socket.is_shut_down() {
        socket.set_room(500);
        test.run_until_idle();
    }
    assert_eq!(received(&socket).last().unwrap(), "goodbye");
    assert_eq!(received(&socket)[0].len(), 5000);
}

#[test]
fn a_drain_answers_whole_requests_received_before_it() {
    let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 4000, ..limits() });
    let (owing, half) = (test.connect(), test.connect());
    owing.set_room(0);
    owing.send(&framed(["big 3000", "big 3000", "received already"]));
    half.send(&[0]);
    test.run_until_idle();
    test.handle.drain();
    test.run_until_idle();
    assert!(half.is_shut_down());
    owing.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(received(&owing).last().unwrap(), "received already");
    assert!(owing.is_shut_down());
}

#[test]
fn a_drain_waits_for_running_jobs() {
    let mut test = TestLoop::new(limits());
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["job result"]));
    test.run_until_idle();
    test.handle.drain();
    test.run_until_idle();
    assert!(!socket.is_shut_down() && test.event_loop.is_running());
    drop(hold);
    test.wait_for_wake();
    assert_eq!(received(&socket), ["result"]);
    assert!(socket.is_shut_down());
}

#[test]
fn the_drain_timeout_ends_the_loop_with_unsent_output() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.set_room(0);
    socket.send(&framed(["big 5000"]));
    test.run_until_idle();
    test.handle.drain();
    assert!(test.run_until_idle().is_some_and(|timeout| timeout <= Duration::from_secs(4)));
    test.advance_time(Duration::from_millis(4999));
    assert!(test.event_loop.is_running());
    test.advance_time(Duration::from_millis(1));
    assert!(!test.event_loop.is_running());
}

#[test]
fn shortly_before_its_end_a_drain_cuts_output_between_two_frames() {
    let mut test = TestLoop::new(limits());
    let (slow, stalled) = (test.connect(), test.connect());
    for socket in [&slow, &stalled] {
        socket.set_room(100);
        socket.send(&framed(["big 500"]));
        test.run_until_idle();
        socket.send(&framed(["big 600", "big 700"]));
        test.run_until_idle();
    }
    test.handle.drain();
    test.run_until_idle();
    test.advance_time(Duration::from_millis(3990));
    assert_eq!(test.event_loop.shared.worker.stats.drain_cuts, 0);
    test.advance_time(Duration::from_millis(10));
    assert_eq!(test.event_loop.shared.worker.stats.drain_cuts, 2);
    // No event reports a little room.
    for _ in 0..10 {
        slow.add_hidden_room(60);
        test.advance_time(Duration::from_millis(50));
    }
    let replies = received(&slow);
    assert_eq!((replies.len(), replies[0].len()), (1, 500));
    assert!(slow.is_shut_down() && !stalled.is_shut_down());
    test.advance_time(Duration::from_millis(500));
    assert!(!test.event_loop.is_running());
}

#[test]
fn requests_that_had_arrived_when_a_drain_began_are_read_and_answered() {
    let mut test = TestLoop::new(Limits { read_budget_bytes: 7, ..limits() });
    let socket = test.connect();
    let requests = ["one", "two", "three", "four", "five"];
    socket.send(&framed(requests));
    test.handle.drain();
    test.turn();
    assert!(socket.unread() > 0);
    // What comes now is too late.
    socket.send(&framed(["late", "late", "late"]));
    test.run_until_idle();
    let replies = received(&socket);
    assert_eq!(replies[..5], requests);
    assert!(replies.len() < 8, "{replies:?}");
    assert!(socket.is_shut_down());
}

#[test]
fn jitter_spreads_the_closes_of_a_drain() {
    let mut test = TestLoop::new(Limits { drain_jitter: Duration::from_secs(2), ..limits() });
    let sockets: Vec<_> = (0..40).map(|_| test.connect()).collect();
    test.handle.drain();
    test.run_until_idle();
    for step in 1..=20 {
        test.advance_time(Duration::from_millis(100));
        let closed = sockets.iter().filter(|socket| socket.is_shut_down()).count();
        assert!((2 * step - 2..=2 * step + 2).contains(&closed), "{closed} of 40 after {step}00 ms");
        for socket in sockets.iter().filter(|socket| !socket.is_shut_down()) {
            let before = received(socket).len();
            socket.send(&framed(["still there?"]));
            test.run_until_idle();
            assert_eq!(received(socket).len(), before + 1);
        }
    }
    assert!(sockets.iter().all(ScriptedSocket::is_shut_down));
}

#[test]
fn a_drain_without_connections_ends_at_once() {
    let mut test = TestLoop::new(limits());
    test.handle.drain();
    test.turn();
    assert!(!test.event_loop.is_running());
}

#[test]
fn a_service_may_stop_its_engine() {
    let mut test = TestLoop::new(limits());
    let (socket, other) = (test.connect(), test.connect());
    socket.send(&framed(["before", "stop", "after"]));
    test.run_until_idle();
    assert_eq!(received(&socket)[0], "before");
    assert!(socket.is_shut_down() && other.is_shut_down());
    assert_eq!(test.log().iter().filter(|line| line.ends_with("server is shutting down")).count(), 2);
}

#[test]
fn a_datagram_may_stop_the_engine() {
    let mut test = TestLoop::new(limits());
    test.script.datagram(UDP, "127.0.0.1:5".parse().unwrap(), b"stop");
    test.run_until_idle();
    assert!(!test.event_loop.is_running());
}

#[test]
fn a_second_drain_is_ignored_and_a_stop_ends_at_once() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.set_room(0);
    socket.send(&framed(["big 5000"]));
    test.run_until_idle();
    test.handle.drain();
    test.run_until_idle();
    test.advance_time(Duration::from_secs(3));
    test.handle.drain();
    test.run_until_idle();
    assert!(test.event_loop.is_running());
    test.handle.stop();
    test.turn();
    assert!(!test.event_loop.is_running());
}
