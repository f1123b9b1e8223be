//! The write queue against a model that keeps every frame by itself.

use proptest::prelude::*;

use super::*;
use crate::service::reply_buffer::FLUSH_BYTES;

/// One operation on a queue.
#[derive(Clone, Debug)]
enum QueueOp {
    /// Replies of one step, in up to three pieces.
    Copy(Vec<usize>),
    /// Broadcasts, one by one.
    Shared(Vec<usize>),
    /// One batch with an id.
    Batch(Vec<usize>),
    /// Replies of which the socket took the first bytes, if the queue is empty.
    Rest(Vec<usize>, usize),
    Write(Vec<WriteStep>),
}

fn any_op() -> impl Strategy<Value = QueueOp> {
    let size = || prop_oneof![8 => 1..40usize, 1 => 5_000..20_000usize];
    let write = prop_oneof![
        4 => (1..100usize).prop_map(WriteStep::Take),
        2 => (1..30_000usize).prop_map(WriteStep::Take),
        2 => Just(ALL),
        1 => Just(WriteStep::Interrupted),
        1 => Just(WriteStep::WouldBlock),
    ];
    prop_oneof![
        3 => prop::collection::vec(size(), 1..6).prop_map(QueueOp::Copy),
        3 => prop::collection::vec(size(), 1..4).prop_map(QueueOp::Shared),
        1 => prop::collection::vec(1..9usize, 60..140).prop_map(QueueOp::Shared),
        3 => prop::collection::vec(size(), 1..5).prop_map(QueueOp::Batch),
        1 => (prop::collection::vec(size(), 1..4), 0..30_000usize).prop_map(|(sizes, lost)| QueueOp::Rest(sizes, lost)),
        4 => prop::collection::vec(write, 0..6).prop_map(QueueOp::Write),
    ]
}

/// Frames that are dropped together or not at all: replies of one step, or a batch.
#[derive(Debug)]
struct FrameGroup {
    /// The unsent frames, the first perhaps in part.
    frames: VecDeque<Vec<u8>>,
    id: BatchId,
    is_reply: bool,
    /// True if a byte of the group is sent.
    is_begun: bool,
}

impl FrameGroup {
    fn replies(frames: Vec<Vec<u8>>) -> Self {
        Self { frames: frames.into(), id: BatchId::NONE, is_reply: true, is_begun: false }
    }

    fn batch(frames: Vec<Vec<u8>>, id: BatchId) -> Self {
        Self { frames: frames.into(), id, is_reply: false, is_begun: false }
    }

    fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flatten().copied().collect()
    }

    fn byte_len(&self) -> usize {
        self.frames.iter().map(Vec::len).sum()
    }

    fn len(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap()
    }
}

/// A queue beside a plain list of what is pending.
struct QueueModel {
    queue: WriteQueue,
    limits: Limits,
    groups: Vec<FrameGroup>,
    last_id: u64,
    made: u8,
}

impl QueueModel {
    /// Returns new frames, each of a byte value of its own.
    fn make(&mut self, sizes: &[usize]) -> Vec<Vec<u8>> {
        let make = |size: &usize| {
            self.made = self.made.wrapping_add(1);
            vec![self.made; *size]
        };
        sizes.iter().map(make).collect()
    }

    fn bytes(&self) -> usize {
        self.groups.iter().map(FrameGroup::byte_len).sum()
    }

    fn reply_bytes(&self) -> usize {
        self.groups.iter().filter(|group| group.is_reply).map(FrameGroup::byte_len).sum()
    }

    /// Removes batches by the policy until the queue has room. Returns them in the order of
    /// dropping.
    fn make_room(&mut self) -> Vec<FrameGroup> {
        let may_drop = |group: &FrameGroup| !group.is_reply && !group.is_begun;
        let mut lost = Vec::new();
        while self.bytes() >= self.limits.max_write_buffer_bytes {
            let at = match self.limits.slow_consumer {
                SlowConsumer::DropNewest => self.groups.iter().rposition(may_drop),
                _ => self.groups.iter().position(may_drop),
            };
            let Some(at) = at else { break };
            lost.push(self.groups.remove(at));
        }
        lost
    }

