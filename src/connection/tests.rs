//! One connection and its scripted socket: what it remembers after each call, and when it may be forgotten.

use std::io;
use std::time::{Duration, Instant};

use super::script::{Call, Scripted, Socket};
use super::{Connection, Desk, Fill, Phase, Received};
use crate::engine::limits::Limits;
use crate::frame::BatchId;
use crate::frame::{Batch, BufferPool, Framing};
use crate::service::CloseReason;
use crate::service::context::{Clock, Context, PendingActions};
use crate::service::reply_buffer::ReplySource;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, Service, ServiceId};

struct Echo;

impl Service for Echo {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
    }
}

const ID: ConnId = ConnId(1 << 40);

fn desk(limits: Limits) -> Desk {
    let clock = Clock { now: Instant::now(), moment: Timestamp::START };
    Desk::new(limits, clock, PendingActions::default(), BufferPool::default())
}

fn connection(framing: Framing, desk: &Desk) -> (Connection<Scripted>, Socket) {
    let (socket, stream) = Socket::pair();
    let conn = Connection::new(stream, Peer::Unix, ServiceId(0), framing, &desk.limits, Timestamp::START);
    (conn, socket)
}

/// Reads once and answers what came.
fn read(conn: &mut Connection<Scripted>, desk: &mut Desk, buffer: &mut [u8]) -> Fill {
    let fill = conn.fill(buffer, usize::MAX, desk);
    if let Fill::Bytes { buffered, .. } = fill {
        let received = &buffer[..buffered];
        let mut input = received;
        assert!(matches!(conn.receive(&mut input, received, ID, &mut Echo, desk), Received::All));
        conn.send(ReplySource { received, request: &[] }, desk).unwrap();
    }
    fill
}

#[test]
fn a_connection_between_frames_holds_no_bytes() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::U8, &desk);
    socket.send(b"\x03one\x03tw");
    conn.mark(true, false, false);
    read(&mut conn, &mut desk, &mut [0; 100]);
    assert!(conn.held_bytes() > 0);
    socket.send(b"o");
    conn.mark(true, false, false);
    read(&mut conn, &mut desk, &mut [0; 100]);
    // The decoder lets go of a frame with the next read at the latest.
    socket.send(b"\x00");
    conn.mark(true, false, false);
    read(&mut conn, &mut desk, &mut [0; 100]);
    assert_eq!(conn.held_bytes(), 0);
    assert_eq!(socket.written(), b"\x03one\x03two\x00");
}

#[test]
fn a_read_that_fills_the_buffer_leaves_the_connection_readable() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::Raw, &desk);
    socket.send(b"eight by");
    conn.mark(true, false, false);
    read(&mut conn, &mut desk, &mut [0; 4]);
    assert!(conn.flags().readable);
    read(&mut conn, &mut desk, &mut [0; 4]);
    assert!(conn.flags().readable, "whether more is there only another read can tell");
    assert!(matches!(read(&mut conn, &mut desk, &mut [0; 4]), Fill::Nothing));
    assert!(!conn.flags().readable);
}

#[cfg(unix)]
#[test]
fn a_short_read_has_emptied_the_socket_unless_an_end_is_announced() {
    for announced in [false, true] {
        let mut desk = desk(Limits::default());
        let (mut conn, socket) = connection(Framing::Raw, &desk);
        socket.send(b"few");
        conn.mark(true, true, announced);
        read(&mut conn, &mut desk, &mut [0; 100]);
        assert_eq!(conn.flags().readable, announced);
    }
}

#[test]
fn a_read_that_is_interrupted_is_made_again() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::Raw, &desk);
    socket.script_reads([Call::Interrupted; 5]);
    socket.send(b"x");
    assert!(matches!(read(&mut conn, &mut desk, &mut [0; 9]), Fill::Bytes { total: 1, .. }));
}

#[test]
fn a_failed_read_names_its_kind_as_the_reason() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::Raw, &desk);
    socket.script_reads([Call::Fails(io::ErrorKind::TimedOut)]);
    let fill = read(&mut conn, &mut desk, &mut [0; 9]);
    assert!(matches!(fill, Fill::Broken(CloseReason::PeerReset(io::ErrorKind::TimedOut))));
}

