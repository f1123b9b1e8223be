//! The queue before a scripted socket.

mod model;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

use super::waiting::{MAX_SLICES, RUN_BYTES};
use super::*;
use crate::engine::limits::Limits;
use crate::frame::Payload;

/// What the socket does with one call.
#[derive(Clone, Copy, Debug)]
enum Act {
    Take(usize),
    WouldBlock,
    Interrupted,
    Fail(io::ErrorKind),
}

/// A socket that follows a script, and after its end would block.
#[derive(Debug, Default)]
struct Socket {
    script: VecDeque<Act>,
    out: Vec<u8>,
    calls: usize,
    /// Where the first slice of each call lay.
    lay_at: Vec<Range<*const u8>>,
    /// It has said that it is full, by an error or by taking less than it was offered.
    would_block: bool,
    short: bool,
}

impl Socket {
    fn new(script: &[Act]) -> Self {
        Self { script: script.iter().copied().collect(), ..Self::default() }
    }

    fn take(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        let offered = slices.concat();
        assert!(!offered.is_empty(), "a write of nothing");
        assert!(slices.len() <= MAX_SLICES);
        assert!(!self.would_block, "written to again after it would block");
        self.calls += 1;
        self.lay_at.push(slices[0].as_ptr_range());
        match self.script.pop_front().unwrap_or(Act::WouldBlock) {
            Act::Take(most) => {
                let bytes = most.min(offered.len());
                self.short |= bytes < offered.len();
                self.out.extend_from_slice(&offered[..bytes]);
                Ok(bytes)
            }
            Act::WouldBlock => {
                self.would_block = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Act::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            Act::Fail(kind) => Err(kind.into()),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(&[bytes])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.take(&slices.iter().map(|slice| &**slice).collect::<Vec<_>>())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const ALL: Act = Act::Take(usize::MAX);

fn offer(queue: &mut WriteQueue, pieces: &[&[u8]], frames: u32, limits: &Limits) -> Offered {
    queue.offer(pieces.iter().copied(), pieces.concat().len(), frames, bound(limits), &mut Vec::new())
}

fn offer_shared(queue: &mut WriteQueue, frame: &Payload, limits: &Limits) -> Offered {
    queue.offer_shared(&Batch::encoded(frame.clone(), 1, BatchId::NONE), bound(limits), &mut Vec::new())
}

impl WriteQueue {
    fn owns_no_heap(&self) -> bool {
        matches!(self.owed, Owed::Nothing)
    }

    /// Offers a batch of two frames; the tickets of what was dropped for or with it.
    fn offer_pair(&mut self, ticket: u64, bytes: &'static str, limits: &Limits) -> (Offered, Vec<u64>) {
        let mut missed = Vec::new();
        let offered = self.offer_shared(&Batch::encoded(bytes, 2, BatchId(ticket)), bound(limits), &mut missed);
        assert!(missed.iter().all(|missed| missed.frames == 2));
        (offered, missed.into_iter().map(|missed| missed.ticket.0).collect())
    }
}

fn push_begun(queue: &mut WriteQueue, rest: &[&[u8]]) {
    queue.push_begun(rest.iter().copied(), rest.concat().len());
}

fn bound(limits: &Limits) -> QueueBound {
    QueueBound { max_bytes: limits.max_write_buffer_bytes, policy: limits.slow_consumer }
}

fn limits(max_write_buffer_bytes: usize, slow_consumer: SlowConsumer) -> Limits {
    Limits { max_write_buffer_bytes, slow_consumer, ..Limits::default() }
}

#[test]
fn replies_offered_one_by_one_leave_in_one_write() {
    let mut queue = WriteQueue::default();
    for reply in [&b"one"[..], b"two", b"three"] {
        assert_eq!(offer(&mut queue, &[reply, b";"], 1, &Limits::default()), Offered::Queued);
    }
    assert_eq!(queue.pending_bytes(), 14);
    let mut socket = Socket::new(&[ALL]);
    assert_eq!(queue.write_to(&mut socket, true).unwrap(), Wrote { bytes: 14, blocked: false });
    assert_eq!((&socket.out[..], socket.calls), (&b"one;two;three;"[..], 1));
}

#[test]
fn broadcasts_leave_together_and_are_never_copied() {
    let frames: Vec<Payload> = (0..2 * MAX_SLICES).map(|n| format!("frame {n};").into()).collect();
    let mut queue = WriteQueue::default();
    for frame in &frames {
        assert_eq!(offer_shared(&mut queue, frame, &Limits::default()), Offered::Queued);
    }
    let mut socket = Socket::new(&[ALL; 2]);
    assert!(!queue.write_to(&mut socket, true).unwrap().blocked);
    assert!(socket.out == frames.iter().flat_map(|frame| frame.to_vec()).collect::<Vec<_>>());
    assert_eq!(socket.lay_at, [frames[0].as_ptr_range(), frames[MAX_SLICES].as_ptr_range()]);
}

#[test]
fn an_empty_queue_owns_no_heap() {
    let mut queue = WriteQueue::default();
    assert!(queue.owns_no_heap());
    offer_shared(&mut queue, &Payload::from("abc"), &Limits::default());
    assert!(!queue.owns_no_heap());
    queue.write_to(&mut Socket::new(&[Act::Take(2), ALL]), false).unwrap();
    assert!(queue.owns_no_heap());
    push_begun(&mut queue, &[b"rest", b""]);
    queue.write_to(&mut Socket::new(&[ALL]), true).unwrap();
    assert!(queue.owns_no_heap());
}

#[test]
fn a_frame_without_bytes_waits_for_nothing() {
    for full in [true, false] {
        let mut queue = WriteQueue::default();
        assert_eq!(offer_shared(&mut queue, &Payload::from(""), &Limits::default()), Offered::Queued);
        assert_eq!(offer(&mut queue, &[b"", b"", b""], 1, &Limits::default()), Offered::Queued);
        push_begun(&mut queue, &[b"", b"", b""]);
        assert!(queue.is_empty() && queue.owns_no_heap());
        assert_eq!(queue.write_to(&mut Socket::default(), full).unwrap(), Wrote::default());

        offer_shared(&mut queue, &Payload::from("a"), &Limits::default());
        offer_shared(&mut queue, &Payload::from(""), &Limits::default());
        offer(&mut queue, &[b""], 1, &Limits::default());
        assert_eq!(queue.write_to(&mut Socket::new(&[ALL]), full).unwrap(), Wrote { bytes: 1, blocked: false });
        assert!(queue.owns_no_heap());
    }
}

#[test]
fn a_short_write_is_taken_for_a_full_socket_only_where_that_is_what_it_means() {
    for (short_is_full, bytes, calls) in [(true, 2, 1), (false, 6, 3)] {
        let mut queue = WriteQueue::default();
        offer(&mut queue, &[b"abcdefgh"], 1, &Limits::default());
        let mut socket = Socket::new(&[Act::Take(2), Act::Take(4)]);
        assert_eq!(queue.write_to(&mut socket, short_is_full).unwrap(), Wrote { bytes, blocked: true });
        assert_eq!((socket.calls, queue.pending_bytes()), (calls, 8 - bytes));
    }
}

#[test]
fn a_socket_that_fails_or_takes_nothing_is_an_error() {
    for (act, kind) in [
        (Act::Fail(io::ErrorKind::BrokenPipe), io::ErrorKind::BrokenPipe),
        (Act::Fail(io::ErrorKind::ConnectionReset), io::ErrorKind::ConnectionReset),
        (Act::Take(0), io::ErrorKind::WriteZero),
    ] {
        let mut queue = WriteQueue::default();
        offer(&mut queue, &[b"abc"], 1, &Limits::default());
        let error = queue.write_to(&mut Socket::new(&[Act::Interrupted, Act::Take(1), act]), false).unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn one_frame_of_any_size_passes_while_there_is_room_at_all() {
    let limits = limits(10, SlowConsumer::Disconnect);
    let mut queue = WriteQueue::default();
    assert_eq!(offer(&mut queue, &[b"123456789"], 1, &limits), Offered::Queued);
    assert_eq!(offer_shared(&mut queue, &vec![0; 1000].into(), &limits), Offered::Queued);
    assert_eq!(offer_shared(&mut queue, &Payload::from("x"), &limits), Offered::Full);
    assert_eq!(queue.pending_bytes(), 1009);
}

#[test]
fn the_policy_decides_what_a_full_queue_drops() {
    let frames = ["[old 1]", "[old 2]", "[old 3]", "[news]"].map(Payload::from);
    for (policy, last, out) in [
        (SlowConsumer::Disconnect, Offered::Full, "[old 1][old 2][old 3]"),
        (SlowConsumer::DropNewest, Offered::Dropped(1), "[old 1][old 2][old 3]"),
        (SlowConsumer::DropOldest, Offered::Dropped(1), "[old 2][old 3][news]"),
    ] {
        let mut queue = WriteQueue::default();
        let offered = frames.each_ref().map(|frame| offer_shared(&mut queue, frame, &limits(21, policy)));
        assert_eq!(offered, [Offered::Queued, Offered::Queued, Offered::Queued, last]);
        let mut socket = Socket::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(String::from_utf8(socket.out).unwrap(), out);
    }
}

#[test]
fn a_frame_that_came_after_a_begun_one_can_still_be_dropped() {
    let limits = limits(5, SlowConsumer::DropOldest);
    let mut queue = WriteQueue::default();
    offer(&mut queue, &[b"[a]"], 1, &limits);
    queue.write_to(&mut Socket::new(&[Act::Take(1)]), true).unwrap();
    assert_eq!(offer(&mut queue, &[b"[b]"], 1, &limits), Offered::Queued);
    assert_eq!(offer(&mut queue, &[b"[c]"], 1, &limits), Offered::Dropped(1));
    let mut socket = Socket::new(&[ALL]);
    queue.write_to(&mut socket, true).unwrap();
    assert_eq!(socket.out, b"a][c]");
}

#[test]
fn a_frame_whose_first_byte_went_out_is_finished_under_every_policy() {
    for policy in SlowConsumer::NAMES.map(|(_, policy)| policy) {
        // Begun here, by a short write; and begun before it was queued.
        let mut begun_here = WriteQueue::default();
        offer_shared(&mut begun_here, &Payload::from("[begun]"), &limits(1, policy));
        begun_here.write_to(&mut Socket::new(&[Act::Take(1)]), true).unwrap();
        let mut begun_before = WriteQueue::default();
        push_begun(&mut begun_before, &[b"beg", b"", b"un]"]);
        for mut queue in [begun_here, begun_before] {
            assert_eq!(queue.pending_bytes(), 6);
            let offered = offer_shared(&mut queue, &Payload::from("[news]"), &limits(1, policy));
            assert_eq!(offered, if policy == SlowConsumer::Disconnect { Offered::Full } else { Offered::Dropped(1) });
            let mut socket = Socket::new(&[ALL]);
            queue.write_to(&mut socket, true).unwrap();
            assert_eq!(socket.out, b"begun]");
        }
    }
}

#[test]
fn a_batch_that_leaves_in_the_turn_that_brought_it_costs_no_allocation() {
    let batch = Batch::encoded("[a][b]", 2, BatchId(1));
    let mut queue = WriteQueue::default();
    assert_eq!(queue.offer_shared(&batch, bound(&Limits::default()), &mut Vec::new()), Offered::Queued);
    assert!(matches!(&queue.owed, Owed::One(one) if Arc::ptr_eq(one, &batch)));
    assert_eq!((queue.is_empty(), queue.pending_bytes()), (false, 6));
    let mut socket = Socket::new(&[Act::Interrupted, ALL]);
    assert_eq!(queue.write_to(&mut socket, true).unwrap(), Wrote { bytes: 6, blocked: false });
    assert_eq!(socket.lay_at[0], batch.bytes().as_ptr_range(), "never copied");
    assert!(queue.owns_no_heap());
    assert_eq!(Arc::strong_count(&batch), 1);
}

#[test]
fn tickets_of_what_is_dropped_are_given_in_order() {
    for (policy, dropped, out) in [
        (SlowConsumer::Disconnect, [vec![], vec![]], "[1][1][2][2]"),
        (SlowConsumer::DropNewest, [vec![3], vec![4]], "[1][1][2][2]"),
        (SlowConsumer::DropOldest, [vec![1], vec![2]], "[3][3][4][4]"),
    ] {
        let limits = limits(9, policy);
        let mut queue = WriteQueue::default();
        assert_eq!(queue.offer_pair(1, "[1][1]", &limits), (Offered::Queued, vec![]));
        assert_eq!(queue.offer_pair(2, "[2][2]", &limits), (Offered::Queued, vec![]));
        let offered = if policy == SlowConsumer::Disconnect { Offered::Full } else { Offered::Dropped(2) };
        let [third, fourth] = dropped;
        assert_eq!(queue.offer_pair(3, "[3][3]", &limits), (offered, third));
        assert_eq!(queue.offer_pair(4, "[4][4]", &limits), (offered, fourth));
        let mut socket = Socket::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(String::from_utf8(socket.out).unwrap(), out);
    }
}

#[test]
fn replies_that_need_room_say_whose_they_have_taken_and_frames_without_a_ticket_nobody_asks_after() {
    let limits = limits(9, SlowConsumer::DropOldest);
    let mut queue = WriteQueue::default();
    queue.offer_pair(0, "[0][0]", &limits);
    queue.offer_pair(5, "[5][5]", &limits);
    let mut missed = Vec::new();
    let offered = queue.offer([&b"reply"[..]].into_iter(), 5, 1, bound(&limits), &mut missed);
    assert_eq!((offered, &missed[..]), (Offered::Dropped(2), &[][..]));
    let offered = queue.offer([&b"reply"[..]].into_iter(), 5, 1, bound(&limits), &mut missed);
    assert_eq!((offered, &missed[..]), (Offered::Dropped(2), &[Missed { ticket: BatchId(5), frames: 2 }][..]));
}

#[test]
fn a_batch_of_which_a_byte_went_out_is_finished_and_the_new_one_is_missed() {
    for policy in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits = limits(4, policy);
        let mut queue = WriteQueue::default();
        queue.offer_pair(1, "[1][1]", &limits);
        queue.write_to(&mut Socket::new(&[Act::Take(1)]), true).unwrap();
        assert_eq!(queue.offer_pair(2, "[2][2]", &limits), (Offered::Dropped(2), vec![2]));
        let mut socket = Socket::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(socket.out, b"1][1]");
    }
}
