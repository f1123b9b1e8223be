//! How connections end: whose fault it was, what is still delivered, and that their service hears of it once.

use std::io;

use super::{LINES, RAW, Rig, heard, wire};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::limits::Limits;

#[test]
fn a_peer_that_closes_between_frames_has_closed_in_good_order() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["hello"]));
    rig.settle();
    socket.finish();
    rig.settle();
    assert_eq!(heard(&socket), ["hello"]);
    assert!(socket.is_closed());
    assert_eq!(rig.log(), ["open 0", "close 0 the peer closed"]);
    assert_eq!((rig.turn.desk.stats.closed, rig.turn.desk.stats.faulted), (1, 0));
}

#[test]
fn data_and_end_in_one_event_are_both_found_whatever_each_read_takes() {
    for script in [
        vec![],
        vec![ScriptedCall::AtMost(3)],
        vec![ScriptedCall::AtMost(7)],
        vec![ScriptedCall::WouldBlock],
        vec![ScriptedCall::Interrupted],
    ] {
        let mut rig = Rig::new(Limits::default());
        let socket = rig.connect();
        socket.script_reads(script.clone());
        socket.send(&wire(["hello"]));
        socket.finish();
        rig.settle();
        assert_eq!(heard(&socket), ["hello"], "{script:?}");
        assert!(socket.is_closed(), "the end was found without another event: {script:?}");
    }
}

#[test]
fn data_and_end_in_the_event_of_the_connection_itself_are_both_found() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.world.connect(0);
    socket.send(&wire(["hello"]));
    socket.finish();
    rig.settle();
    assert_eq!(heard(&socket), ["hello"]);
    assert!(socket.is_closed());
}

#[test]
fn an_end_that_arrives_between_two_reads_of_one_turn_is_found() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    // The event reported data only; by the time it is read, the peer has sent its end as well, which is an edge of its own.
    socket.send(&wire(["hello"]));
    rig.world.report(rig.world.key_of(&socket).unwrap(), true, false, false);
    socket.take_edge();
    socket.finish();
    rig.settle();
    assert_eq!(heard(&socket), ["hello"]);
    assert!(socket.is_closed());
}

#[test]
fn a_peer_that_closes_inside_a_frame_is_at_fault_and_what_came_before_is_answered() {
    for cut in 1..7 {
        let mut rig = Rig::new(Limits::default());
        let socket = rig.connect();
        let mut bytes = wire(["whole"]);
        bytes.extend(&wire(["whole"])[..cut]);
        socket.send(&bytes);
        socket.finish();
        rig.settle();
        assert_eq!(heard(&socket), ["whole"]);
        let words = format!("close 0 the peer closed inside a frame, {cut} bytes into it");
        assert!(rig.log().last().unwrap().starts_with(&words), "cut at {cut}");
        assert_eq!(rig.turn.desk.stats.faulted, 1);
    }
}

#[test]
fn the_last_line_is_answered_though_its_line_feed_never_came() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect_to(LINES);
    socket.send(b"first\nlast");
    socket.finish();
    rig.settle();
    assert_eq!(socket.written(), b"first\nlast\n");
    assert_eq!(rig.log().last().unwrap(), "close 0 the peer closed");
}

#[test]
fn a_raw_stream_is_echoed_as_it_came_to_its_end() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect_to(RAW);
    socket.send(b"any bytes");
    rig.settle();
    socket.send(b" at all");
    socket.finish();
    rig.settle();
    assert_eq!(socket.written(), b"any bytes at all");
    assert!(socket.is_closed());
}

#[test]
fn bytes_that_are_no_frame_end_the_connection_after_the_answers_before_them() {
    let mut rig = Rig::new(Limits { max_frame_bytes: 100, ..Limits::default() });
    let socket = rig.connect();
    let mut bytes = wire(["fine"]);
    bytes.extend([0xff, 0xff, 1, 2, 3]);
    socket.send(&bytes);
    rig.settle();
    assert_eq!(heard(&socket), ["fine"]);
    assert!(socket.is_shut_down() && !socket.is_closed(), "our side is closed first, the peer's is waited for");
    socket.finish();
    rig.settle();
    assert!(socket.is_closed());
    assert!(rig.log()[1].starts_with("close 0 frame too large: 65535 bytes declared"));
}

#[test]
fn a_reply_that_the_framing_cannot_carry_ends_the_connection() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["before", "big 70000", "after"]));
    rig.settle();
    assert_eq!(heard(&socket), ["before"]);
    assert!(rig.log()[1].starts_with("close 0 the reply cannot be sent: 70000 bytes"));
}

#[test]
fn a_reset_ends_the_connection_in_whatever_state_it_is() {
    let states: [(&str, &[&str], usize); 4] = [
        ("idle", &[], usize::MAX),
        ("served", &["a"], usize::MAX),
        ("owing", &["big 5000"], 10),
        ("closing", &["big 5000", "close"], 10),
    ];
    for (state, requests, room) in states {
        let mut rig = Rig::new(Limits::default());
        let socket = rig.connect();
        socket.set_room(room);
        socket.send(&wire(requests));
        rig.settle();
        socket.reset();
        rig.settle();
        assert!(socket.is_closed(), "{state}");
        assert_eq!(rig.log().iter().filter(|line| line.starts_with("close")).count(), 1, "{state}");
        assert_eq!(rig.turn.desk.stats.buffered_bytes, 0, "{state}");
    }
}

