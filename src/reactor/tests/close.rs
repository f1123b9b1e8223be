//! Closing: the reason, the output that is still delivered, and one `on_close` each.

use std::io;

use super::{LINES, RAW, TestLoop, framed, received};
use crate::connection::scripted_stream::ScriptedCall;
use crate::engine::limits::Limits;
use crate::frame::plural::counted;
use crate::service::install_panic_hook;

#[test]
fn eof_between_frames_is_an_orderly_close() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["hello"]));
    test.run_until_idle();
    socket.finish();
    test.run_until_idle();
    assert_eq!(received(&socket), ["hello"]);
    assert!(socket.is_closed());
    assert_eq!(test.log(), ["open 0", "close 0 the peer closed"]);
    assert_eq!((test.event_loop.shared.worker.stats.closed, test.event_loop.shared.worker.stats.faulted), (1, 0));
}

#[test]
fn data_and_eof_in_one_event_are_both_read() {
    for script in [
        vec![],
        vec![ScriptedCall::AtMost(3)],
        vec![ScriptedCall::AtMost(7)],
        vec![ScriptedCall::WouldBlock],
        vec![ScriptedCall::Interrupted],
    ] {
        let mut test = TestLoop::new(Limits::default());
        let socket = test.connect();
        socket.script_reads(script.clone());
        socket.send(&framed(["hello"]));
        socket.finish();
        test.run_until_idle();
        assert_eq!(received(&socket), ["hello"], "{script:?}");
        assert!(socket.is_closed(), "the end was found without another event: {script:?}");
    }
}

#[test]
fn data_and_eof_in_the_first_event_are_both_read() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.script.connect(0);
    socket.send(&framed(["hello"]));
    socket.finish();
    test.run_until_idle();
    assert_eq!(received(&socket), ["hello"]);
    assert!(socket.is_closed());
}

#[test]
fn an_eof_between_two_reads_of_one_turn_is_read() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    // The event reports data only. Before the read, the peer closes, which is an edge of its own.
    socket.send(&framed(["hello"]));
    test.script.report(test.script.key_of(&socket).unwrap(), true, false, false);
    socket.take_edge();
    socket.finish();
    test.run_until_idle();
    assert_eq!(received(&socket), ["hello"]);
    assert!(socket.is_closed());
}

#[test]
fn eof_inside_a_frame_is_a_fault_after_the_answers() {
    for cut in 1..7 {
        let mut test = TestLoop::new(Limits::default());
        let socket = test.connect();
        let mut bytes = framed(["whole"]);
        bytes.extend(&framed(["whole"])[..cut]);
        socket.send(&bytes);
        socket.finish();
        test.run_until_idle();
        assert_eq!(received(&socket), ["whole"]);
        let words =
            format!("close 0 the peer closed inside a frame, after {} of it", counted(cut as u64, "byte", "bytes"));
        assert!(test.log().last().unwrap().starts_with(&words), "cut at {cut}");
        assert_eq!(test.event_loop.shared.worker.stats.faulted, 1);
    }
}

#[test]
fn a_last_line_without_line_feed_is_answered() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect_to(LINES);
    socket.send(b"first\nlast");
    socket.finish();
    test.run_until_idle();
    assert_eq!(socket.written(), b"first\nlast\n");
    assert_eq!(test.log().last().unwrap(), "close 0 the peer closed");
}

#[test]
fn a_raw_stream_is_echoed_up_to_its_end() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect_to(RAW);
    socket.send(b"any bytes");
    test.run_until_idle();
    socket.send(b" at all");
    socket.finish();
    test.run_until_idle();
    assert_eq!(socket.written(), b"any bytes at all");
    assert!(socket.is_closed());
}

