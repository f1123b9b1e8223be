//! A console beside clients: the limits that close a client do not close it.

use std::time::Duration;

use super::{FRAMING, TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::{Limits, SlowConsumer};
use crate::engine::memory::MEMORY_GRACE;
use crate::service::ServiceId;

/// Returns a loop with an attached console.
fn with_console(limits: Limits) -> (TestLoop, ScriptedSocket) {
    let mut test = TestLoop::new(limits);
    let operator = test.script.attach(ServiceId(0), FRAMING);
    test.event_loop.attach_consoles();
    test.run_until_idle();
    assert_eq!(test.log(), ["open 0"]);
    (test, operator)
}

#[test]
fn a_console_has_no_deadline() {
    let timeout = Duration::from_secs(1);
    let limits = Limits { idle_timeout: timeout, frame_timeout: timeout, write_timeout: timeout, ..Limits::default() };
    let (mut test, operator) = with_console(limits);
    operator.set_room(0);
    test.advance_time(2 * timeout);
    let line = framed(["a line"]);
    operator.send(&line[..3]);
    test.run_until_idle();
    test.advance_time(2 * timeout);
    let client = test.connect();
    client.send(&framed(["send 0 news"]));
    test.run_until_idle();
    test.advance_time(2 * timeout);
    assert!(client.is_shut_down(), "a client is late by now");
    operator.send(&line[3..]);
    operator.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(received(&operator), ["news", "a line"]);
}

#[test]
fn a_console_drops_the_oldest_under_every_policy() {
    for slow_consumer in [SlowConsumer::Disconnect, SlowConsumer::DropNewest] {
        let limits = Limits { slow_consumer, max_write_buffer_bytes: 1000, ..Limits::default() };
        let (mut test, operator) = with_console(limits);
        operator.set_room(0);
        let client = test.connect();
        for number in 0..100 {
            client.send(&framed([format!("send 0 {number:0100}")]));
            test.run_until_idle();
        }
        // Replies to the console count like messages from others.
        operator.send(&framed(["big 100", "the last"]));
        test.run_until_idle();
        operator.set_room(usize::MAX);
        test.run_until_idle();
        let news = received(&operator);
        assert!((8..15).contains(&news.len()), "{} of 102 messages", news.len());
        assert_eq!(news.last().unwrap(), "the last");
        assert_eq!(test.event_loop.shared.worker.stats.frames_dropped, 102 - news.len() as u64);
    }
}

#[test]
fn a_console_is_not_closed_for_memory() {
    let limits = Limits {
        max_buffered_bytes: 120_000,
        max_frame_bytes: 60_000,
        write_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let (mut test, operator) = with_console(limits);
    let client = test.connect();
    for (socket, request) in [(&operator, "big 60000"), (&client, "big 50000")] {
        socket.set_room(0);
        socket.send(&framed([request]));
        test.run_until_idle();
    }
    assert!(test.event_loop.shared.is_over_memory_limit());
    test.advance_time(MEMORY_GRACE);
    let closed: Vec<String> = test.log().into_iter().filter(|line| line.starts_with("close")).collect();
    assert_eq!(closed.len(), 1);
    assert!(closed[0].starts_with("close 1"), "the console holds the most and stays open: {closed:?}");
}

#[test]
fn a_console_does_not_count_as_a_connection() {
    let (mut test, operator) = with_console(Limits { max_connections: 1, ..Limits::default() });
    let first = test.connect();
    assert!(!test.connect().written().is_empty(), "the second client is rejected");
    operator.finish();
    test.run_until_idle();
    assert!(!test.has_connection(&operator));
    assert!(!test.connect().written().is_empty(), "the closed console freed a place for a client");
    first.send(&framed(["still here"]));
    test.run_until_idle();
    assert_eq!(received(&first), ["still here"]);
}
