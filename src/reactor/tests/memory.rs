//! The bound on the bytes of all connections: which are paused, rejected and closed.

use std::time::Duration;

use super::{TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::engine::limits::Limits;
use crate::service::ServiceId;

const GRACE: Duration = Duration::from_secs(5);

fn limits() -> Limits {
    Limits {
        max_buffered_bytes: 120_000,
        max_frame_bytes: 60_000,
        max_write_buffer_bytes: 1 << 20,
        ..Limits::default()
    }
}

/// Returns two peers that request output and do not read it, and a third that holds none.
fn large_holders(test: &mut TestLoop) -> [ScriptedSocket; 3] {
    let sockets = [test.connect(), test.connect(), test.connect()];
    for socket in &sockets[..2] {
        socket.set_room(0);
        socket.send(&framed(["big 55000"]));
        test.run_until_idle();
    }
    assert!(test.event_loop.shared.is_over_memory_limit());
    sockets
}

#[test]
fn above_the_memory_limit_only_large_holders_are_paused() {
    let mut test = TestLoop::new(limits());
    let [_, second, third] = large_holders(&mut test);
    second.send(&framed(["hello"]));
    third.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(second.unread(), framed(["hello"]).len());
    assert_eq!(received(&third), ["hello"]);
}

#[test]
fn above_the_memory_limit_newcomers_are_served() {
    let mut test = TestLoop::new(limits());
    let _sockets = large_holders(&mut test);
    let newcomer = test.connect();
    newcomer.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(received(&newcomer), ["hello"]);
}

#[test]
fn below_the_memory_limit_paused_connections_resume() {
    let mut test = TestLoop::new(limits());
    let [first, second, _] = large_holders(&mut test);
    second.send(&framed(["hello"]));
    test.run_until_idle();
    first.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(second.unread(), 0, "a paused connection is read once memory is free");
    let pending = test.connect();
    assert!(!pending.is_shut_down());
    second.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(received(&second).len(), 2);
}

#[test]
fn after_the_memory_grace_the_largest_are_closed() {
    let limits = Limits { frame_timeout: Duration::ZERO, max_buffered_bytes: 180_000, ..limits() };
    let mut test = TestLoop::new(limits);
    let sockets: Vec<ScriptedSocket> = (0..4).map(|_| test.connect()).collect();
    for (number, socket) in sockets.iter().enumerate() {
        let frame = framed(["x".repeat(50_000 + number)]);
        socket.send(&frame[..49_000]);
        test.run_until_idle();
    }
    assert!(test.event_loop.shared.is_over_memory_limit());
    assert_eq!(sockets.iter().filter(|socket| socket.is_shut_down()).count(), 0);
    test.advance_time(GRACE);
    assert_eq!(sockets.iter().filter(|socket| socket.is_shut_down()).count(), 1, "112 of 180 kB may stay");
    assert!(test.log().iter().any(|line| line.contains("server is short of memory")));
}

#[test]
fn the_eof_of_a_paused_peer_frees_its_memory() {
    let mut test = TestLoop::new(Limits { frame_timeout: Duration::ZERO, ..limits() });
    let sockets: Vec<ScriptedSocket> = (0..4).map(|_| test.connect()).collect();
    for socket in &sockets {
        socket.send(&framed(["x".repeat(50_000)])[..49_000]);
        test.run_until_idle();
    }
    assert!(test.event_loop.shared.is_over_memory_limit());
    sockets[0].reset();
    sockets[1].finish();
    sockets[2].reset();
    test.run_until_idle();
    assert!(!test.event_loop.shared.is_over_memory_limit());
    assert!(!test.connect().is_shut_down(), "pending connections are rejected although memory is free");
}

/// Urgent data must not bypass the bound.
#[test]
fn urgent_data_does_not_resume_a_paused_peer() {
    let mut test = TestLoop::new(limits());
    let [_, second, _] = large_holders(&mut test);
    second.send(&framed(["hello"]));
    test.script.report_urgent(test.script.key_of(&second).unwrap());
    test.run_until_idle();
    assert_eq!(second.unread(), framed(["hello"]).len());
}

#[test]
fn above_the_memory_limit_a_read_takes_up_to_a_share() {
    let mut test = TestLoop::new(Limits { frame_timeout: Duration::ZERO, ..limits() });
    let sockets: Vec<ScriptedSocket> = (0..20).map(|_| test.connect()).collect();
    for socket in &sockets {
        socket.send(&framed(["x".repeat(50_000)])[..49_000]);
        test.run_until_idle();
    }
    let held = test.event_loop.shared.worker.stats.buffered_bytes;
    assert!(held <= 120_000, "{held} bytes");
}

/// What a service sends is not bounded by reading less.
#[test]
fn at_the_memory_limit_the_largest_are_closed_at_once() {
    let mut test = TestLoop::new(Limits { max_frame_bytes: 1000, ..limits() });
    let sockets: Vec<ScriptedSocket> = (0..8).map(|_| test.connect()).collect();
    for socket in &sockets {
        socket.set_room(0);
        socket.send(&framed(["big 30000"]));
        test.run_until_idle();
        assert!(test.event_loop.shared.memory_sum() < 120_000);
    }
    let counters = &test.event_loop.shared.worker.stats;
    assert_eq!(
        (counters.ends.get("memory limit"), counters.faulted),
        (6, 6),
        "at each excess, until 75,000 bytes are left"
    );
}

/// A batch is counted once, and each of its receivers answers for it.
#[test]
fn a_batch_counts_once_for_all_its_receivers() {
    let mut test = TestLoop::new(limits());
    let sockets: Vec<ScriptedSocket> = (0..8).map(|_| test.connect()).collect();
    for socket in &sockets[1..] {
        socket.set_room(0);
    }
    let words = "x".repeat(20_000);
    sockets[0].send(&framed([format!("all {words}"), format!("all {words}")]));
    test.run_until_idle();
    assert_eq!(received(&sockets[0]).len(), 2);
    let counters = test.event_loop.shared.stats();
    assert!((40_000..42_000).contains(&counters.shared_bytes), "{counters:?}");
    assert!(counters.buffered_bytes < 7 * 500, "{counters:?}");
    assert!(!test.connect().is_shut_down(), "a newcomer is served");
    sockets[0].send(&framed([(); 3].map(|()| format!("all {words}"))));
    test.run_until_idle();
    assert!(test.event_loop.shared.is_over_memory_limit());
    test.advance_time(GRACE);
    assert_eq!(test.event_loop.shared.memory_sum(), 0, "they are freed with the last of their receivers");
}

#[test]
fn the_memory_grace_starts_anew_at_each_excess() {
    let mut test = TestLoop::new(limits());
    let [first, second, _] = large_holders(&mut test);
    test.advance_time(GRACE - Duration::from_secs(1));
    second.set_room(usize::MAX);
    test.run_until_idle();
    assert!(!test.event_loop.shared.is_over_memory_limit());
    second.set_room(0);
    second.send(&framed(["big 55000"]));
    test.run_until_idle();
    assert!(test.event_loop.shared.is_over_memory_limit());
    test.advance_time(Duration::from_secs(2));
    assert!(!first.is_closed() && !second.is_shut_down() && !first.is_shut_down());
    test.advance_time(Duration::from_secs(3));
    assert_eq!(test.log().iter().filter(|line| line.starts_with("close")).count(), 1);
}

/// What a service keeps for a connection is free only after its `on_close`. That is no reason to
/// close the next one.
#[test]
fn only_as_many_holders_are_closed_as_is_necessary() {
    let mut test = TestLoop::new(limits());
    let [largest, other, small] = [test.connect(), test.connect(), test.connect()];
    largest.send(&framed(["hold 0 100000"]));
    other.send(&framed(["x".repeat(20_000)])[..10_000]);
    small.send(&framed(["x".repeat(3_000)])[..2_000]);
    test.run_until_idle();
    assert!(test.event_loop.shared.is_over_memory_limit());
    test.advance_time(GRACE);
    assert!(largest.is_shut_down() && !other.is_shut_down() && !small.is_shut_down());
    assert!(!test.event_loop.shared.is_over_memory_limit());
}

/// Bytes that a service keeps count like queued output, in its connection and in the sum.
#[test]
fn bytes_that_a_service_holds_stop_the_reading_of_their_connection() {
    let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 1_000, ..Limits::default() });
    let (first, second) = (test.connect(), test.connect());
    first.send(&framed(["hold 0 501", "one"]));
    test.run_until_idle();
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 501 + framed(["one"]).len() as u64);
    assert!(received(&first).is_empty(), "what came with the request waits");
    first.send(&framed(["two"]));
    second.send(&framed(["hold 0 251"]));
    test.run_until_idle();
    assert!(received(&first).is_empty() && first.unread() > 0, "above low water");
    second.send(&framed(["hold 0 250"]));
    test.run_until_idle();
    assert_eq!(received(&first), ["one", "two"], "at low water another connection's callback resumes it");
    test.handle.post(ServiceId(0), Box::new("hold 0 7".to_owned())).unwrap();
    test.turn();
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 7);
    first.finish();
    test.run_until_idle();
    assert!(first.is_closed());
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0, "the end of the connection releases them");
}

#[test]
fn a_job_holds_its_bytes_until_its_output_is_delivered() {
    let mut test = TestLoop::new(Limits { max_write_buffer_bytes: 1_000, ..Limits::default() });
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["large-job 600"]));
    test.run_until_idle();
    socket.send(&framed(["one"]));
    test.run_until_idle();
    assert!(received(&socket).is_empty() && socket.unread() > 0);
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 600);
    drop(hold);
    test.wait_for_wake();
    assert_eq!(received(&socket), ["600", "one"]);
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0);
}

#[test]
fn the_job_of_a_removed_connection_still_holds_its_bytes() {
    let mut test = TestLoop::new(Limits::default());
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    let socket = test.connect();
    socket.send(&framed(["large-job 600", "hold 0 50"]));
    test.event_loop.run_turn().unwrap();
    test.event_loop.run_turn().unwrap();
    socket.reset();
    while !socket.is_closed() {
        test.event_loop.run_turn().unwrap();
    }
    assert!(!test.has_connection(&socket));
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 600);
    drop(hold);
    test.wait_for_wake();
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0);
}
