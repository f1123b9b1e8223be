//! Replies larger than memory allows, sent in pieces by `on_writable` as the peer reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use switchboard::{CloseReason, ConnId, Context, Limits, Service};

use crate::support::{Client, Engine, conformance, guard, observe, serve};

conformance! {
    long_reply_is_streamed_in_bounded_memory,
    half_closed_client_gets_the_whole_stream,
    drain_finishes_a_stream,
    stalled_stream_blocks_no_other_connection,
}

const PIECE_BYTES: usize = 64 * 1024;

/// Replies to a request, a number, with that number of pieces, one per call of `on_writable`.
struct PieceStream {
    /// The next piece and the number of pieces.
    progress: HashMap<ConnId, (u32, u32)>,
    most_pending: Arc<AtomicUsize>,
}

impl PieceStream {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let most_pending = Arc::new(AtomicUsize::new(0));
        (Self { progress: HashMap::new(), most_pending: Arc::clone(&most_pending) }, most_pending)
    }
}

impl Service for PieceStream {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let pieces = std::str::from_utf8(payload).unwrap().parse().unwrap();
        self.progress.insert(cx.conn(), (0, pieces));
        cx.notify_writable();
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let Some((next, pieces)) = self.progress.get_mut(&cx.conn()) else { return };
        if next < pieces {
            cx.reply(&piece(*next));
            *next += 1;
            self.most_pending.fetch_max(cx.pending_bytes(), Ordering::Relaxed);
            cx.notify_writable();
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        self.progress.remove(&cx.conn());
    }
}

fn piece(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(PIECE_BYTES / 4)
}

fn expect_pieces(client: &mut Client, pieces: u32) {
    for number in 0..pieces {
        let received =
            client.receive_or_end().unwrap_or_else(|| panic!("the stream ended after {number} of {pieces} pieces"));
        assert!(received == piece(number), "piece {number} has other bytes");
    }
}

fn long_reply_is_streamed_in_bounded_memory<E: Engine>() {
    let (service, most_pending) = PieceStream::new();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    let pieces = 1024;
    client.send(pieces.to_string().as_bytes());
    let mut most_held = 0;
    for _ in 0..8 {
        // The reply is in progress for as long as the client does not read.
        most_held = most_held.max(running.counters()["buffered_bytes"]);
    }
    expect_pieces(&mut client, pieces);
    let bound = Limits::default().low_water_bytes() + PIECE_BYTES + 4;
    assert!(most_pending.load(Ordering::Relaxed) <= bound, "{most_pending:?} bytes were pending");
    assert!(most_held as usize <= bound, "{most_held} bytes were buffered");
    drop(client);
    running.drain();
}

fn half_closed_client_gets_the_whole_stream<E: Engine>() {
    let (service, events) = observe(PieceStream::new().0);
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    client.send(b"256");
    client.finish();
    expect_pieces(&mut client, 256);
    client.expect_end();
    assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
    running.drain();
}

fn drain_finishes_a_stream<E: Engine>() {
    let (service, _) = PieceStream::new();
    let (running, addr) = serve::<E>(Limits { drain_timeout: guard(), ..Limits::default() }, service);
    let mut client = Client::connect(addr);
    client.send(b"256");
    let first = client.receive();
    assert!(first == piece(0));
    running.handle.drain();
    for number in 1..256 {
        let received = client.receive_or_end().unwrap_or_else(|| panic!("the stream ended after {number} pieces"));
        assert!(received == piece(number), "piece {number} has other bytes");
    }
    client.expect_end();
    drop(client);
    running.join();
}

fn stalled_stream_blocks_no_other_connection<E: Engine>() {
    let (service, most_pending) = PieceStream::new();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let stalled = Client::connect(addr);
    stalled.send(b"100000");
    let mut other = Client::connect(addr);
    other.send(b"256");
    expect_pieces(&mut other, 256);
    let turns = running.counters()["turns"];
    assert!(other.receives_nothing_for(std::time::Duration::from_millis(200)));
    let turns = running.counters()["turns"] - turns;
    assert!(turns < 50, "{turns} turns while waiting for a client that does not read");
    assert!(most_pending.load(Ordering::Relaxed) <= Limits::default().low_water_bytes() + PIECE_BYTES + 4);
    drop((stalled, other));
    running.drain();
}