#[test]
fn the_rest_of_a_large_frame_is_read_where_it_belongs_and_what_follows_it_to_the_buffer() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::U16BE, &desk);
    let mut buffer = [0; 50];
    socket.send(&[&[1, 44][..], &[b'x'; 20]].concat());
    conn.mark(true, false, false);
    assert!(matches!(read(&mut conn, &mut desk, &mut buffer), Fill::Bytes { buffered: 22, .. }));
    socket.send(&[b'x'; 20]);
    conn.mark(true, false, false);
    assert!(
        matches!(read(&mut conn, &mut desk, &mut buffer), Fill::Bytes { total: 20, buffered: 0 }),
        "all of it went to the frame"
    );
    socket.send(&[&[b'x'; 260][..], &[0, 1, b'y']].concat());
    conn.mark(true, false, false);
    while conn.flags().readable {
        read(&mut conn, &mut desk, &mut buffer);
    }
    assert_eq!(socket.written(), [&[1, 44][..], &[b'x'; 300], &[0, 1, b'y']].concat());
}

#[test]
fn every_split_between_a_full_socket_and_a_queue_keeps_replies_and_messages_in_order() {
    for room in 0..14 {
        let mut desk = desk(Limits::default());
        let (mut conn, socket) = connection(Framing::U8, &desk);
        socket.set_room(room);
        socket.send(b"\x03one");
        read(&mut conn, &mut desk, &mut [0; 100]);
        conn.offer_shared(&Batch::encoded(b"\x03two", 1, BatchId::NONE), &mut desk).unwrap();
        socket.send(b"\x05three");
        read(&mut conn, &mut desk, &mut [0; 100]);
        socket.set_room(usize::MAX);
        conn.mark(false, true, false);
        conn.flush(Timestamp::START, &mut desk.stats).unwrap();
        assert_eq!(socket.written(), b"\x03one\x03two\x05three", "room for {room} bytes");
        assert_eq!(conn.pending_bytes(), 0);
        assert_eq!(desk.stats.bytes_out, 14);
    }
}

#[test]
fn a_full_socket_is_not_written_to_before_an_event_says_so() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::U8, &desk);
    socket.set_room(2);
    socket.send(b"\x03one\x03two");
    read(&mut conn, &mut desk, &mut [0; 100]);
    socket.script_writes([Call::Fails(io::ErrorKind::Other)]);
    conn.flush(Timestamp::START, &mut desk.stats).unwrap();
    assert!(conn.mark(false, true, false));
    conn.flush(Timestamp::START, &mut desk.stats).unwrap_err();
}

#[test]
fn an_event_queues_a_connection_once_and_only_if_it_has_something_to_do() {
    let desk = desk(Limits::default());
    let (mut conn, _socket) = connection(Framing::U8, &desk);
    assert!(!conn.mark(false, true, false), "room for output, and no output");
    assert!(conn.mark(true, false, false));
    assert!(!conn.mark(true, true, true), "it is queued already");
}

#[test]
fn an_end_in_good_order_flushes_then_shuts_down_then_waits_for_the_peer() {
    let mut desk = desk(Limits::default());
    let (mut conn, socket) = connection(Framing::U8, &desk);
    socket.set_room(1);
    socket.send(b"\x03one");
    read(&mut conn, &mut desk, &mut [0; 100]);
    conn.end(CloseReason::ShuttingDown, Timestamp::START);
    assert_eq!(conn.phase(), Phase::Ending);
    conn.goodbye_said();
    conn.wind_up(&mut [0; 10], Timestamp::START);
    assert_eq!((conn.phase(), socket.is_shut_down()), (Phase::Draining, false));
    socket.set_room(usize::MAX);
    conn.mark(false, true, false);
    conn.flush(Timestamp::START, &mut desk.stats).unwrap();
    conn.wind_up(&mut [0; 10], Timestamp::START);
    assert_eq!((conn.phase(), socket.is_shut_down()), (Phase::Lingering, true));
    socket.finish();
    conn.mark(true, false, true);
    conn.wind_up(&mut [0; 10], Timestamp::START);
    assert_eq!(conn.phase(), Phase::Closed);
}

#[test]
fn a_peer_that_cannot_be_reached_is_owed_nothing() {
    let reasons = [
        CloseReason::PeerReset(io::ErrorKind::BrokenPipe),
        CloseReason::WriteTimeout(Duration::ZERO),
        CloseReason::SlowConsumer { pending_bytes: 1 },
    ];
    for reason in reasons {
        let mut desk = desk(Limits::default());
        let (mut conn, socket) = connection(Framing::U8, &desk);
        socket.set_room(1);
        socket.send(b"\x03one");
        read(&mut conn, &mut desk, &mut [0; 100]);
        conn.end(reason, Timestamp::START);
        conn.goodbye_said();
        assert_eq!((conn.phase(), conn.held_bytes()), (Phase::Closed, 0));
    }
}
