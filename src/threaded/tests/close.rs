//! The end of a connection, in a race with other threads and with its own callbacks.

use std::time::Duration;

use super::super::lifecycle::lock;
use super::Rig;
use crate::connection::scripted_stream::received;
use crate::engine::limits::Limits;
use crate::engine::run_state::RunState;
use crate::service::{CloseReason, PanicPolicy, Peer, ServiceId, install_panic_hook};

#[test]
fn nothing_follows_a_close_by_another_connection() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    let shared_conn = receiver.shared_conn();
    let at_work = shared_conn.conn();
    sender.send(["send 1 before", "kick 1", "send 1 after", "kick 1"]);
    drop(at_work);
    receiver.run();
    assert_eq!(received(&receiver.socket), ["before"]);
    assert_eq!(rig.log(), ["close 1 kicked"]);
    assert!(!receiver.has_ended(), "it lingers for what the peer still sends");
    receiver.socket.finish();
    receiver.run();
    assert!(receiver.has_ended());
}

#[test]
fn a_kick_wakes_a_thread_that_waits() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    sender.send(["kick 1"]);
    assert!(receiver.is_woken(), "on_close runs on the connection's own thread");
    receiver.run();
    assert_eq!(rig.log(), ["close 1 kicked"]);
}

#[test]
fn a_failed_write_of_the_sender_closes_on_the_receivers_thread() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.reset();
    sender.send(["send 1 hello", "send 1 again"]);
    assert!(rig.log().is_empty() && receiver.is_woken());
    receiver.run();
    assert_eq!(rig.log(), ["close 1 connection lost: broken pipe"]);
    assert!(receiver.has_ended());
    sender.send(["all still here"]);
    assert_eq!(received(&sender.socket), ["still here"]);
}

#[test]
fn a_connection_closes_once_for_two_reasons() {
    let rig = Rig::new(Limits::default());
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.finish();
    sender.send(["kick 1"]);
    receiver.run();
    assert_eq!(rig.log(), ["close 1 kicked"]);
    assert_eq!((rig.shared.stats().closed, rig.shared.stats().open), (1, 1));
}

#[test]
fn the_last_words_of_on_close_are_flushed() {
    for rig in [Rig::new, Rig::with_instances] {
        let rig = rig(Limits::default());
        rig.service.script().close_reply = Some("goodbye".to_owned());
        let mut client = rig.connect();
        client.socket.set_room(4);
        client.send(["close"]);
        assert!(!client.has_ended());
        client.socket.set_room(usize::MAX);
        client.run();
        assert_eq!(received(&client.socket), ["goodbye"]);
        assert!(client.socket.is_shut_down() && !client.has_ended());
        client.socket.finish();
        client.run();
        assert!(client.has_ended());
    }
}

#[test]
fn the_slot_of_a_lost_peer_is_announced_during_its_on_close() {
    let rig = Rig::new(Limits { max_connections: 1, ..Limits::default() });
    let mut client = rig.connect();
    client.socket.reset();
    client.run();
    assert!(client.has_ended());
    // With one left, `acquire` would wait for ever.
    assert_eq!(rig.shared.slots.announced(), 0);
    let acquire = || rig.shared.slots.acquire(&Peer::Unix, ServiceId(0));
    assert_eq!(acquire(), Ok(()), "the slot is free");
    assert_eq!(acquire(), Err(CloseReason::MaxConnections(1)), "and it is one");
}

#[test]
fn timers_end_with_their_connection() {
    let rig = Rig::new(Limits::default());
    let (mut one, mut other) = rig.connect_two();
    one.send(["timer 100"]);
    other.send(["timer 100"]);
    one.socket.finish();
    one.run();
    assert!(one.has_ended());
    assert_eq!(lock(&rig.shared.timers).of_connections(), 1);
    rig.log();
    rig.advance_time(Duration::from_millis(100));
    other.run();
    assert_eq!(rig.log(), ["timer 1 #1"]);
    assert_eq!(received(&other.socket), ["tick"]);
}

#[test]
fn a_timer_fires_when_due_unless_another_thread_cancels_it() {
    let rig = Rig::new(Limits::default());
    let (mut one, mut other) = rig.connect_two();
    one.send(["timer 100"]);
    rig.advance_time(Duration::from_millis(99));
    one.run();
    assert!(rig.log().is_empty(), "not early");
    rig.advance_time(Duration::from_millis(1));
    one.run();
    assert_eq!(rig.log(), ["timer 0 #0"]);
    one.send(["timer 100"]);
    other.send(["cancel"]);
    rig.advance_time(Duration::from_millis(100));
    one.run();
    assert!(rig.log().is_empty());
}

#[test]
fn a_panic_in_a_callback_stops_every_thread_if_the_policy_says_so() {
    let mut rig = Rig::new(Limits { panic: PanicPolicy::Abort, ..Limits::default() });
    let mut other = rig.connect();
    rig.log();
    rig.handle.post(ServiceId(0), Box::new("not a String")).unwrap();
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rig.control.run_turn())).unwrap_err();
    rig.shared.fail(panic);
    assert_eq!(rig.shared.state(), RunState::Stopped);
    other.send(["hello"]);
    assert!(other.has_ended() && other.socket.written().is_empty());
    assert!(rig.log().is_empty(), "no service is called again");
    assert!(rig.shared.lifecycle.take_panic().is_some());
}

#[test]
fn a_panic_in_a_callback_closes_its_connection_only() {
    install_panic_hook();
    for new in [Rig::new as fn(Limits) -> Rig, Rig::with_instances] {
        let rig = new(Limits::default());
        let (mut one, mut other) = rig.connect_two();
        one.send(["hello", "bug", "never"]);
        assert_eq!(received(&one.socket), ["hello"]);
        assert!(one.socket.is_shut_down());
        assert_eq!(rig.log(), ["close 0 the service failed"]);
        other.send(["hello"]);
        assert_eq!(received(&other.socket), ["hello"]);
        assert_eq!((rig.shared.stats().panics, rig.shared.stats().faulted), (1, 1));
    }
}
