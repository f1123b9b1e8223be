//! Peers that do not read.

use std::time::Duration;

use super::{Rig, TestThread};
use crate::connection::scripted_stream::{framed, received};
use crate::engine::limits::{Limits, SlowConsumer};

/// Fills the receiver's queue from another thread: 30 payloads of 20 bytes, the limit is 200 bytes.
fn send_too_much(slow_consumer: SlowConsumer) -> (Rig, TestThread, TestThread) {
    let rig = Rig::new(Limits { slow_consumer, max_write_buffer_bytes: 200, ..Limits::default() });
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.set_room(0);
    for number in 0..30 {
        sender.send([format!("send 1 payload {number:12}")]);
    }
    receiver.run();
    (rig, sender, receiver)
}

#[test]
fn a_slow_consumer_is_closed_on_its_own_thread() {
    let (rig, _sender, receiver) = send_too_much(SlowConsumer::Disconnect);
    assert!(receiver.has_ended());
    let log = rig.log();
    assert_eq!(log.len(), 1, "{log:?}");
    assert!(log[0].starts_with("close 1 "), "{log:?}");
    assert_eq!((rig.shared.stats().open, rig.shared.stats().faulted), (1, 1));
}

#[test]
fn the_newest_or_the_oldest_payloads_are_dropped_whole() {
    for (slow_consumer, first, last) in [(SlowConsumer::DropNewest, 0, 29), (SlowConsumer::DropOldest, 29, 0)] {
        let (rig, _sender, mut receiver) = send_too_much(slow_consumer);
        receiver.socket.set_room(usize::MAX);
        receiver.run();
        let kept = received(&receiver.socket);
        assert!(kept.len() > 5 && kept.len() < 20, "{}", kept.len());
        assert!(kept.contains(&format!("payload {first:12}")) && !kept.contains(&format!("payload {last:12}")));
        assert_eq!(rig.shared.stats().frames_dropped, 30 - kept.len() as u64);
    }
}

#[test]
fn dropped_batches_are_reported_on_the_receivers_thread() {
    let limits = Limits { slow_consumer: SlowConsumer::DropNewest, max_write_buffer_bytes: 40, ..Limits::default() };
    let rig = Rig::new(limits);
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.set_room(0);
    sender.send(["batch first-batch-of-thirty-bytes second|x y z|w"]);
    assert!(rig.log().iter().all(|line| !line.starts_with("dropped 1")), "its own thread reports them");
    assert!(receiver.is_woken());
    receiver.run();
    assert_eq!(rig.log(), ["dropped 1 1 of 3"]);
    receiver.socket.set_room(usize::MAX);
    receiver.run();
    assert_eq!(received(&receiver.socket), ["first-batch-of-thirty-bytes", "second", "x", "y", "z"]);
    assert_eq!(rig.log(), ["writable 1"], "as its on_dropped has requested");
}

#[test]
fn output_that_the_socket_takes_pauses_no_reading() {
    for rig in [Rig::new, Rig::with_instances] {
        let rig = rig(Limits { max_write_buffer_bytes: 200, ..Limits::default() });
        let mut client = rig.connect();
        client.send([format!("collect {}", "x".repeat(150))]);
        assert_eq!(received(&client.socket), ["x".repeat(150)]);
        assert_eq!(rig.shared.stats().read_pauses, 0);
        assert!(!rig.log().iter().any(|line| line.starts_with("writable")));
    }
}

#[test]
fn a_peer_that_does_not_read_is_not_read() {
    for rig in [Rig::new, Rig::with_instances] {
        let rig = rig(Limits { max_write_buffer_bytes: 1_000, ..Limits::default() });
        let mut client = rig.connect();
        client.socket.set_room(0);
        client.send(["big 800"]);
        client.send(["more"]);
        assert!(client.socket.unread() > 0, "its output is above high water");
        client.socket.set_room(usize::MAX);
        client.run();
        assert_eq!(client.socket.unread(), 0);
        assert_eq!(received(&client.socket).last().unwrap(), "more");
        assert_eq!(rig.shared.stats().read_pauses, 1);
    }
}

#[test]
fn a_peer_that_takes_no_byte_is_late() {
    let rig = Rig::new(Limits { write_timeout: Duration::from_secs(10), ..Limits::default() });
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.set_room(0);
    sender.send(["send 1 hello"]);
    receiver.run();
    rig.advance_time(Duration::from_secs(9));
    receiver.run();
    assert!(!receiver.has_ended());
    rig.advance_time(Duration::from_secs(1));
    receiver.run();
    assert!(receiver.has_ended());
    assert_eq!(rig.log(), ["close 1 write timeout: the peer received no byte for 10s"]);
}

#[test]
fn what_the_peers_system_acknowledges_is_progress() {
    let rig = Rig::new(Limits { write_timeout: Duration::from_secs(20), min_read_rate: 0, ..Limits::default() });
    let (mut sender, mut receiver) = rig.connect_two();
    receiver.socket.acknowledge(0);
    receiver.socket.set_room(0);
    sender.send(["send 1 hello"]);
    let seconds = |receiver: &mut TestThread, count: u64| {
        for _ in 0..count {
            rig.advance_time(Duration::from_secs(1));
            receiver.run();
        }
    };
    for acknowledged in 1..5 {
        seconds(&mut receiver, 19);
        receiver.socket.acknowledge(acknowledged);
    }
    assert!(!receiver.has_ended());
    seconds(&mut receiver, 21);
    assert!(receiver.has_ended() && receiver.socket.is_aborted());
}

#[test]
fn a_frame_that_has_arrived_is_in_time_however_long_the_thread_was_away() {
    let limits = Limits { frame_timeout: Duration::from_secs(10), read_budget_bytes: 1000, ..Limits::default() };
    for rig in [Rig::new(limits.clone()), Rig::with_instances(limits)] {
        let mut client = rig.connect();
        let frame = framed(["x".repeat(20_000)]);
        client.socket.send(&frame[..10]);
        client.run();
        client.socket.send(&frame[10..]);
        rig.advance_time(Duration::from_secs(100));
        client.run();
        assert_eq!(received(&client.socket).len(), 1);
        assert!(!client.has_ended());
    }
}

#[test]
fn a_frame_that_stays_unfinished_is_late() {
    let rig = Rig::with_instances(Limits { frame_timeout: Duration::from_secs(10), ..Limits::default() });
    let mut client = rig.connect();
    client.socket.send(&framed(["hello"])[..3]);
    client.run();
    rig.advance_time(Duration::from_secs(10));
    client.run();
    assert!(rig.log().last().unwrap().starts_with("close 0 "));
}