    /// Enqueues a group, and checks the result and the reports.
    fn enqueue(&mut self, new: FrameGroup) {
        let (bytes, policy, mut dropped) = (new.bytes(), self.limits.slow_consumer, Vec::new());
        let bound = bound(&self.limits);
        let result = if new.is_reply {
            let (before, rest) = bytes.split_at(bytes.len() / 3);
            let (borrowed, after) = rest.split_at(rest.len() / 2);
            let pieces = [before, borrowed, after].into_iter();
            self.queue.enqueue_copy(pieces, bytes.len(), new.len(), bound, &mut dropped)
        } else {
            let batch = Batch::encoded(bytes.clone(), new.len(), new.id);
            self.queue.enqueue_shared(&batch, bound, &mut dropped)
        };
        let max_bytes = self.limits.max_write_buffer_bytes;
        let was_full = self.bytes() >= max_bytes;
        let makes_room = policy == SlowConsumer::DropOldest || (policy == SlowConsumer::DropNewest && new.is_reply);
        let mut lost = if was_full && makes_room { self.make_room() } else { Vec::new() };
        let max_reply_bytes = max_bytes + FLUSH_BYTES;
        let is_full = match (new.is_reply, policy) {
            (true, SlowConsumer::Disconnect) => self.bytes() >= max_reply_bytes,
            (true, _) => self.reply_bytes() >= max_reply_bytes,
            (false, policy) => policy == SlowConsumer::Disconnect,
        };
        let expected = if was_full && is_full {
            EnqueueResult::Full
        } else {
            if was_full && !new.is_reply && self.bytes() >= max_bytes {
                lost.push(new);
            } else {
                self.groups.push(new);
            }
            match lost.iter().map(FrameGroup::len).sum() {
                0 => EnqueueResult::Queued,
                frames => EnqueueResult::Dropped(frames),
            }
        };
        assert_eq!(result, expected);
        let named = lost.iter().filter(|group| group.id != BatchId::NONE);
        let reports = named.map(|group| DroppedBatch { batch: group.id, frames: group.len() });
        assert_eq!(dropped, reports.collect::<Vec<_>>());
        // One batch that is begun, and what one call adds may exceed the limits.
        let begun = self.groups.first().filter(|group| group.is_begun).map_or(0, FrameGroup::byte_len);
        assert!(self.bytes() <= max_bytes + max_reply_bytes + begun + 200_000);
    }

    fn apply(&mut self, op: QueueOp, short_write_means_full: bool) {
        match op {
            QueueOp::Copy(sizes) => {
                let new = self.make(&sizes);
                self.enqueue(FrameGroup::replies(new));
            }
            QueueOp::Shared(sizes) => {
                for frame in self.make(&sizes) {
                    self.enqueue(FrameGroup::batch(vec![frame], BatchId::NONE));
                }
            }
            QueueOp::Batch(sizes) => {
                let new = self.make(&sizes);
                self.last_id += 1;
                self.enqueue(FrameGroup::batch(new, BatchId(self.last_id)));
            }
            QueueOp::Rest(sizes, lost) => {
                if self.queue.is_empty() {
                    let mut rest = FrameGroup::replies(self.make(&sizes));
                    let bytes = rest.bytes();
                    let lost = lost % bytes.len();
                    let (first, second) = bytes[lost..].split_at((bytes.len() - lost) / 2);
                    push_rest(&mut self.queue, &[first, second]);
                    rest.is_begun = true;
                    self.groups.push(rest);
                    self.remove_sent(&bytes[..lost]);
                }
            }
            QueueOp::Write(script) => {
                let mut socket = ScriptedWriter::new(&script);
                let outcome = self.queue.write_to(&mut socket, short_write_means_full).unwrap();
                assert_eq!(outcome.bytes, socket.written.len());
                self.remove_sent(&socket.written);
                assert_eq!(outcome.blocked, !self.groups.is_empty(), "writing stops only when the socket is full");
                assert_eq!(outcome.blocked, socket.would_block || (socket.short && short_write_means_full));
            }
        }
        assert_eq!(self.queue.pending_bytes(), self.bytes());
        assert_eq!(self.queue.is_empty(), self.groups.is_empty());
        assert_eq!(self.queue.owns_no_heap(), self.groups.is_empty(), "an empty queue owns heap");
    }

    /// Removes the bytes that were sent from the front.
    fn remove_sent(&mut self, mut out: &[u8]) {
        while let Some(group) = self.groups.first_mut().filter(|_| !out.is_empty()) {
            group.is_begun = true;
            let frame = group.frames.front_mut().unwrap();
            let (sent, rest) = out.split_at(out.len().min(frame.len()));
            assert!(frame.starts_with(sent), "the bytes sent differ from the first pending frame");
            frame.drain(..sent.len());
            if frame.is_empty() {
                group.frames.pop_front();
            }
            if group.frames.is_empty() {
                self.groups.remove(0);
            }
            out = rest;
        }
        assert!(out.is_empty(), "more bytes were sent than were pending");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whole_frames_leave_in_order_except_those_dropped(
        ops in prop::collection::vec(any_op(), 0..40),
        policy in prop::sample::select(SlowConsumer::NAMES.map(|(_, policy)| policy).to_vec()),
        max_bytes in prop_oneof![1..400usize, Just(40_000)],
        short_write_means_full in prop::bool::ANY,
    ) {
        let limits = limits(max_bytes, policy);
        let queue = WriteQueue::default();
        let mut model = QueueModel { queue, limits, groups: Vec::new(), last_id: 0, made: 0 };
        for op in ops {
            model.apply(op, short_write_means_full);
        }
        model.apply(QueueOp::Write(vec![ALL; 1000]), short_write_means_full);
        prop_assert!(model.groups.is_empty());
    }
}
