//! The write queue, written to a scripted socket.

mod model;
mod replies;

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::ops::Range;
use std::sync::Arc;

use super::chunk_queue::MAX_SLICES;
use super::queue::Pending;
use super::{DroppedBatch, EnqueueResult, WriteOutcome, WriteQueue};
use crate::engine::limits::{Limits, QueueBound, SlowConsumer};
use crate::frame::{Batch, BatchId, Payload};
use crate::service::Peer;

/// The effect of one write.
#[derive(Clone, Copy, Debug)]
enum WriteStep {
    Take(usize),
    WouldBlock,
    Interrupted,
    Fail(io::ErrorKind),
}

/// A socket that follows a script. After the end of the script, each write would block.
#[derive(Debug, Default)]
struct ScriptedWriter {
    script: VecDeque<WriteStep>,
    written: Vec<u8>,
    calls: usize,
    /// The address range of the first slice of each call.
    first_slices: Vec<Range<*const u8>>,
    /// True if a write returned `WouldBlock`.
    would_block: bool,
    /// True if a write took less than it was offered.
    short: bool,
}

impl ScriptedWriter {
    fn new(script: &[WriteStep]) -> Self {
        Self { script: script.iter().copied().collect(), ..Self::default() }
    }

    fn take(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        let offered = slices.concat();
        assert!(!offered.is_empty(), "an empty write");
        assert!(slices.len() <= MAX_SLICES);
        assert!(!self.would_block, "a write after WouldBlock");
        self.calls += 1;
        self.first_slices.push(slices[0].as_ptr_range());
        match self.script.pop_front().unwrap_or(WriteStep::WouldBlock) {
            WriteStep::Take(most) => {
                let bytes = most.min(offered.len());
                self.short |= bytes < offered.len();
                self.written.extend_from_slice(&offered[..bytes]);
                Ok(bytes)
            }
            WriteStep::WouldBlock => {
                self.would_block = true;
                Err(io::ErrorKind::WouldBlock.into())
            }
            WriteStep::Interrupted => Err(io::ErrorKind::Interrupted.into()),
            WriteStep::Fail(kind) => Err(kind.into()),
        }
    }
}

impl Write for ScriptedWriter {
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

const ALL: WriteStep = WriteStep::Take(usize::MAX);

fn enqueue_copy(queue: &mut WriteQueue, pieces: &[&[u8]], frames: u32, limits: &Limits) -> EnqueueResult {
    queue.enqueue_copy(pieces.iter().copied(), pieces.concat().len(), frames, bound(limits), &mut Vec::new())
}

fn enqueue_shared(queue: &mut WriteQueue, frame: &Payload, limits: &Limits) -> EnqueueResult {
    queue.enqueue_shared(&Batch::encoded(frame.clone(), 1, BatchId::NONE), bound(limits), &mut Vec::new())
}

impl WriteQueue {
    fn owns_no_heap(&self) -> bool {
        matches!(self.pending, Pending::Empty)
    }

