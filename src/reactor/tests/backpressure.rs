//! Peers that do not read: when they are no longer read themselves, what waits for them, and when they have to go.

use super::{Rig, frames, heard, wire};
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::limits::{Limits, SlowConsumer};

/// High water 2000 bytes, low water 1000.
fn limits() -> Limits {
    Limits { max_write_buffer_bytes: 4000, ..Limits::default() }
}

fn requests(count: usize) -> Vec<u8> {
    wire(std::iter::repeat_n("big 500", count))
}

#[test]
fn a_peer_that_does_not_read_is_not_read_and_goes_on_below_low_water() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    for _ in 0..10 {
        socket.send(&requests(1));
        rig.settle();
    }
    let (unread, frames_in) = (socket.unread(), rig.turn.desk.stats.frames_in);
    assert!(unread > 0 && frames_in < 10, "{frames_in} of 10 requests were read");
    assert_eq!(rig.turn.desk.stats.read_pauses, 1);
    // Between the two marks nothing changes.
    socket.set_room(600);
    rig.settle();
    assert_eq!(socket.unread(), unread);
    socket.set_room(1000);
    rig.settle();
    assert!(socket.unread() < unread, "reading went on without another readable event");
    socket.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&socket).len(), 10);
}

#[test]
fn small_requests_for_large_answers_are_answered_completely_and_later() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    let asked: Vec<String> = (0..400).map(|number| format!("{number}")).collect();
    let pairs = asked.iter().flat_map(|number| [number.clone(), "big 500".to_owned()]);
    socket.send(&wire(pairs));
    socket.finish();
    let bytes = socket.unread();
    let mut rounds = 0;
    while !socket.is_closed() {
        rig.settle();
        let held = usize::try_from(rig.turn.desk.stats.buffered_bytes).unwrap();
        // What one write collects (64 KiB) may stand above high water; the answers to the rest do not exist yet.
        assert!(held < bytes + 2000 + 64 * 1024 + 500, "{held} bytes are held");
        socket.set_room(700);
        rounds += 1;
        assert!(rounds < 1000, "the peer waits for {:?}", rig.turn.desk.stats);
    }
    let numbers: Vec<String> = heard(&socket).into_iter().filter(|answer| answer.len() < 500).collect();
    assert_eq!(numbers, asked, "all answers, in order");
    assert_eq!(rig.log().last().unwrap(), "close 0 the peer closed");
}

#[test]
fn a_pipelining_peer_whose_requests_also_act_is_paused_and_not_cut_off() {
    let mut rig = Rig::new(Limits { max_write_buffer_bytes: 32 * 1024, ..Limits::default() });
    let (socket, _other) = (rig.connect(), rig.connect());
    socket.set_room(0);
    let large = "act ".to_owned() + &"x".repeat(9000);
    socket.send(&wire(std::iter::repeat_n(&large, 25)));
    rig.settle();
    socket.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&socket).len(), 25);
    assert!(!socket.is_closed());
}

/// A reader that takes nothing, and a speaker that tells it `count` numbered messages of 500 bytes.
fn overwhelm(policy: SlowConsumer, count: usize) -> (Rig, ScriptedSocket) {
    let mut rig = Rig::new(Limits { slow_consumer: policy, ..limits() });
    let (slow, speaker) = (rig.connect(), rig.connect());
    slow.set_room(100);
    for number in 0..count {
        speaker.send(&wire([format!("tell 0 {number:0500}")]));
        rig.settle();
        let pending = rig.turn.conns.iter().map(|(_, conn)| conn.pending_bytes()).max();
        assert!(pending < Some(4000 + 502), "bounded by the cap and one frame");
    }
    (rig, slow)
}

#[test]
fn a_slow_consumer_is_disconnected_at_the_cap_and_no_byte_follows_the_half_frame() {
    let (mut rig, slow) = overwhelm(SlowConsumer::Disconnect, 20);
    assert!(slow.is_closed());
    let lines = rig.log();
    assert!(lines.iter().any(|line| line.starts_with("close 0 slow consumer: 4")), "{lines:?}");
    assert_eq!(slow.written().len(), 100);
    assert_eq!(rig.turn.desk.stats.faulted, 1);
    assert_eq!(rig.turn.desk.stats.buffered_bytes, 0);
    rig.settle();
}

