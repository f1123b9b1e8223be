//! Drain and stop.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Rig, TestThread};
use crate::connection::scripted_stream::received;
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;

#[test]
fn a_drain_flushes_pending_output() {
    let mut rig = Rig::new(Limits::default());
    let (mut one, mut idle) = rig.connect_two();
    one.socket.set_room(0);
    one.send(["hello"]);
    rig.handle.drain();
    rig.control.run_turn();
    assert_eq!(rig.shared.state(), RunState::Draining);
    one.run();
    idle.run();
    assert!(!one.has_ended());
    one.socket.set_room(usize::MAX);
    one.run();
    assert_eq!(received(&one.socket), ["hello"]);
    for client in [&mut one, &mut idle] {
        assert!(client.socket.is_shut_down());
        client.socket.finish();
        client.run();
        assert!(client.has_ended());
    }
    assert!(!rig.control.is_running());
    assert_eq!(rig.shared.lifecycle.unflushed.load(Ordering::Relaxed), 0);
}

#[test]
fn requests_received_before_a_drain_are_answered_and_none_after() {
    for rig in [Rig::new, Rig::with_instances] {
        let mut rig = rig(Limits::default());
        let mut client = rig.connect();
        client.send(["job before"]);
        rig.handle.drain();
        rig.control.run_turn();
        client.run();
        client.send(["after"]);
        assert_eq!(received(&client.socket), ["before"]);
    }
}

#[test]
fn requests_that_had_arrived_when_a_drain_began_are_read_and_answered() {
    for rig in [Rig::new, Rig::with_instances] {
        let mut rig = rig(Limits { read_budget_bytes: 7, ..Limits::default() });
        let mut client = rig.connect();
        rig.handle.drain();
        rig.control.run_turn();
        client.send(["one", "two", "three", "four", "five"]);
        assert_eq!(received(&client.socket), ["one", "two", "three", "four", "five"]);
        assert!(client.socket.is_shut_down());
    }
}

#[test]
fn shortly_before_its_end_a_drain_cuts_output_between_two_frames() {
    let mut rig = Rig::new(Limits { drain_timeout: Duration::from_secs(5), ..Limits::default() });
    let mut client = rig.connect();
    client.socket.set_room(100);
    client.send(["big 500"]);
    client.send(["big 600", "big 700"]);
    rig.handle.drain();
    rig.control.run_turn();
    client.run();
    rig.advance_time(Duration::from_secs(4));
    client.run();
    for _ in 0..10 {
        client.socket.add_hidden_room(60);
        rig.advance_time(Duration::from_millis(50));
        client.run();
    }
    let replies = received(&client.socket);
    assert_eq!((replies.len(), replies[0].len()), (1, 500));
    assert!(client.socket.is_shut_down());
    assert_eq!(rig.shared.stats().drain_cuts, 1);
}

#[test]
fn jitter_spreads_the_closes_of_a_drain() {
    let jitter = Duration::from_secs(2);
    let mut rig = Rig::new(Limits { drain_jitter: jitter, ..Limits::default() });
    let mut clients: Vec<_> = (0..20).map(|_| rig.connect()).collect();
    rig.handle.drain();
    rig.control.run_turn();
    let mut closed = [0; 3];
    for closed in &mut closed {
        clients.iter_mut().for_each(TestThread::run);
        *closed = clients.iter().filter(|client| client.socket.is_shut_down()).count();
        rig.advance_time(jitter / 2);
    }
    assert!(closed[0] <= 2 && (8..=12).contains(&closed[1]) && closed[2] == 20, "{closed:?}");
}

#[test]
fn the_drain_timeout_closes_with_unsent_output() {
    let mut rig = Rig::new(Limits { drain_timeout: Duration::from_secs(5), ..Limits::default() });
    let mut client = rig.connect();
    client.socket.set_room(0);
    client.send(["hello"]);
    rig.handle.drain();
    rig.control.run_turn();
    client.run();
    rig.advance_time(Duration::from_secs(5));
    rig.control.run_turn();
    assert_eq!(rig.shared.state(), RunState::Stopped);
    client.run();
    assert!(client.has_ended());
    assert_eq!(rig.shared.lifecycle.unflushed.load(Ordering::Relaxed), 1);
}

#[test]
fn a_drain_waits_until_the_listeners_are_closed() {
    let mut rig = Rig::new(Limits::default());
    let mut client = rig.connect();
    let accept_thread = rig.shared.accepting.threads.enter();
    client.send(["stop"]);
    rig.control.run_turn();
    assert!(rig.shared.accepting.is_stopped());
    assert_eq!(rig.shared.state(), RunState::Serving);
    drop(accept_thread);
    rig.control.run_turn();
    assert_eq!(rig.shared.state(), RunState::Draining);
}

#[test]
fn a_stop_calls_on_close_and_flushes_nothing() {
    for rig in [Rig::new, Rig::with_instances] {
        let mut rig = rig(Limits::default());
        let mut client = rig.connect();
        rig.log();
        client.socket.set_room(0);
        client.send(["hello"]);
        rig.handle.stop();
        rig.control.run_turn();
        client.run();
        assert!(client.has_ended());
        assert!(!client.socket.is_shut_down(), "it does not linger");
        assert_eq!(rig.log(), ["close 0 server is shutting down"]);
        assert_eq!(rig.shared.stats().open, 0);
    }
}
