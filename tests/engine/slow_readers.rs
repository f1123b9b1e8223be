//! Clients that send requests and do not read the replies.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard::{CloseReason, ConnId, Context, Limits, Payload, Peer, Service, SlowConsumer};

use crate::support::{
    Client, Engine, SendOutcome, conformance, encode_frame, observe, scaled, serve, serve_echo, write_until_blocked,
};

conformance! {
    client_that_never_reads_is_bounded_and_closed,
    slow_reader_that_resumes_gets_every_reply,
    slow_broadcast_receiver_is_closed_by_default,
}

const HIGH_WATER_BYTES: usize = 128 * 1024;
/// Size of the receive buffer. All bytes of one read may be buffered when reading pauses.
const ONE_READ_BYTES: usize = 256 * 1024;
const REQUEST_BYTES: usize = 1000;

fn limits() -> Limits {
    let limits = Limits { max_write_buffer_bytes: 2 * HIGH_WATER_BYTES, ..Limits::default() };
    assert_eq!(limits.high_water_bytes(), HIGH_WATER_BYTES);
    limits
}

/// Echoes, and keeps the highest `pending_bytes` of any connection.
struct PendingGauge(Arc<AtomicUsize>);

impl Service for PendingGauge {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        self.0.fetch_max(cx.pending_bytes(), Ordering::Relaxed);
    }
}

fn client_that_never_reads_is_bounded_and_closed<E: Engine>() {
    let write_timeout = scaled(Duration::from_secs(1));
    let most_pending = Arc::new(AtomicUsize::new(0));
    let (service, events) = observe(PendingGauge(Arc::clone(&most_pending)));
    let (running, addr) = serve::<E>(Limits { write_timeout, ..limits() }, service);
    let slow = Client::connect(addr);
    let slow_id = events.next_opened();
    let mut other = Client::connect(addr);
    events.next_opened();
    let bound = HIGH_WATER_BYTES + ONE_READ_BYTES + REQUEST_BYTES;
    let mut most_held = 0;
    let requests = encode_frame("u32be", &[7; REQUEST_BYTES]).repeat(64);
    let sent = write_until_blocked(slow.socket(), &requests, || {
        other.echo(b"meanwhile");
        most_held = most_held.max(running.counters()["buffered_bytes"] as usize);
    });
    assert!(matches!(sent, SendOutcome::Blocked(_)), "the server stops reading before the write timeout");
    assert!(most_held > 0, "the server has queued output");
    // The counted memory has the unused ends of buffers, too, and on `Threaded` a receive buffer.
    let most = bound + 64 * 1024 + ONE_READ_BYTES;
    assert!(most_held <= most, "{most_held} bytes are buffered for one client, expected at most {most}");
    assert!(most_pending.load(Ordering::Relaxed) <= bound);
    running.await_counter("read_pauses", |pauses| pauses > 0);
    // The other client is served until the slow one is closed.
    let closed = events.repeat_until_closed(|| other.echo(b"still here"));
    assert_eq!(closed, (slow_id, CloseReason::WriteTimeout(write_timeout)));
    assert_eq!(running.counters()["buffered_bytes"], 0, "the queued output is freed");
    other.echo(b"after the close");
    drop(other);
    assert_eq!(running.drain().faulted, 1);
}

fn slow_reader_that_resumes_gets_every_reply<E: Engine>() {
    let (running, addr) = serve_echo::<E>(limits());
    let slow = Client::connect(addr);
    let mut other = Client::connect(addr);
    let requests: Vec<u8> = (0..64u8).flat_map(|number| encode_frame("u32be", &[number; REQUEST_BYTES])).collect();
    let sent = write_until_blocked(slow.socket(), &requests, || other.echo(b"meanwhile"));
    let SendOutcome::Blocked(sent_bytes) = sent else { panic!("the server closed the connection") };
    slow.finish();
    let mut stream = Vec::new();
    slow.socket().read_to_end(&mut stream).unwrap();
    // The last request may be incomplete.
    let frame_bytes = 4 + REQUEST_BYTES;
    assert_eq!(stream.len(), sent_bytes / frame_bytes * frame_bytes, "each whole request gets its whole reply");
    for (number, frame) in stream.chunks_exact(frame_bytes).enumerate() {
        assert!(
            frame[4..].iter().all(|byte| usize::from(*byte) == number % 64),
            "reply {number} differs from its request"
        );
    }
    drop((slow, other));
    running.drain();
}

/// Broadcasts each message to all connections.
#[derive(Default)]
struct Broadcaster(Vec<ConnId>);

impl Service for Broadcaster {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.broadcast(&self.0, Payload::from(payload));
    }
}

fn slow_broadcast_receiver_is_closed_by_default<E: Engine>() {
    let (service, events) = observe(Broadcaster::default());
    let (running, addr) = serve::<E>(limits(), service);
    assert_eq!(limits().slow_consumer, SlowConsumer::Disconnect);
    let _slow = Client::connect(addr);
    let slow_id = events.next_opened();
    let mut member = Client::connect(addr);
    events.next_opened();
    let message = vec![1; 64 * 1024];
    let closed = events.repeat_until_closed(|| member.echo(&message));
    assert_eq!(closed.0, slow_id);
    let CloseReason::SlowConsumer(backlog) = closed.1 else { panic!("{}", closed.1) };
    assert!(backlog.pending_bytes >= 2 * HIGH_WATER_BYTES, "{backlog}");
    member.echo(b"still served");
    drop(member);
    running.drain();
}