#[test]
fn a_slow_consumer_gets_no_last_word_in_the_middle_of_a_frame() {
    let mut rig = Rig::new(limits());
    rig.puppet.strings().farewell = Some("goodbye".to_owned());
    let (speaker, slow) = (rig.connect(), rig.connect());
    slow.set_room(100);
    for _ in 0..9 {
        speaker.send(&wire(["tell 1 ".to_owned() + &"x".repeat(500)]));
        rig.settle();
    }
    assert!(!slow.is_closed());
    speaker.send(&wire(["tell 1 ".to_owned() + &"x".repeat(500)]));
    rig.turn();
    slow.set_room(usize::MAX);
    rig.settle();
    assert!(slow.is_closed());
    assert_eq!(slow.written().len(), 100, "what follows half a frame would be read as its other half");
}

#[test]
fn a_slow_consumer_that_reads_in_the_very_turn_is_none() {
    let mut rig = Rig::new(limits());
    let (speaker, slow) = (rig.connect(), rig.connect());
    slow.set_room(100);
    for _ in 0..9 {
        speaker.send(&wire(["tell 1 ".to_owned() + &"x".repeat(500)]));
        rig.settle();
    }
    // The message that is too much comes in the same turn as the room, and before it.
    speaker.send(&wire(["tell 1 ".to_owned() + &"x".repeat(500)]));
    slow.set_room(usize::MAX);
    rig.settle();
    assert!(!slow.is_closed());
    assert_eq!(heard(&slow).len(), 10);
}

#[test]
fn dropping_the_newest_keeps_the_oldest_in_order() {
    let (mut rig, slow) = overwhelm(SlowConsumer::DropNewest, 20);
    slow.set_room(usize::MAX);
    rig.settle();
    let kept: Vec<usize> = heard(&slow).iter().map(|words| words.parse().unwrap()).collect();
    assert_eq!(kept, (0..kept.len()).collect::<Vec<_>>());
    assert_eq!(rig.turn.desk.stats.frames_dropped, 20 - kept.len() as u64);
    assert!(!slow.is_closed());
}

#[test]
fn dropping_the_oldest_keeps_the_one_begun_and_the_newest_in_order() {
    let (mut rig, slow) = overwhelm(SlowConsumer::DropOldest, 20);
    slow.set_room(usize::MAX);
    rig.settle();
    let kept: Vec<usize> = heard(&slow).iter().map(|words| words.parse().unwrap()).collect();
    assert_eq!(kept[0], 0, "half of it was sent before");
    let newest = 20 - (kept.len() - 1)..20;
    assert_eq!(kept[1..], newest.collect::<Vec<_>>());
    assert_eq!(rig.turn.desk.stats.frames_dropped, 20 - kept.len() as u64);
}

#[test]
fn a_broadcast_disconnects_the_slow_and_reaches_the_others() {
    let mut rig = Rig::new(limits());
    let sockets = [rig.connect(), rig.connect(), rig.connect()];
    sockets[1].set_room(1);
    for _ in 0..20 {
        sockets[0].send(&wire(["all ".to_owned() + &"x".repeat(500)]));
        rig.settle();
    }
    assert!(sockets[1].is_closed());
    assert_eq!((heard(&sockets[0]).len(), heard(&sockets[2]).len()), (20, 20));
    assert_eq!(frames(&sockets[1].written()).0.len(), 0);
}

#[test]
fn one_frame_larger_than_the_cap_passes() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(100);
    socket.send(&wire(["big 50000"]));
    rig.settle();
    socket.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&socket)[0].len(), 50_000);
}

#[test]
fn a_service_that_waits_for_room_is_told_once_there_is_some() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    socket.send(&wire(["big 3000"]));
    rig.settle();
    socket.set_room(100);
    rig.settle();
    assert_eq!(rig.log(), ["open 0"]);
    socket.set_room(usize::MAX);
    rig.settle();
    assert_eq!(rig.log(), ["drain 0"]);
}

#[test]
fn an_answer_sent_a_piece_at_a_time_is_never_held_whole() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.set_room(0);
    socket.send(&wire(["stream 30000"]));
    while socket.written().len() < 300 * 102 {
        rig.settle();
        assert!(rig.turn.desk.stats.buffered_bytes < 2000);
        socket.set_room(500);
    }
    assert_eq!(heard(&socket).concat().len(), 30_000);
}

#[test]
fn a_peer_that_has_sent_its_end_still_gets_the_whole_of_such_an_answer() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.send(&wire(["stream 30000"]));
    socket.finish();
    rig.settle();
    assert_eq!(heard(&socket).concat().len(), 30_000);
    assert!(socket.is_closed());
}

#[test]
fn room_reported_for_a_peer_that_is_owed_nothing_costs_no_call() {
    let mut rig = Rig::new(limits());
    let socket = rig.connect();
    socket.script_writes([ScriptedCall::Fails(std::io::ErrorKind::Other)]);
    rig.world.report(rig.world.key_of(&socket).unwrap(), false, true, false);
    rig.settle();
    assert!(!socket.is_closed());
}
