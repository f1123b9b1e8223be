//! Deadlines under a clock that moves when it is told to.

use std::time::Duration;

use super::{Rig, heard, wire};
use crate::engine::limits::Limits;

const SECOND: Duration = Duration::from_secs(1);
const JUST: Duration = Duration::from_millis(1);

/// Frames have 10 seconds, writes 20, lingering 1, idling is allowed; high water is 2000 bytes.
fn limits() -> Limits {
    Limits {
        frame_timeout: 10 * SECOND,
        write_timeout: 20 * SECOND,
        linger_timeout: SECOND,
        max_write_buffer_bytes: 4000,
        ..Limits::default()
    }
}

fn last(rig: &Rig) -> String {
    rig.log().last().cloned().unwrap_or_default()
}

#[test]
fn a_frame_has_its_time_from_its_first_byte_however_often_more_arrives() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    rig.elapse(100 * SECOND);
    for byte in &wire(["twelve bytes"])[..10] {
        socket.send(&[*byte]);
        rig.settle();
        rig.elapse(SECOND - JUST);
        assert!(!socket.is_shut_down());
    }
    rig.elapse(10 * JUST);
    assert!(socket.is_shut_down());
    assert!(last(&rig).starts_with("close 0 frame timeout: frame incomplete after 10s"));
}

#[test]
fn each_frame_has_a_time_of_its_own() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    let stream = wire(["a frame"; 5]);
    // Cut so that every piece ends one frame and begins the next.
    for piece in stream.chunks(9 + 1) {
        socket.send(piece);
        rig.settle();
        rig.elapse(9 * SECOND);
    }
    assert_eq!(heard(&socket).len(), 5);
    assert!(!socket.is_shut_down());
}

#[test]
fn a_loop_with_half_a_frame_sleeps_until_its_deadline_and_no_longer() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.send(&[0]);
    assert_eq!(rig.settle(), Some(10 * SECOND));
    rig.world.advance(4 * SECOND);
    rig.turn();
    assert_eq!(rig.settle(), Some(6 * SECOND));
}

#[test]
fn time_in_which_we_did_not_read_is_not_held_against_a_frame() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    let mut bytes = wire(["big 3000"]);
    bytes.extend(&wire(["half a frame"])[..5]);
    socket.send(&bytes);
    rig.settle();
    for _ in 0..3 {
        // One byte at a time keeps the write deadline away and reading paused.
        rig.elapse(15 * SECOND);
        socket.set_room(1);
        rig.settle();
    }
    socket.set_room(usize::MAX);
    rig.settle();
    assert!(!socket.is_shut_down());
    rig.elapse(10 * SECOND - JUST);
    assert!(!socket.is_shut_down(), "the frame's time begins where it stood when we paused");
    rig.elapse(JUST);
    assert!(socket.is_shut_down());
}

#[test]
fn an_idle_connection_ends_when_nothing_moved_in_either_direction() {
    let mut rig = Rig::new(Limits { idle_timeout: 5 * SECOND, ..limits() });
    let (idle, busy, hearing) = (rig.connect(), rig.connect(), rig.connect());
    for _ in 0..4 {
        rig.elapse(2 * SECOND);
        busy.send(&wire(["tell 2 something"]));
        rig.settle();
    }
    assert!(idle.is_shut_down());
    assert!(!busy.is_shut_down() && !hearing.is_shut_down());
    assert_eq!(last(&rig), "close 0 idle timeout: no data for 5s");
    assert_eq!(rig.turn.desk.stats.faulted, 0);
}

#[test]
fn a_connection_is_not_idle_while_work_is_done_for_it() {
    let mut rig = Rig::new(Limits { idle_timeout: 5 * SECOND, ..limits() });
    let socket = rig.connect();
    let gate = rig.puppet.gate();
    let hold = gate.lock().unwrap();
    socket.send(&wire(["job done"]));
    rig.settle();
    rig.elapse(60 * SECOND);
    assert!(!socket.is_shut_down());
    drop(hold);
    rig.await_wake();
    assert_eq!(heard(&socket), ["done"]);
    rig.elapse(5 * SECOND);
    assert!(socket.is_shut_down());
}

