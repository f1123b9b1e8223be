//! Answers too large to be held: sent a piece at a time, as the peer reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use switchboard::{CloseReason, ConnId, Context, Limits, Service};

use crate::support::{Client, Engine, GUARD, conformance, observe, serve};

conformance! {
    a_long_answer_is_streamed_with_little_of_it_in_memory,
    a_client_that_has_said_all_still_gets_the_whole_stream,
    draining_lets_a_stream_come_to_its_end,
    a_stream_to_one_who_does_not_read_holds_up_nobody,
}

const PIECE_BYTES: usize = 64 * 1024;

/// Answers each request, a number, with so many pieces, one for each call of `on_writable`.
struct Stream {
    left: HashMap<ConnId, (u32, u32)>,
    most_owed: Arc<AtomicUsize>,
}

impl Stream {
    fn new() -> (Self, Arc<AtomicUsize>) {
        let most_owed = Arc::new(AtomicUsize::new(0));
        (Self { left: HashMap::new(), most_owed: Arc::clone(&most_owed) }, most_owed)
    }
}

impl Service for Stream {
    fn on_frame(&mut self, cx: &mut Context<'_>, payload: &[u8]) {
        let pieces = std::str::from_utf8(payload).unwrap().parse().unwrap();
        self.left.insert(cx.conn(), (0, pieces));
        cx.notify_writable();
    }

    fn on_writable(&mut self, cx: &mut Context<'_>) {
        let Some((next, pieces)) = self.left.get_mut(&cx.conn()) else { return };
        if next < pieces {
            cx.reply(&piece(*next));
            *next += 1;
            self.most_owed.fetch_max(cx.pending_bytes(), Ordering::Relaxed);
            cx.notify_writable();
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_>, _reason: &CloseReason) {
        self.left.remove(&cx.conn());
    }
}

fn piece(number: u32) -> Vec<u8> {
    number.to_be_bytes().repeat(PIECE_BYTES / 4)
}

fn expect_pieces(client: &mut Client, pieces: u32) {
    for number in 0..pieces {
        let received =
            client.receive_or_end().unwrap_or_else(|| panic!("the stream ended after {number} of {pieces} pieces"));
        assert!(received == piece(number), "piece {number} is another");
    }
}

fn a_long_answer_is_streamed_with_little_of_it_in_memory<E: Engine>() {
    let (service, most_owed) = Stream::new();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    let pieces = 1024;
    client.send(pieces.to_string().as_bytes());
    let mut most_held = 0;
    for _ in 0..8 {
        // While the answer is under way, which it is as long as it is not read.
        most_held = most_held.max(running.counters()["buffered_bytes"]);
    }
    expect_pieces(&mut client, pieces);
    let bound = Limits::default().low_water_bytes() + PIECE_BYTES + 4;
    assert!(most_owed.load(Ordering::Relaxed) <= bound, "{most_owed:?} bytes were owed at once");
    assert!(most_held as usize <= bound, "{most_held} bytes were held at once");
    drop(client);
    running.drain();
}

fn a_client_that_has_said_all_still_gets_the_whole_stream<E: Engine>() {
    let (service, events) = observe(Stream::new().0);
    let (running, addr) = serve::<E>(Limits::default(), service);
    let mut client = Client::connect(addr);
    client.send(b"256");
    client.finish();
    expect_pieces(&mut client, 256);
    client.expect_end();
    assert_eq!(events.next_closed().1, CloseReason::PeerClosed);
    running.drain();
}

fn draining_lets_a_stream_come_to_its_end<E: Engine>() {
    let (service, _) = Stream::new();
    let (running, addr) = serve::<E>(Limits { drain_timeout: GUARD, ..Limits::default() }, service);
    let mut client = Client::connect(addr);
    client.send(b"256");
    let first = client.receive();
    assert!(first == piece(0));
    running.handle.drain();
    for number in 1..256 {
        let received = client.receive_or_end().unwrap_or_else(|| panic!("the stream ended after {number} pieces"));
        assert!(received == piece(number), "piece {number} is another");
    }
    client.expect_end();
    drop(client);
    running.join();
}

fn a_stream_to_one_who_does_not_read_holds_up_nobody<E: Engine>() {
    let (service, most_owed) = Stream::new();
    let (running, addr) = serve::<E>(Limits::default(), service);
    let stuck = Client::connect(addr);
    stuck.send(b"100000");
    let mut other = Client::connect(addr);
    other.send(b"256");
    expect_pieces(&mut other, 256);
    let turns = running.counters()["turns"];
    assert!(other.receives_nothing_for(std::time::Duration::from_millis(200)));
    let turns = running.counters()["turns"] - turns;
    assert!(turns < 50, "{turns} turns to wait for a peer that does not read");
    assert!(most_owed.load(Ordering::Relaxed) <= Limits::default().low_water_bytes() + PIECE_BYTES + 4);
    drop((stuck, other));
    running.drain();
}
