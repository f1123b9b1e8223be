//! One connection over a scripted socket: its state after each call.

use std::io;
use std::time::{Duration, Instant};

use super::scripted_stream::{ScriptedCall, ScriptedSocket, ScriptedStream};
use super::{Connection, DispatchOutcome, PeerEnd, Phase, ReadOutcome, Readiness, WorkerContext};
use crate::engine::limits::Limits;
use crate::frame::BatchId;
use crate::frame::{Batch, BufferPool, Framing};
use crate::service::CloseReason;
use crate::service::context::{Context, PendingActions, TurnTime};
use crate::service::reply_buffer::ReplySource;
use crate::service::time::Timestamp;
use crate::service::{ConnId, GuardedService, OutputBacklog, PanicPolicy, Peer, Service, ServiceId};

struct EchoService;

impl Service for EchoService {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }
}

fn echo_service() -> GuardedService {
    GuardedService::new(Box::new(EchoService), PanicPolicy::Close)
}

const ID: ConnId = ConnId(1 << 40);

fn worker_context(limits: Limits) -> WorkerContext {
    let clock = TurnTime { now: Instant::now(), timestamp: Timestamp::START };
    WorkerContext::new(limits, clock, PendingActions::default(), BufferPool::default())
}

fn connection(framing: Framing, worker: &WorkerContext) -> (Connection<ScriptedStream>, ScriptedSocket) {
    let (socket, stream) = ScriptedSocket::pair();
    let conn = Connection::new(stream, Peer::Unix, ServiceId(0), framing, &worker.limits, Timestamp::START);
    (conn, socket)
}

/// Reads once, as after a readable event, and answers the frames read.
fn read(conn: &mut Connection<ScriptedStream>, worker: &mut WorkerContext, buffer: &mut [u8]) -> ReadOutcome {
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    conn.set_scheduled(false);
    let outcome = conn.read(buffer, usize::MAX, worker);
    if let ReadOutcome::Bytes { buffered, .. } = outcome {
        let received = &buffer[..buffered];
        let mut input = received;
        assert!(matches!(
            conn.dispatch(&mut input, received, ID, &mut echo_service(), worker),
            DispatchOutcome::InputUsed
        ));
        conn.send_replies(ReplySource { received, request: &[] }, worker).unwrap();
    }
    outcome
}

#[test]
fn a_connection_between_frames_holds_no_bytes() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::U8, &worker);
    socket.send(b"\x03one\x03tw");
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    read(&mut conn, &mut worker, &mut [0; 100]);
    assert!(conn.held_bytes() > 0);
    socket.send(b"o");
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    read(&mut conn, &mut worker, &mut [0; 100]);
    // The decoder frees a frame with the next read at the latest.
    socket.send(b"\x00");
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    read(&mut conn, &mut worker, &mut [0; 100]);
    assert_eq!(conn.held_bytes(), 0);
    assert_eq!(socket.written(), b"\x03one\x03two\x00");
}

#[test]
fn a_read_that_fills_the_buffer_leaves_the_connection_readable() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::Raw, &worker);
    socket.send(b"eight by");
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    read(&mut conn, &mut worker, &mut [0; 4]);
    assert!(conn.is_readable());
    read(&mut conn, &mut worker, &mut [0; 4]);
    assert!(conn.is_readable(), "only another read proves the socket empty");
    assert!(matches!(read(&mut conn, &mut worker, &mut [0; 4]), ReadOutcome::WouldBlock));
    assert!(!conn.is_readable());
}

#[test]
fn a_short_read_clears_readable_unless_urgent_data_or_eof_is_reported() {
    for end in [PeerEnd::Open, PeerEnd::Urgent, PeerEnd::Reported] {
        let mut worker = worker_context(Limits::default());
        let (mut conn, socket) = connection(Framing::Raw, &worker);
        socket.send(b"few");
        conn.mark_ready(Readiness::READABLE, end);
        read(&mut conn, &mut worker, &mut [0; 100]);
        assert_eq!(conn.is_readable(), end != PeerEnd::Open);
    }
}

#[test]
fn a_read_that_is_interrupted_is_made_again() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::Raw, &worker);
    socket.script_reads([ScriptedCall::Interrupted; 5]);
    socket.send(b"x");
    assert!(matches!(read(&mut conn, &mut worker, &mut [0; 9]), ReadOutcome::Bytes { total: 1, .. }));
}

#[test]
fn a_failed_read_gives_its_error_kind_as_the_reason() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::Raw, &worker);
    socket.script_reads([ScriptedCall::Fails(io::ErrorKind::TimedOut)]);
    let outcome = read(&mut conn, &mut worker, &mut [0; 9]);
    assert!(matches!(outcome, ReadOutcome::Failed(CloseReason::PeerReset(io::ErrorKind::TimedOut))));
}

#[test]
fn the_rest_of_a_large_frame_is_read_into_the_frame() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::U16BE, &worker);
    let mut buffer = [0; 50];
    socket.send(&[&[1, 44][..], &[b'x'; 20]].concat());
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    assert!(matches!(read(&mut conn, &mut worker, &mut buffer), ReadOutcome::Bytes { buffered: 22, .. }));
    socket.send(&[b'x'; 20]);
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    assert!(
        matches!(read(&mut conn, &mut worker, &mut buffer), ReadOutcome::Bytes { total: 20, buffered: 0, .. }),
        "the read went to the frame's own buffer"
    );
    socket.send(&[&[b'x'; 260][..], &[0, 1, b'y']].concat());
    conn.mark_ready(Readiness::READABLE, PeerEnd::Open);
    while conn.is_readable() {
        read(&mut conn, &mut worker, &mut buffer);
    }
    assert_eq!(socket.written(), [&[1, 44][..], &[b'x'; 300], &[0, 1, b'y']].concat());
}

