//! The write queue against a model that keeps every frame by itself.

use proptest::prelude::*;

use super::*;

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

/// The unsent rest of a frame, and the id of its batch.
type Frame = (Vec<u8>, BatchId);

/// A queue beside a plain list of the pending frames.
struct QueueModel {
    queue: WriteQueue,
    limits: Limits,
    frames: VecDeque<Frame>,
    last_id: u64,
    made: u8,
    largest_offer: usize,
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
        self.frames.iter().map(|(bytes, _)| bytes.len()).sum()
    }

    /// Returns the number of frames at the front that may no longer be dropped. The queue's own
    /// mark is used, because it marks whole chunks. The mark must cover the first frame if that is
    /// begun, and must end at the end of a frame.
    fn begun_frames(&self) -> usize {
        let Pending::Many(chunks) = &self.queue.pending else { return 0 };
        let (marked, taken) = chunks.started_bytes();
        let mut left = marked - if marked > 0 { taken } else { 0 };
        assert!(taken == 0 || left > 0, "bytes were sent of a chunk that is not marked");
        let mut frames = 0;
        while left > 0 {
            left = left.checked_sub(self.frames[frames].0.len()).expect("the mark ends within a frame");
            frames += 1;
        }
        frames
    }

    fn enqueue_batch(&mut self, new: Vec<Vec<u8>>, id: BatchId) {
        self.enqueue(new, id, |queue, frames, limits, dropped| {
            let batch = Batch::encoded(frames.concat(), u32::try_from(frames.len()).unwrap(), id);
            queue.enqueue_shared(&batch, bound(limits), dropped)
        });
    }

    /// Enqueues frames that are dropped together or not at all, and checks the reports.
    fn enqueue(
        &mut self,
        new: Vec<Vec<u8>>,
        id: BatchId,
        enqueue: impl FnOnce(&mut WriteQueue, &[Vec<u8>], &Limits, &mut Vec<DroppedBatch>) -> EnqueueResult,
    ) {
        let (max_bytes, begun) = (self.limits.max_write_buffer_bytes, self.begun_frames());
        let was_full = self.bytes() >= max_bytes;
        let count = u32::try_from(new.len()).unwrap();
        let offered_bytes = new.iter().map(Vec::len).sum();
        self.largest_offer = self.largest_offer.max(offered_bytes);
        let mut dropped = Vec::new();
        let result = enqueue(&mut self.queue, &new, &self.limits, &mut dropped);
        let new: Vec<Frame> = new.into_iter().map(|bytes| (bytes, id)).collect();
        if !was_full {
            assert_eq!(result, EnqueueResult::Queued);
            assert_eq!(dropped, []);
            self.frames.extend(new);
            assert!(self.bytes() < max_bytes + offered_bytes);
            return;
        }
        let mut lost = Vec::new();
        match self.limits.slow_consumer {
            SlowConsumer::Disconnect => assert_eq!(result, EnqueueResult::Full),
            SlowConsumer::DropNewest => {
                assert_eq!(result, EnqueueResult::Dropped(count));
                lost = new;
            }
            SlowConsumer::DropOldest => {
                let EnqueueResult::Dropped(count) = result else { panic!("{result:?} from a full queue") };
                let count = usize::try_from(count).unwrap();
                let begun_bytes: usize = self.frames.iter().take(begun).map(|(bytes, _)| bytes.len()).sum();
                if begun_bytes >= max_bytes {
                    assert_eq!(count, self.frames.len() - begun + new.len(), "every frame that may be dropped is");
                    lost.extend(self.frames.drain(begun..).chain(new));
                } else {
                    assert!(count > 0);
                    lost.extend(self.frames.drain(begun..begun + count));
                    assert!(self.bytes() < max_bytes, "too little was dropped");
                    assert!(
                        self.bytes() + self.largest_offer.max(COPY_CHUNK_BYTES) >= max_bytes,
                        "more than needed was dropped"
                    );
                    self.frames.extend(new);
                }
            }
        }
        let mut reported = Vec::new();
        for (_, id) in lost.iter().filter(|(_, id)| *id != BatchId::NONE) {
            match reported.last_mut() {
                Some(DroppedBatch { batch, frames }) if batch == id => *frames += 1,
                _ => reported.push(DroppedBatch { batch: *id, frames: 1 }),
            }
            assert!(self.frames.iter().all(|(_, kept)| kept != id), "half a batch was dropped");
        }
        assert_eq!(dropped, reported);
    }

    fn apply(&mut self, op: QueueOp, short_write_means_full: bool) {
        match op {
            QueueOp::Copy(sizes) => {
                let new = self.make(&sizes);
                self.enqueue(new, BatchId::NONE, |queue, frames, limits, dropped| {
                    let bytes = frames.concat();
                    let (before, rest) = bytes.split_at(bytes.len() / 3);
                    let (borrowed, after) = rest.split_at(rest.len() / 2);
                    let count = u32::try_from(frames.len()).unwrap();
                    queue.enqueue_copy(
                        [before, borrowed, after].into_iter(),
                        bytes.len(),
                        count,
                        bound(limits),
                        dropped,
                    )
                });
            }
            QueueOp::Shared(sizes) => {
                for frame in self.make(&sizes) {
                    self.enqueue_batch(vec![frame], BatchId::NONE);
                }
            }
            QueueOp::Batch(sizes) => {
                let new = self.make(&sizes);
                self.last_id += 1;
                self.enqueue_batch(new, BatchId(self.last_id));
            }
            QueueOp::Rest(sizes, lost) => {
                if self.queue.is_empty() {
                    let new = self.make(&sizes);
                    let bytes = new.concat();
                    let lost = lost % bytes.len();
                    let (first, second) = bytes[lost..].split_at((bytes.len() - lost) / 2);
                    push_rest(&mut self.queue, &[first, second]);
                    self.frames.extend(new.into_iter().map(|bytes| (bytes, BatchId::NONE)));
                    self.remove_sent(&bytes[..lost]);
                }
            }
            QueueOp::Write(script) => {
                let mut socket = ScriptedWriter::new(&script);
                let outcome = self.queue.write_to(&mut socket, short_write_means_full).unwrap();
                assert_eq!(outcome.bytes, socket.written.len());
                self.remove_sent(&socket.written);
                assert_eq!(outcome.blocked, !self.frames.is_empty(), "writing stops only when the socket is full");
                assert_eq!(outcome.blocked, socket.would_block || (socket.short && short_write_means_full));
            }
        }
        assert_eq!(self.queue.pending_bytes(), self.bytes());
        assert_eq!(self.queue.is_empty(), self.frames.is_empty());
        assert_eq!(self.queue.owns_no_heap(), self.frames.is_empty(), "an empty queue owns heap");
        self.begun_frames();
    }

    /// Removes the bytes that were sent from the front.
    fn remove_sent(&mut self, mut out: &[u8]) {
        while let Some((frame, _)) = self.frames.front_mut().filter(|_| !out.is_empty()) {
            let (lost, rest) = out.split_at(out.len().min(frame.len()));
            assert!(frame.starts_with(lost), "the bytes sent differ from the first pending frame");
            frame.drain(..lost.len());
            if frame.is_empty() {
                self.frames.pop_front();
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
        let mut model = QueueModel { queue, limits, frames: VecDeque::new(), last_id: 0, made: 0, largest_offer: 0 };
        for op in ops {
            model.apply(op, short_write_means_full);
        }
        model.apply(QueueOp::Write(vec![ALL; 1000]), short_write_means_full);
        prop_assert!(model.frames.is_empty());
    }
}
