//! The bound on what all connections hold together: who is held back, who is turned away, and who has to go.

use std::time::Duration;

use super::{Rig, heard, wire};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::Limits;

const PATIENCE: Duration = Duration::from_secs(5);

fn limits() -> Limits {
    Limits {
        max_buffered_bytes: 100_000,
        max_frame_bytes: 60_000,
        max_write_buffer_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// Two peers that do not read what they asked for, and a third that does no harm.
fn hoarders(rig: &mut Rig) -> [ScriptedSocket; 3] {
    let sockets = [rig.connect(), rig.connect(), rig.connect()];
    for socket in &sockets[..2] {
        socket.set_room(0);
        socket.send(&wire(["big 55000"]));
        rig.settle();
    }
    assert!(rig.turn.is_over_budget());
    sockets
}

#[test]
fn above_the_bound_large_holders_are_not_read_and_everybody_else_is() {
    let mut rig = Rig::new(limits());
    let [_, second, third] = hoarders(&mut rig);
    second.send(&wire(["hello"]));
    third.send(&wire(["hello"]));
    rig.settle();
    assert_eq!(second.unread(), wire(["hello"]).len());
    assert_eq!(heard(&third), ["hello"]);
}

#[test]
fn above_the_bound_newcomers_are_told_that_memory_is_short() {
    let mut rig = Rig::new(limits());
    let _sockets = hoarders(&mut rig);
    let newcomer = rig.connect();
    assert!(heard(&newcomer)[0].starts_with("server is short of memory"));
    assert!(newcomer.is_shut_down());
}

#[test]
fn once_the_sum_is_down_those_held_back_go_on_at_once() {
    let mut rig = Rig::new(limits());
    let [first, second, _] = hoarders(&mut rig);
    second.send(&wire(["hello"]));
    rig.settle();
    first.set_room(usize::MAX);
    rig.settle();
    assert_eq!(second.unread(), 0, "it was read as soon as there was memory again");
    let newcomer = rig.connect();
    assert!(!newcomer.is_shut_down());
    second.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&second).len(), 2);
}

#[test]
fn half_frames_that_fill_memory_are_shed_when_patience_is_over_and_no_more_than_it_takes() {
    let mut rig = Rig::new(Limits { frame_timeout: Duration::ZERO, ..limits() });
    let sockets: Vec<ScriptedSocket> = (0..4).map(|_| rig.connect()).collect();
    for (number, socket) in sockets.iter().enumerate() {
        let frame = wire(["x".repeat(50_000 + number)]);
        socket.send(&frame[..49_000]);
        rig.settle();
    }
    assert!(rig.turn.is_over_budget());
    assert_eq!(sockets.iter().filter(|socket| socket.is_shut_down()).count(), 0);
    rig.elapse(PATIENCE);
    assert_eq!(sockets.iter().filter(|socket| socket.is_shut_down()).count(), 3, "50 of 200 kB may stay");
    assert!(!rig.turn.is_over_budget());
    assert!(rig.log().iter().any(|line| line.contains("server is short of memory")));
}

#[test]
fn the_end_of_a_peer_that_is_held_back_frees_its_memory_at_once() {
    let mut rig = Rig::new(Limits { frame_timeout: Duration::ZERO, ..limits() });
    let sockets: Vec<ScriptedSocket> = (0..4).map(|_| rig.connect()).collect();
    for socket in &sockets {
        socket.send(&wire(["x".repeat(50_000)])[..49_000]);
        rig.settle();
    }
    assert!(rig.turn.is_over_budget());
    sockets[0].reset();
    sockets[1].finish();
    sockets[2].reset();
    rig.settle();
    assert!(!rig.turn.is_over_budget());
    assert!(!rig.connect().is_shut_down(), "newcomers are welcome again");
}

/// Urgent data must be no pass through the bound.
#[test]
fn a_peer_that_is_held_back_is_not_read_because_it_sends_urgent_data() {
    let mut rig = Rig::new(limits());
    let [_, second, _] = hoarders(&mut rig);
    second.send(&wire(["hello"]));
    rig.world.report_urgent(rig.world.key_of(&second).unwrap());
    rig.settle();
    assert_eq!(second.unread(), wire(["hello"]).len());
}

#[test]
fn above_the_bound_a_read_takes_no_more_than_a_share() {
    let mut rig = Rig::new(Limits { frame_timeout: Duration::ZERO, ..limits() });
    let sockets: Vec<ScriptedSocket> = (0..20).map(|_| rig.connect()).collect();
    for socket in &sockets {
        socket.send(&wire(["x".repeat(50_000)])[..49_000]);
        rig.settle();
    }
    let held = rig.turn.desk.stats.buffered_bytes;
    assert!(held <= 3 * 100_000, "{held} bytes");
}

#[test]
fn patience_begins_anew_each_time_the_bound_is_reached() {
    let mut rig = Rig::new(limits());
    let [first, second, _] = hoarders(&mut rig);
    rig.elapse(PATIENCE - Duration::from_secs(1));
    second.set_room(usize::MAX);
    rig.settle();
    assert!(!rig.turn.is_over_budget());
    second.set_room(0);
    second.send(&wire(["big 55000"]));
    rig.settle();
    assert!(rig.turn.is_over_budget());
    rig.elapse(Duration::from_secs(2));
    assert!(!first.is_closed() && !second.is_shut_down() && !first.is_shut_down());
    rig.elapse(Duration::from_secs(3));
    assert_eq!(rig.log().iter().filter(|line| line.starts_with("close")).count(), 1);
}
