//! Deadlines under a scripted clock.

use std::time::Duration;

use super::{TestLoop, framed, received};
use crate::engine::limits::Limits;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MILLI: Duration = Duration::from_millis(1);

/// Timeouts: frame 10 s, write 20 s, linger 1 s, idle unlimited. High water is 2000 bytes.
pub(super) fn limits() -> Limits {
    Limits {
        frame_timeout: 10 * SECOND,
        write_timeout: 20 * SECOND,
        linger_timeout: SECOND,
        max_write_buffer_bytes: 4000,
        ..Limits::default()
    }
}

pub(super) fn last(test: &TestLoop) -> String {
    test.log().last().cloned().unwrap_or_default()
}

#[test]
fn the_frame_timeout_counts_from_the_first_byte() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    test.advance_time(100 * SECOND);
    for byte in &framed(["twelve bytes"])[..10] {
        socket.send(&[*byte]);
        test.run_until_idle();
        test.advance_time(SECOND - MILLI);
        assert!(!socket.is_shut_down());
    }
    test.advance_time(10 * MILLI);
    assert!(socket.is_shut_down());
    assert!(last(&test).starts_with("close 0 frame timeout: frame incomplete after 10s"));
}

#[test]
fn each_frame_has_its_own_timeout() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    let stream = framed(["a frame"; 5]);
    // Each piece ends one frame and begins the next.
    for piece in stream.chunks(9 + 1) {
        socket.send(piece);
        test.run_until_idle();
        test.advance_time(9 * SECOND);
    }
    assert_eq!(received(&socket).len(), 5);
    assert!(!socket.is_shut_down());
}

#[test]
fn the_loop_sleeps_until_the_frame_deadline() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.send(&[0]);
    assert_eq!(test.run_until_idle(), Some(10 * SECOND));
    test.script.advance(4 * SECOND);
    test.turn();
    assert_eq!(test.run_until_idle(), Some(6 * SECOND));
}

#[test]
fn the_frame_timeout_excludes_read_pauses() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.set_room(0);
    let mut bytes = framed(["big 3000"]);
    bytes.extend(&framed(["half a frame"])[..5]);
    socket.send(&bytes);
    test.run_until_idle();
    for _ in 0..3 {
        // One byte at a time keeps the write deadline from passing and reading paused.
        test.advance_time(15 * SECOND);
        socket.set_room(1);
        test.run_until_idle();
    }
    socket.set_room(usize::MAX);
    test.run_until_idle();
    assert!(!socket.is_shut_down());
    test.advance_time(10 * SECOND - MILLI);
    assert!(!socket.is_shut_down(), "the frame's time goes on from where the pause began");
    test.advance_time(MILLI);
    assert!(socket.is_shut_down());
}

#[test]
fn the_idle_timeout_needs_silence_in_both_directions() {
    let mut test = TestLoop::new(Limits { idle_timeout: 5 * SECOND, ..limits() });
    let (idle, busy, listening) = (test.connect(), test.connect(), test.connect());
    for _ in 0..4 {
        test.advance_time(2 * SECOND);
        busy.send(&framed(["send 2 something"]));
        test.run_until_idle();
    }
    assert!(idle.is_shut_down());
    assert!(!busy.is_shut_down() && !listening.is_shut_down());
    assert_eq!(last(&test), "close 0 idle timeout: no data for 5s");
    assert_eq!(test.event_loop.shared.worker.stats.faulted, 0);
}

#[test]
fn a_connection_with_a_running_job_is_not_idle() {
    let mut test = TestLoop::new(Limits { idle_timeout: 5 * SECOND, ..limits() });
    let socket = test.connect();
    let gate = test.service.gate();
    let hold = gate.lock().unwrap();
    socket.send(&framed(["job done"]));
    test.run_until_idle();
    test.advance_time(60 * SECOND);
    assert!(!socket.is_shut_down());
    drop(hold);
    test.wait_for_wake();
    assert_eq!(received(&socket), ["done"]);
    test.advance_time(5 * SECOND);
    assert!(socket.is_shut_down());
}

#[test]
fn the_write_timeout_counts_from_the_last_byte_taken() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.set_room(1);
    socket.send(&framed(["big 1000"]));
    test.run_until_idle();
    for _ in 0..5 {
        test.advance_time(19 * SECOND);
        socket.set_room(1);
        test.run_until_idle();
    }
    assert!(!socket.is_closed());
    test.advance_time(20 * SECOND - MILLI);
    assert!(!socket.is_closed());
    test.advance_time(MILLI);
    assert!(socket.is_closed());
    assert_eq!(last(&test), "close 0 write timeout: the peer received no byte for 20s");
}