    /// Enqueues a batch of two frames. Returns the result and the ids of the batches dropped.
    fn enqueue_pair(&mut self, id: u64, bytes: &'static str, limits: &Limits) -> (EnqueueResult, Vec<u64>) {
        let mut dropped = Vec::new();
        let result = self.enqueue_shared(&Batch::encoded(bytes, 2, BatchId(id)), bound(limits), &mut dropped);
        assert!(dropped.iter().all(|dropped| dropped.frames == 2));
        (result, dropped.into_iter().map(|dropped| dropped.batch.0).collect())
    }
}

fn push_rest(queue: &mut WriteQueue, rest: &[&[u8]]) {
    queue.push_rest(rest.iter().copied(), rest.concat().len());
}

fn bound(limits: &Limits) -> QueueBound {
    limits.queue_bound(&Peer::Unix)
}

fn limits(max_write_buffer_bytes: usize, slow_consumer: SlowConsumer) -> Limits {
    Limits { max_write_buffer_bytes, slow_consumer, ..Limits::default() }
}

#[test]
fn replies_offered_one_by_one_leave_in_one_write() {
    let mut queue = WriteQueue::default();
    for reply in [&b"one"[..], b"two", b"three"] {
        assert_eq!(enqueue_copy(&mut queue, &[reply, b";"], 1, &Limits::default()), EnqueueResult::Queued);
    }
    assert_eq!(queue.pending_bytes(), 14);
    let mut socket = ScriptedWriter::new(&[ALL]);
    assert_eq!(queue.write_to(&mut socket, true).unwrap(), WriteOutcome { bytes: 14, blocked: false });
    assert_eq!((&socket.written[..], socket.calls), (&b"one;two;three;"[..], 1));
}

#[test]
fn broadcasts_leave_together_and_are_never_copied() {
    let frames: Vec<Payload> = (0..2 * MAX_SLICES).map(|n| format!("frame {n};").into()).collect();
    let mut queue = WriteQueue::default();
    for frame in &frames {
        assert_eq!(enqueue_shared(&mut queue, frame, &Limits::default()), EnqueueResult::Queued);
    }
    let mut socket = ScriptedWriter::new(&[ALL; 2]);
    assert!(!queue.write_to(&mut socket, true).unwrap().blocked);
    assert!(socket.written == frames.iter().flat_map(|frame| frame.to_vec()).collect::<Vec<_>>());
    assert_eq!(socket.first_slices, [frames[0].as_ptr_range(), frames[MAX_SLICES].as_ptr_range()]);
}

#[test]
fn an_empty_queue_owns_no_heap() {
    let mut queue = WriteQueue::default();
    assert!(queue.owns_no_heap());
    enqueue_shared(&mut queue, &Payload::from("abc"), &Limits::default());
    assert!(!queue.owns_no_heap());
    queue.write_to(&mut ScriptedWriter::new(&[WriteStep::Take(2), ALL]), false).unwrap();
    assert!(queue.owns_no_heap());
    push_rest(&mut queue, &[b"rest", b""]);
    queue.write_to(&mut ScriptedWriter::new(&[ALL]), true).unwrap();
    assert!(queue.owns_no_heap());
}

#[test]
fn an_empty_frame_is_not_queued() {
    for full in [true, false] {
        let mut queue = WriteQueue::default();
        assert_eq!(enqueue_shared(&mut queue, &Payload::from(""), &Limits::default()), EnqueueResult::Queued);
        assert_eq!(enqueue_copy(&mut queue, &[b"", b"", b""], 1, &Limits::default()), EnqueueResult::Queued);
        push_rest(&mut queue, &[b"", b"", b""]);
        assert!(queue.is_empty() && queue.owns_no_heap());
        assert_eq!(queue.write_to(&mut ScriptedWriter::default(), full).unwrap(), WriteOutcome::default());

        enqueue_shared(&mut queue, &Payload::from("a"), &Limits::default());
        enqueue_shared(&mut queue, &Payload::from(""), &Limits::default());
        enqueue_copy(&mut queue, &[b""], 1, &Limits::default());
        assert_eq!(
            queue.write_to(&mut ScriptedWriter::new(&[ALL]), full).unwrap(),
            WriteOutcome { bytes: 1, blocked: false }
        );
        assert!(queue.owns_no_heap());
    }
}

#[test]
fn a_short_write_means_full_only_where_it_proves_it() {
    for (short_write_means_full, bytes, calls) in [(true, 2, 1), (false, 6, 3)] {
        let mut queue = WriteQueue::default();
        enqueue_copy(&mut queue, &[b"abcdefgh"], 1, &Limits::default());
        let mut socket = ScriptedWriter::new(&[WriteStep::Take(2), WriteStep::Take(4)]);
        assert_eq!(queue.write_to(&mut socket, short_write_means_full).unwrap(), WriteOutcome { bytes, blocked: true });
        assert_eq!((socket.calls, queue.pending_bytes()), (calls, 8 - bytes));
    }
}

#[test]
fn a_socket_that_fails_or_takes_nothing_is_an_error() {
    for (write, kind) in [
        (WriteStep::Fail(io::ErrorKind::BrokenPipe), io::ErrorKind::BrokenPipe),
        (WriteStep::Fail(io::ErrorKind::ConnectionReset), io::ErrorKind::ConnectionReset),
        (WriteStep::Take(0), io::ErrorKind::WriteZero),
    ] {
        let mut queue = WriteQueue::default();
        enqueue_copy(&mut queue, &[b"abc"], 1, &Limits::default());
        let error = queue
            .write_to(&mut ScriptedWriter::new(&[WriteStep::Interrupted, WriteStep::Take(1), write]), false)
            .unwrap_err();
        assert_eq!(error.kind(), kind);
    }
}

#[test]
fn one_frame_of_any_size_passes_while_there_is_room_at_all() {
    let limits = limits(10, SlowConsumer::Disconnect);
    let mut queue = WriteQueue::default();
    assert_eq!(enqueue_copy(&mut queue, &[b"123456789"], 1, &limits), EnqueueResult::Queued);
    assert_eq!(enqueue_shared(&mut queue, &vec![0; 1000].into(), &limits), EnqueueResult::Queued);
    assert_eq!(enqueue_shared(&mut queue, &Payload::from("x"), &limits), EnqueueResult::Full);
    assert_eq!(queue.pending_bytes(), 1009);
}

#[test]
fn the_policy_decides_what_a_full_queue_drops() {
    let frames = ["[old 1]", "[old 2]", "[old 3]", "[news]"].map(Payload::from);
    for (policy, last, out) in [
        (SlowConsumer::Disconnect, EnqueueResult::Full, "[old 1][old 2][old 3]"),
        (SlowConsumer::DropNewest, EnqueueResult::Dropped(1), "[old 1][old 2][old 3]"),
        (SlowConsumer::DropOldest, EnqueueResult::Dropped(1), "[old 2][old 3][news]"),
    ] {
        let mut queue = WriteQueue::default();
        let result = frames.each_ref().map(|frame| enqueue_shared(&mut queue, frame, &limits(21, policy)));
        assert_eq!(result, [EnqueueResult::Queued, EnqueueResult::Queued, EnqueueResult::Queued, last]);
        let mut socket = ScriptedWriter::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(String::from_utf8(socket.written).unwrap(), out);
    }
}

#[test]
fn a_frame_that_came_after_a_begun_one_can_still_be_dropped() {
    let limits = limits(5, SlowConsumer::DropOldest);
    let mut queue = WriteQueue::default();
    enqueue_copy(&mut queue, &[b"[a]"], 1, &limits);
    queue.write_to(&mut ScriptedWriter::new(&[WriteStep::Take(1)]), true).unwrap();
    assert_eq!(enqueue_shared(&mut queue, &Payload::from("[b]"), &limits), EnqueueResult::Queued);
    assert_eq!(enqueue_shared(&mut queue, &Payload::from("[c]"), &limits), EnqueueResult::Dropped(1));
    let mut socket = ScriptedWriter::new(&[ALL]);
    queue.write_to(&mut socket, true).unwrap();
    assert_eq!(socket.written, b"a][c]");
}

#[test]
fn a_frame_begun_is_finished_under_every_policy() {
    for policy in SlowConsumer::NAMES.map(|(_, policy)| policy) {
        // A frame that was begun by a short write, and one that was begun before it was queued.
        let mut begun_here = WriteQueue::default();
        enqueue_shared(&mut begun_here, &Payload::from("[begun]"), &limits(1, policy));
        begun_here.write_to(&mut ScriptedWriter::new(&[WriteStep::Take(1)]), true).unwrap();
        let mut begun_before = WriteQueue::default();
        push_rest(&mut begun_before, &[b"beg", b"", b"un]"]);
        for mut queue in [begun_here, begun_before] {
            assert_eq!(queue.pending_bytes(), 6);
            let result = enqueue_shared(&mut queue, &Payload::from("[news]"), &limits(1, policy));
            assert_eq!(
                result,
                if policy == SlowConsumer::Disconnect { EnqueueResult::Full } else { EnqueueResult::Dropped(1) }
            );
            let mut socket = ScriptedWriter::new(&[ALL]);
            queue.write_to(&mut socket, true).unwrap();
            assert_eq!(socket.written, b"begun]");
        }
    }
}

#[test]
fn a_batch_written_at_once_costs_no_allocation() {
    let batch = Batch::encoded("[a][b]", 2, BatchId(1));
    let mut queue = WriteQueue::default();
    assert_eq!(queue.enqueue_shared(&batch, bound(&Limits::default()), &mut Vec::new()), EnqueueResult::Queued);
    assert!(matches!(&queue.pending, Pending::One(one) if Arc::ptr_eq(one, &batch)));
    assert_eq!((queue.is_empty(), queue.pending_bytes()), (false, 6));
    let mut socket = ScriptedWriter::new(&[WriteStep::Interrupted, ALL]);
    assert_eq!(queue.write_to(&mut socket, true).unwrap(), WriteOutcome { bytes: 6, blocked: false });
    assert_eq!(socket.first_slices[0], batch.bytes().as_ptr_range(), "the batch is written without a copy");
    assert!(queue.owns_no_heap());
    assert_eq!(Arc::strong_count(&batch), 1);
}

#[test]
fn ids_of_dropped_batches_are_reported_in_order() {
    for (policy, dropped, out) in [
        (SlowConsumer::Disconnect, [vec![], vec![]], "[1][1][2][2]"),
        (SlowConsumer::DropNewest, [vec![3], vec![4]], "[1][1][2][2]"),
        (SlowConsumer::DropOldest, [vec![1], vec![2]], "[3][3][4][4]"),
    ] {
        let limits = limits(9, policy);
        let mut queue = WriteQueue::default();
        assert_eq!(queue.enqueue_pair(1, "[1][1]", &limits), (EnqueueResult::Queued, vec![]));
        assert_eq!(queue.enqueue_pair(2, "[2][2]", &limits), (EnqueueResult::Queued, vec![]));
        let result = if policy == SlowConsumer::Disconnect { EnqueueResult::Full } else { EnqueueResult::Dropped(2) };
        let [third, fourth] = dropped;
        assert_eq!(queue.enqueue_pair(3, "[3][3]", &limits), (result, third));
        assert_eq!(queue.enqueue_pair(4, "[4][4]", &limits), (result, fourth));
        let mut socket = ScriptedWriter::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(String::from_utf8(socket.written).unwrap(), out);
    }
}

#[test]
fn a_batch_begun_is_finished_and_the_new_one_dropped() {
    for policy in [SlowConsumer::DropNewest, SlowConsumer::DropOldest] {
        let limits = limits(4, policy);
        let mut queue = WriteQueue::default();
        queue.enqueue_pair(1, "[1][1]", &limits);
        queue.write_to(&mut ScriptedWriter::new(&[WriteStep::Take(1)]), true).unwrap();
        assert_eq!(queue.enqueue_pair(2, "[2][2]", &limits), (EnqueueResult::Dropped(2), vec![2]));
        let mut socket = ScriptedWriter::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(socket.written, b"1][1]");
    }
}
