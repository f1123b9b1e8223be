//! Whatever the socket does, call by call, its peer gets the same bytes.

use super::{Rig, heard, wire};
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::limits::Limits;

/// Requests of several kinds, so that replies take several ways: copied, lent from the frame, and sent as an action.
fn requests() -> Vec<u8> {
    let lent = "L".repeat(9000);
    wire(["one", "", "twice two", &lent, "three", &lent, "tell 0 four", "five"])
}

fn expected() -> Vec<String> {
    let lent = "L".repeat(9000);
    ["one", "", "two", "two", &lent, "three", &lent, "four", "five"].map(str::to_owned).to_vec()
}

/// Serves [`requests`] over a socket prepared by `script`, in one piece or cut in two.
fn serve(cut: Option<usize>, script: impl FnOnce(&ScriptedSocket)) -> Vec<String> {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    script(&socket);
    let requests = requests();
    let (first, second) = requests.split_at(cut.unwrap_or(requests.len()));
    socket.send(first);
    if !second.is_empty() {
        rig.settle();
        socket.send(second);
    }
    rig.settle();
    socket.finish();
    rig.settle();
    assert!(socket.is_closed());
    assert_eq!(rig.log().last().unwrap(), "close 0 the peer closed");
    heard(&socket)
}

fn whole(calls: usize) -> impl Iterator<Item = ScriptedCall> {
    std::iter::repeat_n(ScriptedCall::Whole, calls)
}

#[test]
fn a_read_that_would_block_or_is_interrupted_at_any_call_loses_nothing() {
    for at in 0..6 {
        for refusal in [ScriptedCall::WouldBlock, ScriptedCall::Interrupted] {
            assert_eq!(
                serve(None, |socket| socket.script_reads(whole(at).chain([refusal]))),
                expected(),
                "{refusal:?} {at}"
            );
        }
    }
}

#[test]
fn a_write_that_would_block_or_is_interrupted_at_any_call_loses_nothing() {
    for at in 0..8 {
        for refusal in [ScriptedCall::WouldBlock, ScriptedCall::Interrupted] {
            let script = whole(at).chain([refusal; 2]);
            assert_eq!(serve(None, |socket| socket.script_writes(script)), expected(), "{refusal:?} {at}");
        }
    }
}

#[test]
fn every_length_of_a_short_read_gives_the_same_answers() {
    for bytes in (1..40).chain([8999, 9000, 9001, 9010, 9040]) {
        let script = [ScriptedCall::AtMost(bytes), ScriptedCall::AtMost(bytes), ScriptedCall::Interrupted];
        assert_eq!(serve(None, |socket| socket.script_reads(script)), expected(), "{bytes} bytes");
    }
}

#[test]
fn every_length_of_a_short_write_gives_the_same_answers() {
    for bytes in (1..40).chain([8999, 9000, 9001, 9010, 9040]) {
        for at in 0..4 {
            let script =
                whole(at).chain([ScriptedCall::AtMost(bytes), ScriptedCall::AtMost(1), ScriptedCall::Interrupted]);
            assert_eq!(serve(None, |socket| socket.script_writes(script)), expected(), "{bytes} bytes at {at}");
        }
    }
}

#[test]
fn input_cut_anywhere_and_taken_byte_by_byte_gives_the_same_answers() {
    for cut in (0..40).chain([9030, 9050, 18_010]) {
        let answers = serve(Some(cut), |socket| {
            socket.script_reads([ScriptedCall::AtMost(1); 50]);
            socket.script_writes([ScriptedCall::AtMost(1); 50]);
        });
        assert_eq!(answers, expected(), "cut at {cut}");
    }
}

#[test]
fn every_room_in_the_send_buffer_gives_the_same_bytes() {
    for room in 1..30 {
        let mut rig = Rig::new(Limits::default());
        let socket = rig.connect();
        socket.set_room(room);
        socket.send(&wire(["first", "twice second", "tell 0 third"]));
        rig.settle();
        assert_eq!(socket.written().len(), room);
        while socket.written().len() < wire(["first", "second", "second", "third"]).len() {
            socket.set_room(room);
            rig.settle();
        }
        assert_eq!(heard(&socket), ["first", "second", "second", "third"]);
    }
}

#[test]
fn a_pipeline_of_requests_is_answered_with_one_write() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire((0..100).map(|number| format!("request {number}"))));
    rig.settle();
    assert_eq!(heard(&socket).len(), 100);
    assert_eq!(socket.write_sizes().len(), 1);
}

#[test]
fn what_a_room_says_in_one_turn_leaves_each_member_in_one_write() {
    let mut rig = Rig::new(Limits::default());
    let members: Vec<ScriptedSocket> = (0..5).map(|_| rig.connect()).collect();
    for (number, member) in members.iter().enumerate() {
        member.send(&wire([format!("all from {number}")]));
    }
    rig.turn();
    for (number, member) in members.iter().enumerate() {
        assert_eq!(heard(member).len(), 5, "member {number}");
        // What it says itself comes with its own step's replies; the others' words come together.
        assert!(member.write_sizes().len() <= 3, "{:?}", member.write_sizes());
    }
}

#[test]
fn a_peer_sees_replies_and_messages_to_itself_in_the_order_in_which_they_were_said() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["a", "tell 0 b", "twice c", "d", "all e", "tell 0 f", "g"]));
    rig.settle();
    assert_eq!(heard(&socket), ["a", "b", "c", "c", "d", "e", "f", "g"]);
}

#[test]
fn an_empty_message_to_a_raw_connection_is_nothing_and_ends_nothing() {
    let mut rig = Rig::new(Limits::default());
    let raw = rig.connect_to(super::RAW);
    let other = rig.connect();
    other.send(&wire(["tell 0 "]));
    rig.settle();
    other.send(&wire(["tell 0 words"]));
    rig.settle();
    assert_eq!(raw.written(), b"words");
    assert!(!raw.is_closed());
}

#[test]
fn a_message_queued_earlier_in_a_turn_leaves_before_the_replies_of_the_step_after_it() {
    let mut rig = Rig::new(Limits::default());
    let (speaker, listener) = (rig.connect(), rig.connect());
    speaker.send(&wire(["tell 1 first"]));
    listener.send(&wire(["second"]));
    rig.turn();
    assert_eq!(heard(&listener), ["first", "second"]);
}