#[test]
fn a_send_starts_the_receivers_write_timeout() {
    let mut test = TestLoop::new(limits());
    let (slow, speaker) = (test.connect(), test.connect());
    slow.set_room(0);
    test.advance_time(100 * SECOND);
    speaker.send(&framed(["send 0 words"]));
    test.run_until_idle();
    test.advance_time(19 * SECOND);
    assert!(!slow.is_closed());
    test.advance_time(SECOND);
    assert!(slow.is_closed());
}

#[test]
fn the_write_timeout_ends_a_flush_and_frees_its_bytes() {
    let mut test = TestLoop::new(limits());
    let socket = test.connect();
    socket.set_room(0);
    socket.send(&framed(["big 1000", "close"]));
    test.run_until_idle();
    assert!(test.event_loop.shared.worker.stats.buffered_bytes > 1000);
    test.advance_time(20 * SECOND);
    assert!(socket.is_closed());
    assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0);
    assert_eq!(last(&test), "close 0 asked to");
}

#[test]
fn the_linger_timeout_ends_a_silent_or_sending_peer() {
    for sends in [false, true] {
        let mut test = TestLoop::new(limits());
        let socket = test.connect();
        socket.send(&framed(["close"]));
        test.run_until_idle();
        assert!(socket.is_shut_down());
        for _ in 0..9 {
            test.advance_time(SECOND / 10);
            if sends {
                socket.send(b"and another thing");
                test.run_until_idle();
            }
            assert!(!socket.is_closed());
        }
        test.advance_time(SECOND / 10);
        assert!(socket.is_closed(), "sends: {sends}");
    }
}

#[test]
fn a_timeout_of_zero_means_unlimited() {
    let zero = Duration::ZERO;
    let mut test = TestLoop::new(Limits {
        frame_timeout: zero,
        write_timeout: zero,
        idle_timeout: zero,
        min_read_rate: 0,
        ..limits()
    });
    let (half, owing) = (test.connect(), test.connect());
    half.send(&[0]);
    owing.set_room(0);
    owing.send(&framed(["big 10"]));
    assert_eq!(test.run_until_idle(), None, "no timer is set");
    test.advance_time(1_000_000 * SECOND);
    assert!(!half.is_shut_down() && !owing.is_shut_down());
}

#[test]
fn more_output_does_not_extend_the_write_timeout() {
    let mut test = TestLoop::new(limits());
    let (slow, speaker) = (test.connect(), test.connect());
    slow.set_room(0);
    for _ in 0..4 {
        speaker.send(&framed(["send 0 words"]));
        test.run_until_idle();
        test.advance_time(5 * SECOND);
    }
    assert!(slow.is_closed());
}

#[test]
fn the_idle_timeout_excludes_read_pauses() {
    let unlimited = Duration::ZERO;
    let mut test = TestLoop::new(Limits {
        idle_timeout: 5 * SECOND,
        frame_timeout: unlimited,
        max_buffered_bytes: 120_000,
        max_frame_bytes: 60_000,
        ..Limits::default()
    });
    let (first, held_back) = (test.connect(), test.connect());
    for socket in [&first, &held_back] {
        socket.send(&framed(["x".repeat(50_000)])[..49_000]);
        test.run_until_idle();
    }
    test.advance_time(3 * SECOND);
    first.reset();
    test.run_until_idle();
    test.advance_time(5 * SECOND - MILLI);
    assert!(!held_back.is_shut_down());
    test.advance_time(MILLI);
    assert!(held_back.is_shut_down());
}

#[test]
fn after_a_pause_idle_time_counts_from_the_last_byte() {
    let mut test = TestLoop::new(Limits { idle_timeout: 5 * SECOND, ..limits() });
    let socket = test.connect();
    socket.set_room(0);
    socket.send(&framed(["big 3000"]));
    test.run_until_idle();
    test.advance_time(10 * SECOND);
    socket.set_room(usize::MAX);
    test.run_until_idle();
    test.advance_time(5 * SECOND - MILLI);
    assert!(!socket.is_shut_down());
    test.advance_time(MILLI);
    assert!(socket.is_shut_down());
}