#[test]
fn a_bad_frame_closes_after_the_earlier_answers() {
    let mut test = TestLoop::new(Limits { max_frame_bytes: 100, ..Limits::default() });
    let socket = test.connect();
    let mut bytes = framed(["fine"]);
    bytes.extend([0xff, 0xff, 1, 2, 3]);
    socket.send(&bytes);
    test.run_until_idle();
    assert_eq!(received(&socket), ["fine"]);
    assert!(socket.is_shut_down() && !socket.is_closed(), "our side shuts down first and waits for the peer's");
    socket.finish();
    test.run_until_idle();
    assert!(socket.is_closed());
    assert!(test.log()[1].starts_with("close 0 frame too large: 65535 bytes declared"));
}

#[test]
fn an_unsendable_reply_closes_the_connection() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["before", "big 70000", "after"]));
    test.run_until_idle();
    assert_eq!(received(&socket), ["before"]);
    assert!(test.log()[1].starts_with("close 0 reply not sent: payload too long: 70000 bytes"));
}

#[test]
fn a_reset_closes_the_connection_in_every_state() {
    let states: [(&str, &[&str], usize); 4] = [
        ("idle", &[], usize::MAX),
        ("served", &["a"], usize::MAX),
        ("owing", &["big 5000"], 10),
        ("closing", &["big 5000", "close"], 10),
    ];
    for (state, requests, room) in states {
        let mut test = TestLoop::new(Limits::default());
        let socket = test.connect();
        socket.set_room(room);
        socket.send(&framed(requests));
        test.run_until_idle();
        socket.reset();
        test.run_until_idle();
        assert!(socket.is_closed(), "{state}");
        assert_eq!(test.log().iter().filter(|line| line.starts_with("close")).count(), 1, "{state}");
        assert_eq!(test.event_loop.shared.worker.stats.buffered_bytes, 0, "{state}");
    }
}

#[test]
fn a_reset_while_lingering_closes_at_once() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["close"]));
    test.run_until_idle();
    assert!(socket.is_shut_down() && !socket.is_closed());
    socket.reset();
    test.run_until_idle();
    assert!(socket.is_closed());
}

#[test]
fn a_failed_call_closes_only_its_connection() {
    for kind in
        [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::TimedOut, io::ErrorKind::Other]
    {
        let mut test = TestLoop::new(Limits::default());
        let (reader, writer, other) = (test.connect(), test.connect(), test.connect());
        reader.script_reads([ScriptedCall::Fails(kind)]);
        writer.script_writes([ScriptedCall::Fails(kind)]);
        for socket in [&reader, &writer, &other] {
            socket.send(&framed(["hello"]));
        }
        test.run_until_idle();
        assert!(reader.is_closed() && writer.is_closed() && !other.is_closed());
        assert_eq!(received(&other), ["hello"]);
        assert_eq!(test.event_loop.shared.worker.stats.faulted, 2);
    }
}

#[test]
fn the_on_close_reply_is_sent_before_the_shutdown() {
    let mut test = TestLoop::new(Limits::default());
    test.service.script().close_reply = Some("goodbye".to_owned());
    let socket = test.connect();
    socket.set_room(10);
    socket.send(&framed(["a", "close", "never answered"]));
    test.run_until_idle();
    assert!(!socket.is_shut_down(), "output is still pending");
    socket.set_room(usize::MAX);
    test.run_until_idle();
    assert_eq!(received(&socket), ["a", "goodbye"]);
    assert!(socket.is_shut_down());
}

#[test]
fn input_while_lingering_is_discarded_until_eof() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["close"]));
    test.run_until_idle();
    for _ in 0..3 {
        socket.send(&vec![0; 600 * 1024]);
        test.run_until_idle();
        assert_eq!(socket.unread(), 0);
    }
    socket.send(b"and data with the end");
    socket.finish();
    test.run_until_idle();
    assert!(socket.is_closed());
    assert_eq!(test.log(), ["open 0", "close 0 asked to"]);
}