#[test]
fn a_peer_that_takes_a_byte_now_and_then_is_slow_and_one_that_takes_none_is_gone() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(1);
    socket.send(&wire(["big 1000"]));
    rig.settle();
    for _ in 0..5 {
        rig.elapse(19 * SECOND);
        socket.set_room(1);
        rig.settle();
    }
    assert!(!socket.is_closed());
    rig.elapse(20 * SECOND - JUST);
    assert!(!socket.is_closed());
    rig.elapse(JUST);
    assert!(socket.is_closed());
    assert_eq!(last(&rig), "close 0 write timeout: the peer received no byte for 20s");
}

#[test]
fn a_message_from_another_connection_starts_the_time_to_take_it() {
    let mut rig = Rig::new(limits());
    let (slow, speaker) = (rig.connect(), rig.connect());
    slow.set_room(0);
    rig.elapse(100 * SECOND);
    speaker.send(&wire(["tell 0 words"]));
    rig.settle();
    rig.elapse(19 * SECOND);
    assert!(!slow.is_closed());
    rig.elapse(SECOND);
    assert!(slow.is_closed());
}

#[test]
fn a_peer_that_takes_none_of_its_last_words_is_given_up_and_its_bytes_no_longer_count() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    socket.send(&wire(["big 1000", "close"]));
    rig.settle();
    assert!(rig.turn.desk.stats.buffered_bytes > 1000);
    rig.elapse(20 * SECOND);
    assert!(socket.is_closed());
    assert_eq!(rig.turn.desk.stats.buffered_bytes, 0);
    assert_eq!(last(&rig), "close 0 asked to");
}

#[test]
fn after_our_end_a_silent_or_talkative_peer_has_the_linger_time_and_no_more() {
    for talks in [false, true] {
        let mut rig = Rig::new(limits());
        let socket = rig.connect();
        socket.send(&wire(["close"]));
        rig.settle();
        assert!(socket.is_shut_down());
        for _ in 0..9 {
            rig.elapse(SECOND / 10);
            if talks {
                socket.send(b"and another thing");
                rig.settle();
            }
            assert!(!socket.is_closed());
        }
        rig.elapse(SECOND / 10);
        assert!(socket.is_closed(), "talks: {talks}");
    }
}

#[test]
fn timeouts_of_zero_are_none() {
    let zero = Duration::ZERO;
    let mut rig = Rig::new(Limits { frame_timeout: zero, write_timeout: zero, idle_timeout: zero, ..limits() });
    let (half, owing) = (rig.connect(), rig.connect());
    half.send(&[0]);
    owing.set_room(0);
    owing.send(&wire(["big 10"]));
    assert_eq!(rig.settle(), None, "there is nothing to wake for");
    rig.elapse(1_000_000 * SECOND);
    assert!(!half.is_shut_down() && !owing.is_shut_down());
}

#[test]
fn more_that_is_owed_does_not_give_a_peer_more_time() {
    let mut rig = Rig::new(limits());
    let (slow, speaker) = (rig.connect(), rig.connect());
    slow.set_room(0);
    for _ in 0..4 {
        speaker.send(&wire(["tell 0 words"]));
        rig.settle();
        rig.elapse(5 * SECOND);
    }
    assert!(slow.is_closed());
}

#[test]
fn time_in_which_we_did_not_read_is_no_idleness() {
    let none = Duration::ZERO;
    let mut rig = Rig::new(Limits {
        idle_timeout: 5 * SECOND,
        frame_timeout: none,
        max_buffered_bytes: 100_000,
        max_frame_bytes: 60_000,
        ..Limits::default()
    });
    let (first, held_back) = (rig.connect(), rig.connect());
    for socket in [&first, &held_back] {
        socket.send(&wire(["x".repeat(50_000)])[..49_000]);
        rig.settle();
    }
    rig.elapse(3 * SECOND);
    first.reset();
    rig.settle();
    rig.elapse(5 * SECOND - JUST);
    assert!(!held_back.is_shut_down());
    rig.elapse(JUST);
    assert!(held_back.is_shut_down());
}

#[test]
fn after_a_pause_idleness_counts_from_the_last_byte_and_not_from_later() {
    let mut rig = Rig::new(Limits { idle_timeout: 5 * SECOND, ..limits() });
    let socket = rig.connect();
    socket.set_room(0);
    socket.send(&wire(["big 3000"]));
    rig.settle();
    rig.elapse(10 * SECOND);
    socket.set_room(usize::MAX);
    rig.settle();
    rig.elapse(5 * SECOND - JUST);
    assert!(!socket.is_shut_down());
    rig.elapse(JUST);
    assert!(socket.is_shut_down());
}