#[test]
fn partial_writes_keep_replies_and_messages_in_order() {
    for room in 0..14 {
        let mut worker = worker_context(Limits::default());
        let (mut conn, socket) = connection(Framing::U8, &worker);
        socket.set_room(room);
        socket.send(b"\x03one");
        read(&mut conn, &mut worker, &mut [0; 100]);
        conn.enqueue_shared(&Batch::encoded(b"\x03two", 1, BatchId::NONE), &mut worker).unwrap();
        socket.send(b"\x05three");
        read(&mut conn, &mut worker, &mut [0; 100]);
        socket.set_room(usize::MAX);
        conn.mark_ready(Readiness::WRITABLE, PeerEnd::Open);
        conn.flush(&mut worker).unwrap();
        assert_eq!(socket.written(), b"\x03one\x03two\x05three", "room for {room} bytes");
        assert_eq!(conn.pending_bytes(), 0);
        assert_eq!(worker.stats.bytes_out, 14);
    }
}

#[test]
fn a_full_socket_is_not_written_to_before_an_event_says_so() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::U8, &worker);
    socket.set_room(2);
    socket.send(b"\x03one\x03two");
    read(&mut conn, &mut worker, &mut [0; 100]);
    socket.script_writes([ScriptedCall::Fails(io::ErrorKind::Other)]);
    conn.flush(&mut worker).unwrap();
    assert!(conn.mark_ready(Readiness::WRITABLE, PeerEnd::Open));
    conn.flush(&mut worker).unwrap_err();
}

#[test]
fn a_pause_ends_when_memory_suffices_and_output_is_at_low_water() {
    let mut worker = worker_context(Limits { max_write_buffer_bytes: 40, ..Limits::default() });
    let (mut conn, socket) = connection(Framing::Raw, &worker);
    socket.set_room(0);
    conn.enqueue_shared(&Batch::encoded(b"above high water, 20 bytes", 1, BatchId::NONE), &mut worker).unwrap();
    conn.begin_step(&mut worker).unwrap();
    assert!(!conn.may_receive(&worker.limits));
    assert!(conn.pause_for_memory(&mut worker));
    assert!(!conn.pause_for_memory(&mut worker), "it is paused already");
    assert_eq!(worker.stats.read_pauses, 1, "one pause for two reasons");
    conn.end_memory_pause(&mut worker);
    assert!(!conn.may_receive(&worker.limits), "the output is above low water");
    socket.set_room(usize::MAX);
    conn.mark_ready(Readiness::WRITABLE, PeerEnd::Open);
    conn.begin_step(&mut worker).unwrap();
    assert!(conn.may_receive(&worker.limits));
    assert!(conn.pause_for_memory(&mut worker));
    conn.mark_ready(Readiness::READABLE, PeerEnd::Urgent);
    assert!(!conn.may_receive(&worker.limits));
    conn.mark_ready(Readiness::READABLE, PeerEnd::Reported);
    assert!(conn.may_receive(&worker.limits), "reading to the end frees memory");
}

#[test]
fn an_event_schedules_a_connection_once_if_it_can_act() {
    let worker = worker_context(Limits::default());
    let (mut conn, _socket) = connection(Framing::U8, &worker);
    assert!(!conn.mark_ready(Readiness::WRITABLE, PeerEnd::Open), "room for output, but no output");
    assert!(conn.mark_ready(Readiness::READABLE, PeerEnd::Open));
    assert!(!conn.mark_ready(Readiness::READABLE, PeerEnd::Reported), "it is scheduled already");
}

#[test]
fn an_orderly_close_flushes_shuts_down_and_lingers() {
    let mut worker = worker_context(Limits::default());
    let (mut conn, socket) = connection(Framing::U8, &worker);
    socket.set_room(1);
    socket.send(b"\x03one");
    read(&mut conn, &mut worker, &mut [0; 100]);
    conn.start_close(CloseReason::ShuttingDown, Timestamp::START);
    assert_eq!(conn.phase(), Phase::Closing);
    conn.close_delivered();
    conn.advance_close(&mut [0; 10], Timestamp::START);
    assert_eq!((conn.phase(), socket.is_shut_down()), (Phase::Flushing, false));
    socket.set_room(usize::MAX);
    conn.mark_ready(Readiness::WRITABLE, PeerEnd::Open);
    conn.flush(&mut worker).unwrap();
    conn.advance_close(&mut [0; 10], Timestamp::START);
    assert_eq!((conn.phase(), socket.is_shut_down()), (Phase::Lingering, true));
    socket.finish();
    conn.mark_ready(Readiness::READABLE, PeerEnd::Reported);
    conn.advance_close(&mut [0; 10], Timestamp::START);
    assert_eq!(conn.phase(), Phase::Closed);
}

#[test]
fn an_unreachable_peer_is_abandoned_without_a_flush() {
    let reasons = [
        CloseReason::PeerReset(io::ErrorKind::BrokenPipe),
        CloseReason::WriteTimeout(Duration::ZERO),
        CloseReason::SlowConsumer(OutputBacklog::default()),
    ];
    for reason in reasons {
        let mut worker = worker_context(Limits::default());
        let (mut conn, socket) = connection(Framing::U8, &worker);
        socket.set_room(1);
        socket.send(b"\x03one");
        read(&mut conn, &mut worker, &mut [0; 100]);
        conn.start_close(reason, Timestamp::START);
        conn.close_delivered();
        assert_eq!((conn.phase(), conn.held_bytes()), (Phase::Closed, 0));
    }
}
