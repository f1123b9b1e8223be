//! Peers that ask and do not read the answers.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use switchboard::services::Echo;
use switchboard::{CloseReason, ConnId, Context, Limits, Payload, Peer, Service, SlowConsumer};

use crate::support::{Client, Engine, SendOutcome, conformance, encode_frame, observe, serve, write_until_blocked};

conformance! {
    a_peer_that_never_reads_is_bounded_and_ended_while_others_are_served,
    a_slow_reader_that_reads_again_gets_every_answer,
    a_slow_member_of_a_broadcast_is_disconnected_by_default,
}

const HIGH_WATER_BYTES: usize = 128 * 1024;
/// What one read can bring, all of which may be held in one form or another when reading stops.
const ONE_READ_BYTES: usize = 256 * 1024;
const REQUEST_BYTES: usize = 1000;

fn limits() -> Limits {
    let limits = Limits { max_write_buffer_bytes: 2 * HIGH_WATER_BYTES, ..Limits::default() };
    assert_eq!(limits.high_water_bytes(), HIGH_WATER_BYTES);
    limits
}

/// Echoes, and remembers the most that any connection has owed.
struct Gauged(Arc<AtomicUsize>);

impl Service for Gauged {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.reply(payload);
        self.0.fetch_max(cx.pending_bytes(), Ordering::Relaxed);
    }
}

fn a_peer_that_never_reads_is_bounded_and_ended_while_others_are_served<E: Engine>() {
    let write_timeout = Duration::from_secs(1);
    let most_owed = Arc::new(AtomicUsize::new(0));
    let (service, events) = observe(Gauged(Arc::clone(&most_owed)));
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
    assert!(matches!(sent, SendOutcome::Blocked(_)), "the server stops reading, long before the write timeout");
    assert!(most_held > 0, "the server owes something");
    assert!(most_held <= bound, "{most_held} bytes held for one peer, {bound} at most are expected");
    assert!(most_owed.load(Ordering::Relaxed) <= bound);
    running.await_counter("read_pauses", |pauses| pauses > 0);
    // The other talks on until the slow one is gone.
    let closed = events.repeat_until_closed(|| other.echo(b"still here"));
    assert_eq!(closed, (slow_id, CloseReason::WriteTimeout(write_timeout)));
    assert_eq!(running.counters()["buffered_bytes"], 0, "what was owed to it is forgotten");
    other.echo(b"and after");
    drop(other);
    assert_eq!(running.drain().faulted, 1);
}

fn a_slow_reader_that_reads_again_gets_every_answer<E: Engine>() {
    let (running, addr) = serve::<E>(limits(), Echo);
    let slow = Client::connect(addr);
    let mut other = Client::connect(addr);
    let requests: Vec<u8> = (0..64u8).flat_map(|number| encode_frame("u32be", &[number; REQUEST_BYTES])).collect();
    let sent = write_until_blocked(slow.socket(), &requests, || other.echo(b"meanwhile"));
    let SendOutcome::Blocked(sent_bytes) = sent else { panic!("the server hung up") };
    slow.finish();
    let mut stream = Vec::new();
    slow.socket().read_to_end(&mut stream).unwrap();
    // The last request may have been cut off.
    let frame_bytes = 4 + REQUEST_BYTES;
    assert_eq!(stream.len(), sent_bytes / frame_bytes * frame_bytes, "every whole request has its whole answer");
    for (number, frame) in stream.chunks_exact(frame_bytes).enumerate() {
        assert!(frame[4..].iter().all(|byte| usize::from(*byte) == number % 64), "answer {number} is another's");
    }
    drop((slow, other));
    running.drain();
}

/// Sends what each peer says to all of them.
#[derive(Default)]
struct Everybody(Vec<ConnId>);

impl Service for Everybody {
    fn on_open(&mut self, cx: &mut Context<'_>, _peer: &Peer) {
        self.0.push(cx.conn());
    }

    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        cx.broadcast(&self.0, Payload::from(payload));
    }
}

fn a_slow_member_of_a_broadcast_is_disconnected_by_default<E: Engine>() {
    let (service, events) = observe(Everybody::default());
    let (running, addr) = serve::<E>(limits(), service);
    assert_eq!(limits().slow_consumer, SlowConsumer::Disconnect);
    let _slow = Client::connect(addr);
    let slow_id = events.next_opened();
    let mut member = Client::connect(addr);
    events.next_opened();
    let message = vec![1; 64 * 1024];
    let closed = events.repeat_until_closed(|| member.echo(&message));
    assert_eq!(closed.0, slow_id);
    assert!(matches!(closed.1, CloseReason::SlowConsumer { pending_bytes } if pending_bytes >= 2 * HIGH_WATER_BYTES));
    member.echo(b"the rest go on");
    drop(member);
    running.drain();
}
