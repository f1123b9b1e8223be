//! An operator among the others: nothing that would end one of them ends the console.

use std::time::Duration;

use super::{FRAMING, Rig, heard, wire};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::{Limits, MEMORY_GRACE, SlowConsumer};
use crate::service::ServiceId;

/// A loop whose operator has come.
fn rig(limits: Limits) -> (Rig, ScriptedSocket) {
    let mut rig = Rig::new(limits);
    let operator = rig.world.attach(ServiceId(0), FRAMING);
    rig.turn.attach();
    rig.settle();
    assert_eq!(rig.log(), ["open 0"]);
    (rig, operator)
}

#[test]
fn no_deadline_is_an_operators() {
    let patience = Duration::from_secs(1);
    let limits =
        Limits { idle_timeout: patience, frame_timeout: patience, write_timeout: patience, ..Limits::default() };
    let (mut rig, operator) = rig(limits);
    operator.set_room(0);
    rig.elapse(2 * patience);
    let line = wire(["a line"]);
    operator.send(&line[..3]);
    rig.settle();
    rig.elapse(2 * patience);
    let client = rig.connect();
    client.send(&wire(["tell 0 news"]));
    rig.settle();
    rig.elapse(2 * patience);
    assert!(client.is_shut_down(), "anybody else is late by now");
    operator.send(&line[3..]);
    operator.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&operator), ["news", "a line"]);
}

#[test]
fn the_oldest_goes_that_an_operator_does_not_read_whatever_the_policy() {
    for slow_consumer in [SlowConsumer::Disconnect, SlowConsumer::DropNewest] {
        let limits = Limits { slow_consumer, max_write_buffer_bytes: 1000, ..Limits::default() };
        let (mut rig, operator) = rig(limits);
        operator.set_room(0);
        let client = rig.connect();
        for number in 0..100 {
            client.send(&wire([format!("tell 0 {number:0100}")]));
            rig.settle();
        }
        // What is said in its own name is bounded like what others say.
        operator.send(&wire(["big 100", "the last"]));
        rig.settle();
        operator.set_room(usize::MAX);
        rig.settle();
        let news = heard(&operator);
        assert!((8..15).contains(&news.len()), "{} of 102 messages", news.len());
        assert_eq!(news.last().unwrap(), "the last");
        assert_eq!(rig.turn.desk.stats.frames_dropped, 102 - news.len() as u64);
    }
}

#[test]
fn an_operator_is_not_shed() {
    let limits = Limits {
        max_buffered_bytes: 100_000,
        max_frame_bytes: 60_000,
        write_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let (mut rig, operator) = rig(limits);
    let client = rig.connect();
    for (socket, request) in [(&operator, "big 60000"), (&client, "big 50000")] {
        socket.set_room(0);
        socket.send(&wire([request]));
        rig.settle();
    }
    assert!(rig.turn.is_over_budget());
    rig.elapse(MEMORY_GRACE);
    let closed: Vec<String> = rig.log().into_iter().filter(|line| line.starts_with("close")).collect();
    assert_eq!(closed.len(), 1);
    assert!(closed[0].starts_with("close 1"), "the operator holds the most, and stays: {closed:?}");
}

#[test]
fn an_operator_takes_nobodys_place() {
    let (mut rig, operator) = rig(Limits { max_connections: 1, ..Limits::default() });
    let first = rig.connect();
    assert!(!rig.connect().written().is_empty(), "the second is told that it cannot stay");
    operator.finish();
    rig.settle();
    assert!(!rig.is_held(&operator));
    assert!(!rig.connect().written().is_empty(), "the operator's place was no client's");
    first.send(&wire(["still here"]));
    rig.settle();
    assert_eq!(heard(&first), ["still here"]);
}
