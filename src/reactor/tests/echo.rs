//! The peer gets the same bytes, whatever each call on the socket does.

use super::{TestLoop, framed, received};
use crate::connection::scripted_stream::{ScriptedCall, ScriptedSocket};
use crate::engine::limits::Limits;

/// Requests whose replies take all ways: copied, borrowed from the frame, sent as an action.
fn requests() -> Vec<u8> {
    let large = "L".repeat(9000);
    framed(["one", "", "twice two", &large, "three", &large, "send 0 four", "five"])
}

fn expected() -> Vec<String> {
    let large = "L".repeat(9000);
    ["one", "", "two", "two", &large, "three", &large, "four", "five"].map(str::to_owned).to_vec()
}

/// Serves [`requests`] over a socket with a `script`, in one piece or cut in two. Returns the
/// answers.
fn serve(cut: Option<usize>, script: impl FnOnce(&ScriptedSocket)) -> Vec<String> {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    script(&socket);
    let requests = requests();
    let (first, second) = requests.split_at(cut.unwrap_or(requests.len()));
    socket.send(first);
    if !second.is_empty() {
        test.run_until_idle();
        socket.send(second);
    }
    test.run_until_idle();
    socket.finish();
    test.run_until_idle();
    assert!(socket.is_closed());
    assert_eq!(test.log().last().unwrap(), "close 0 the peer closed");
    received(&socket)
}

fn whole(calls: usize) -> impl Iterator<Item = ScriptedCall> {
    std::iter::repeat_n(ScriptedCall::Whole, calls)
}

#[test]
fn would_block_or_interrupted_reads_lose_nothing() {
    for at in 0..6 {
        for failure in [ScriptedCall::WouldBlock, ScriptedCall::Interrupted] {
            assert_eq!(
                serve(None, |socket| socket.script_reads(whole(at).chain([failure]))),
                expected(),
                "{failure:?} {at}"
            );
        }
    }
}

#[test]
fn would_block_or_interrupted_writes_lose_nothing() {
    for at in 0..8 {
        for failure in [ScriptedCall::WouldBlock, ScriptedCall::Interrupted] {
            let script = whole(at).chain([failure; 2]);
            assert_eq!(serve(None, |socket| socket.script_writes(script)), expected(), "{failure:?} {at}");
        }
    }
}

#[test]
fn short_reads_of_every_length_give_the_same_answers() {
    for bytes in (1..40).chain([8999, 9000, 9001, 9010, 9040]) {
        let script = [ScriptedCall::AtMost(bytes), ScriptedCall::AtMost(bytes), ScriptedCall::Interrupted];
        assert_eq!(serve(None, |socket| socket.script_reads(script)), expected(), "{bytes} bytes");
    }
}

#[test]
fn short_writes_of_every_length_give_the_same_answers() {
    for bytes in (1..40).chain([8999, 9000, 9001, 9010, 9040]) {
        for at in 0..4 {
            let script =
                whole(at).chain([ScriptedCall::AtMost(bytes), ScriptedCall::AtMost(1), ScriptedCall::Interrupted]);
            assert_eq!(serve(None, |socket| socket.script_writes(script)), expected(), "{bytes} bytes at {at}");
        }
    }
}

#[test]
fn input_cut_anywhere_gives_the_same_answers() {
    for cut in (0..40).chain([9030, 9050, 18_010]) {
        let answers = serve(Some(cut), |socket| {
            socket.script_reads([ScriptedCall::AtMost(1); 50]);
            socket.script_writes([ScriptedCall::AtMost(1); 50]);
        });
        assert_eq!(answers, expected(), "cut at {cut}");
    }
}

#[test]
fn every_send_buffer_size_gives_the_same_bytes() {
    for room in 1..30 {
        let mut test = TestLoop::new(Limits::default());
        let socket = test.connect();
        socket.set_room(room);
        socket.send(&framed(["first", "twice second", "send 0 third"]));
        test.run_until_idle();
        assert_eq!(socket.written().len(), room);
        while socket.written().len() < framed(["first", "second", "second", "third"]).len() {
            socket.set_room(room);
            test.run_until_idle();
        }
        assert_eq!(received(&socket), ["first", "second", "second", "third"]);
    }
}

#[test]
fn a_pipeline_of_requests_is_answered_with_one_write() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed((0..100).map(|number| format!("request {number}"))));
    test.run_until_idle();
    assert_eq!(received(&socket).len(), 100);
    assert_eq!(socket.write_sizes().len(), 1);
}

#[test]
fn a_turns_broadcasts_reach_each_member_in_one_write() {
    let mut test = TestLoop::new(Limits::default());
    let members: Vec<ScriptedSocket> = (0..5).map(|_| test.connect()).collect();
    for (number, member) in members.iter().enumerate() {
        member.send(&framed([format!("all from {number}")]));
    }
    test.turn();
    for (number, member) in members.iter().enumerate() {
        assert_eq!(received(member).len(), 5, "member {number}");
        // A member's own message leaves with its step's replies; the others' messages leave
        // together.
        assert!(member.write_sizes().len() <= 3, "{:?}", member.write_sizes());
    }
}

#[test]
fn replies_and_sends_to_itself_keep_their_order() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["a", "send 0 b", "twice c", "d", "all e", "send 0 f", "g"]));
    test.run_until_idle();
    assert_eq!(received(&socket), ["a", "b", "c", "c", "d", "e", "f", "g"]);
}

#[test]
fn an_empty_send_to_a_raw_connection_is_ignored() {
    let mut test = TestLoop::new(Limits::default());
    let raw = test.connect_to(super::RAW);
    let other = test.connect();
    other.send(&framed(["send 0 "]));
    test.run_until_idle();
    other.send(&framed(["send 0 words"]));
    test.run_until_idle();
    assert_eq!(raw.written(), b"words");
    assert!(!raw.is_closed());
}

#[test]
fn an_earlier_send_precedes_the_replies_of_a_later_step() {
    let mut test = TestLoop::new(Limits::default());
    let (speaker, listener) = (test.connect(), test.connect());
    speaker.send(&framed(["send 1 first"]));
    listener.send(&framed(["second"]));
    test.turn();
    assert_eq!(received(&listener), ["first", "second"]);
}