#[test]
fn a_drain_does_not_cut_a_lingering_connection_short() {
    let mut test = TestLoop::new(Limits::default());
    let (stopper, lingering) = (test.connect(), test.connect());
    lingering.send(&framed(["close"]));
    test.run_until_idle();
    // Both in one turn, the stopper first: when the drain begins, the lingering peer's input is
    // still unread.
    stopper.send(&framed(["stop"]));
    lingering.send(b"more");
    test.turn();
    assert!(!lingering.is_closed(), "a close with unread input would be a reset");
    test.run_until_idle();
    assert_eq!(lingering.unread(), 0);
}

#[test]
fn on_close_gets_the_first_reason() {
    let mut test = TestLoop::new(Limits::default());
    let (socket, other) = (test.connect(), test.connect());
    socket.send(&framed(["close"]));
    other.send(&framed(["kick 0"]));
    test.run_until_idle();
    assert_eq!(test.log()[2..], ["close 0 asked to"]);
}

#[test]
fn close_other_flushes_and_takes_no_more_requests() {
    let mut test = TestLoop::new(Limits::default());
    let (victim, kicker) = (test.connect(), test.connect());
    kicker.send(&framed(["send 0 beware", "kick 0"]));
    victim.send(&framed(["too late"]));
    test.run_until_idle();
    assert!(received(&victim).contains(&"beware".to_owned()));
    assert!(victim.is_shut_down());
    assert_eq!(test.log().iter().filter(|line| *line == "close 0 kicked").count(), 1);
}

#[test]
fn actions_of_a_failed_reply_stay_with_their_callback() {
    let mut test = TestLoop::new(Limits::default());
    let (failing, other) = (test.connect(), test.connect());
    failing.send(&framed(["fail 1"]));
    // In the same turn, after the failure.
    other.send(&framed(["act"]));
    test.run_until_idle();
    assert_eq!(received(&other), ["before the end", "act"]);
    assert!(failing.is_shut_down());
    let mut log = test.log();
    // The job may have finished within the turns above.
    if !log.iter().any(|line| line.starts_with("job")) {
        test.wait_for_wake();
    }
    test.advance_time(std::time::Duration::from_secs(2));
    log.extend(test.log());
    assert!(log.iter().any(|line| line == "job 0 a secret"), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(" 1 ") && !line.starts_with("open")), "{log:?}");
}

#[test]
fn what_a_failing_callback_sends_to_itself_reaches_no_other_peer() {
    let mut test = TestLoop::new(Limits::default());
    let (failing, other) = (test.connect(), test.connect());
    failing.send(&framed(["fail 0"]));
    // In the same turn, after the failure.
    other.send(&framed(["act"]));
    test.run_until_idle();
    assert_eq!(received(&failing), ["before the end"]);
    assert_eq!(received(&other), ["act"]);
}

#[test]
fn on_close_calls_come_in_the_order_of_the_closes() {
    let mut test = TestLoop::new(Limits::default());
    let sockets = [test.connect(), test.connect(), test.connect()];
    test.log();
    for socket in &sockets {
        socket.finish();
    }
    test.run_until_idle();
    assert_eq!(test.log(), ["close 0 the peer closed", "close 1 the peer closed", "close 2 the peer closed"]);
}

#[test]
fn a_send_to_itself_precedes_the_reply_after_it() {
    let mut test = TestLoop::new(Limits::default());
    let socket = test.connect();
    socket.send(&framed(["send-then-reply words"]));
    test.run_until_idle();
    assert_eq!(received(&socket), ["sent words", "replied words"]);
}

#[test]
fn a_panic_in_a_callback_closes_its_connection_only() {
    install_panic_hook();
    let mut test = TestLoop::new(Limits::default());
    let (one, other) = (test.connect(), test.connect());
    test.log();
    one.send(&framed(["hello", "act x", "bug", "never"]));
    other.send(&framed(["hello"]));
    test.run_until_idle();
    assert_eq!(received(&one), ["hello", "act x"]);
    assert!(one.is_shut_down());
    assert_eq!(received(&other), ["hello"]);
    assert_eq!(test.log(), ["close 0 the service failed"]);
    let stats = &test.event_loop.shared.worker.stats;
    assert_eq!((stats.panics, stats.faulted), (1, 1));
}
