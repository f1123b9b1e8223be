//! The memory limit: pauses, relief, and the close of the largest holders.

use std::time::Duration;

use super::Rig;
use crate::connection::scripted_stream::{framed, received};
use crate::engine::limits::Limits;

fn limits() -> Limits {
    Limits { max_buffered_bytes: 4_000, max_write_buffer_bytes: 100_000, ..Limits::default() }
}

#[test]
fn a_large_holder_is_paused_until_memory_is_free() {
    let rig = Rig::new(limits());
    let (mut large, mut small) = rig.connect_two();
    large.socket.set_room(0);
    large.send(["big 5000"]);
    assert!(rig.shared.memory.is_over_limit());
    large.send(["not read"]);
    assert!(large.socket.unread() > 0);
    small.send(["read"]);
    assert_eq!(received(&small.socket), ["read"], "it holds less than its share");
    assert_eq!(rig.shared.stats().buffered_bytes, rig.shared.memory.held_bytes());
    large.socket.set_room(usize::MAX);
    large.run();
    assert_eq!(received(&large.socket).last().unwrap(), "not read");
    assert!(!rig.shared.memory.is_over_limit());
    assert_eq!(rig.shared.memory.grace_ends(), None);
}

#[test]
fn memory_freed_by_another_thread_wakes_a_paused_one() {
    let rig = Rig::new(limits());
    let (mut one, mut other) = rig.connect_two();
    for client in [&mut one, &mut other] {
        client.socket.set_room(0);
        client.send(["big 1800"]);
    }
    // An unfinished frame does not shrink by itself.
    other.socket.send(&framed(["x".repeat(30)])[..10]);
    other.run();
    assert!(other.socket.unread() > 0, "over the limit, and above its share");
    one.socket.reset();
    one.run();
    assert!(one.has_ended() && !rig.shared.memory.is_over_limit());
    other.run();
    assert_eq!(other.socket.unread(), 0, "the relief has woken it");
}

#[test]
fn the_largest_holder_is_closed_after_the_grace_period() {
    for new in [Rig::new, Rig::with_instances] {
        let mut rig = new(limits());
        let (mut large, mut small) = rig.connect_two();
        small.socket.set_room(0);
        small.send(["big 500"]);
        large.socket.set_room(0);
        large.send(["big 5000"]);
        rig.control.run_turn();
        large.run();
        assert!(!large.has_ended());
        rig.advance_time(Duration::from_secs(5));
        rig.control.run_turn();
        large.run();
        small.run();
        let log = rig.log();
        assert_eq!(log.len(), 1, "{log:?}");
        assert!(log[0].starts_with("close 0 "), "{log:?}");
        assert!(!small.has_ended());
    }
}

#[test]
fn the_bytes_of_a_connection_that_ends_are_given_back() {
    let rig = Rig::new(limits());
    let mut client = rig.connect();
    client.socket.set_room(0);
    client.send(["big 1000"]);
    assert!(rig.shared.memory.held_bytes() >= 1000);
    client.socket.reset();
    client.run();
    assert!(client.has_ended());
    assert_eq!(rig.shared.memory.held_bytes(), 0);
}

/// Bytes that a service keeps count like queued output, in its connection and in the sum.
#[test]
fn bytes_that_a_service_holds_stop_the_reading_of_their_connection() {
    let rig = Rig::new(Limits { max_write_buffer_bytes: 1_000, ..Limits::default() });
    let (mut first, mut second) = rig.connect_two();
    first.send(["hold 0 501", "one"]);
    assert_eq!(rig.shared.memory.held_bytes(), 501 + framed(["one"]).len() as u64);
    first.send(["two"]);
    assert!(received(&first.socket).is_empty() && first.socket.unread() > 0);
    second.send(["hold 0 251"]);
    first.run();
    assert!(received(&first.socket).is_empty(), "above low water");
    second.send(["hold 0 250"]);
    first.run();
    assert_eq!(received(&first.socket), ["one", "two"], "another thread's callback has woken it");
    assert_eq!(rig.shared.memory.held_bytes(), 250);
    first.socket.finish();
    first.run();
    assert!(first.has_ended());
    assert_eq!(rig.shared.memory.held_bytes(), 0, "the end of the connection releases them");
}

#[test]
fn a_job_holds_its_bytes_until_its_output_is_delivered() {
    for new in [Rig::new, Rig::with_instances] {
        let rig = new(Limits::default());
        let mut client = rig.connect();
        client.socket.send(&framed(["large-job 600", "one"]));
        while client.step() && client.thread.worker.jobs.is_empty() {}
        assert!(rig.shared.memory.held_bytes() >= 600);
        client.run();
        assert_eq!(received(&client.socket), ["600", "one"]);
        assert_eq!(rig.shared.memory.held_bytes(), 0);
    }
}