#[test]
fn a_reset_while_we_linger_closes_at_once() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["close"]));
    rig.settle();
    assert!(socket.is_shut_down() && !socket.is_closed());
    socket.reset();
    rig.settle();
    assert!(socket.is_closed());
}

#[test]
fn every_kind_of_failed_call_ends_its_connection_and_no_other() {
    for kind in
        [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::TimedOut, io::ErrorKind::Other]
    {
        let mut rig = Rig::new(Limits::default());
        let (reader, writer, other) = (rig.connect(), rig.connect(), rig.connect());
        reader.script_reads([ScriptedCall::Fails(kind)]);
        writer.script_writes([ScriptedCall::Fails(kind)]);
        for socket in [&reader, &writer, &other] {
            socket.send(&wire(["hello"]));
        }
        rig.settle();
        assert!(reader.is_closed() && writer.is_closed() && !other.is_closed());
        assert_eq!(heard(&other), ["hello"]);
        assert_eq!(rig.turn.desk.stats.faulted, 2);
    }
}

#[test]
fn a_last_word_is_sent_before_our_side_is_shut_down() {
    let mut rig = Rig::new(Limits::default());
    rig.puppet.strings().farewell = Some("goodbye".to_owned());
    let socket = rig.connect();
    socket.set_room(10);
    socket.send(&wire(["a", "close", "never answered"]));
    rig.settle();
    assert!(!socket.is_shut_down(), "not all is sent yet");
    socket.set_room(usize::MAX);
    rig.settle();
    assert_eq!(heard(&socket), ["a", "goodbye"]);
    assert!(socket.is_shut_down());
}

#[test]
fn input_after_our_end_is_discarded_until_the_peer_closes() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["close"]));
    rig.settle();
    for _ in 0..3 {
        socket.send(&vec![0; 600 * 1024]);
        rig.settle();
        assert_eq!(socket.unread(), 0);
    }
    socket.send(b"and data with the end");
    socket.finish();
    rig.settle();
    assert!(socket.is_closed());
    assert_eq!(rig.log(), ["open 0", "close 0 asked to"]);
}

#[test]
fn somebody_elses_shutdown_does_not_cut_a_lingering_connection_short() {
    let mut rig = Rig::new(Limits::default());
    let (stopper, lingering) = (rig.connect(), rig.connect());
    lingering.send(&wire(["close"]));
    rig.settle();
    // Both in one turn, the stopper first: the lingering peer's input is still unread when everybody is told to leave.
    stopper.send(&wire(["stop"]));
    lingering.send(b"more");
    rig.turn();
    assert!(!lingering.is_closed(), "a close with unread input would be a reset");
    rig.settle();
    assert_eq!(lingering.unread(), 0);
}

#[test]
fn the_first_reason_to_end_is_the_one_that_the_service_is_told() {
    let mut rig = Rig::new(Limits::default());
    let (socket, other) = (rig.connect(), rig.connect());
    socket.send(&wire(["close"]));
    other.send(&wire(["kick 0"]));
    rig.settle();
    assert_eq!(rig.log()[2..], ["close 0 asked to"]);
}

#[test]
fn a_kicked_connection_hears_what_it_was_owed_and_asks_no_more() {
    let mut rig = Rig::new(Limits::default());
    let (victim, kicker) = (rig.connect(), rig.connect());
    kicker.send(&wire(["tell 0 beware", "kick 0"]));
    victim.send(&wire(["too late"]));
    rig.settle();
    assert!(heard(&victim).contains(&"beware".to_owned()));
    assert!(victim.is_shut_down());
    assert_eq!(rig.log().iter().filter(|line| *line == "close 0 kicked").count(), 1);
}

#[test]
fn what_a_callback_asked_for_stays_its_own_when_its_reply_cannot_be_sent() {
    let mut rig = Rig::new(Limits::default());
    let (failing, other) = (rig.connect(), rig.connect());
    failing.send(&wire(["fail 1"]));
    // In the same turn, and after it.
    other.send(&wire(["act"]));
    rig.settle();
    assert_eq!(heard(&other), ["before the end", "act"]);
    assert!(failing.is_shut_down());
    let mut log = rig.log();
    // The worker may have been as quick as the turns before.
    if !log.iter().any(|line| line.starts_with("job")) {
        rig.await_wake();
    }
    rig.elapse(std::time::Duration::from_secs(2));
    log.extend(rig.log());
    assert!(log.iter().any(|line| line == "job 0 a secret"), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(" 1 ") && !line.starts_with("open")), "{log:?}");
}

#[test]
fn services_hear_of_ends_in_the_order_of_the_ends() {
    let mut rig = Rig::new(Limits::default());
    let sockets = [rig.connect(), rig.connect(), rig.connect()];
    rig.log();
    for socket in &sockets {
        socket.finish();
    }
    rig.settle();
    assert_eq!(rig.log(), ["close 0 the peer closed", "close 1 the peer closed", "close 2 the peer closed"]);
}

#[test]
fn a_member_hears_its_own_message_before_the_answer_that_follows_it() {
    let mut rig = Rig::new(Limits::default());
    let socket = rig.connect();
    socket.send(&wire(["eciwt words"]));
    rig.settle();
    assert_eq!(heard(&socket), ["sent words", "replied words"]);
}
