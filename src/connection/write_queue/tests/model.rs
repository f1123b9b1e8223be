//! The queue against a model that keeps every frame by itself.

use proptest::prelude::*;

use super::*;

/// One thing that happens to a queue.
#[derive(Clone, Debug)]
enum Step {
    /// Replies of one step, in up to three pieces.
    Own(Vec<usize>),
    /// Broadcasts, one by one.
    Shared(Vec<usize>),
    /// One batch with a ticket.
    Batch(Vec<usize>),
    /// Replies of which the socket took so much at once, if nothing waits.
    Begun(Vec<usize>, usize),
    Write(Vec<Act>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![8 => 1..40usize, 1 => 5_000..20_000usize];
    let act = prop_oneof![
        4 => (1..100usize).prop_map(Act::Take),
        2 => (1..30_000usize).prop_map(Act::Take),
        2 => Just(ALL),
        1 => Just(Act::Interrupted),
        1 => Just(Act::WouldBlock),
    ];
    prop_oneof![
        3 => prop::collection::vec(size(), 1..6).prop_map(Step::Own),
        3 => prop::collection::vec(size(), 1..4).prop_map(Step::Shared),
        1 => prop::collection::vec(1..9usize, 60..140).prop_map(Step::Shared),
        3 => prop::collection::vec(size(), 1..5).prop_map(Step::Batch),
        1 => (prop::collection::vec(size(), 1..4), 0..30_000usize).prop_map(|(sizes, gone)| Step::Begun(sizes, gone)),
        4 => prop::collection::vec(act, 0..6).prop_map(Step::Write),
    ]
}

/// What is left of a frame, and the ticket of its batch.
type Frame = (Vec<u8>, BatchId);

/// A queue beside a plain list of the frames that wait, or what is left of them.
struct Model {
    queue: WriteQueue,
    limits: Limits,
    frames: VecDeque<Frame>,
    last_ticket: u64,
    made: u8,
    largest_offer: usize,
}

impl Model {
    /// New frames, each of bytes of its own.
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

    /// How many frames at the front may no longer be dropped. The queue's own mark is used, because it marks whole chunks; but
    /// it must cover the first frame if that has been begun, and must end where a frame ends.
    fn begun_frames(&self) -> usize {
        let Owed::Several(waiting) = &self.queue.owed else { return 0 };
        let (marked, taken) = waiting.begun_bytes();
        let mut left = marked - if marked > 0 { taken } else { 0 };
        assert!(taken == 0 || left > 0, "bytes went out of a chunk that is not marked");
        let mut frames = 0;
        while left > 0 {
            left = left.checked_sub(self.frames[frames].0.len()).expect("the mark ends within a frame");
            frames += 1;
        }
        frames
    }

    fn offer_batch(&mut self, new: Vec<Vec<u8>>, ticket: BatchId) {
        self.offer(new, ticket, |queue, frames, limits, missed| {
            let batch = Batch::encoded(frames.concat(), u32::try_from(frames.len()).unwrap(), ticket);
            queue.offer_shared(&batch, bound(limits), missed)
        });
    }

    /// Frames that are dropped together or not at all, and what tells of it.
    fn offer(
        &mut self,
        new: Vec<Vec<u8>>,
        ticket: BatchId,
        offer: impl FnOnce(&mut WriteQueue, &[Vec<u8>], &Limits, &mut Vec<Missed>) -> Offered,
    ) {
        let (cap, begun) = (self.limits.max_write_buffer_bytes, self.begun_frames());
        let was_full = self.bytes() >= cap;
        let count = u32::try_from(new.len()).unwrap();
        let offered_bytes = new.iter().map(Vec::len).sum();
        self.largest_offer = self.largest_offer.max(offered_bytes);
        let mut missed = Vec::new();
        let offered = offer(&mut self.queue, &new, &self.limits, &mut missed);
        let new: Vec<Frame> = new.into_iter().map(|bytes| (bytes, ticket)).collect();
        if !was_full {
            assert_eq!(offered, Offered::Queued);
            assert_eq!(missed, []);
            self.frames.extend(new);
            assert!(self.bytes() < cap + offered_bytes);
            return;
        }
        let mut gone = Vec::new();
        match self.limits.slow_consumer {
            SlowConsumer::Disconnect => assert_eq!(offered, Offered::Full),
            SlowConsumer::DropNewest => {
                assert_eq!(offered, Offered::Dropped(count));
                gone = new;
            }
            SlowConsumer::DropOldest => {
                let Offered::Dropped(dropped) = offered else { panic!("{offered:?} by a full queue") };
                let dropped = usize::try_from(dropped).unwrap();
                let begun_bytes: usize = self.frames.iter().take(begun).map(|(bytes, _)| bytes.len()).sum();
                if begun_bytes >= cap {
                    assert_eq!(dropped, self.frames.len() - begun + new.len(), "all that may be dropped is");
                    gone.extend(self.frames.drain(begun..).chain(new));
                } else {
                    assert!(dropped > 0);
                    gone.extend(self.frames.drain(begun..begun + dropped));
                    assert!(self.bytes() < cap, "too little was dropped");
                    assert!(self.bytes() + self.largest_offer.max(RUN_BYTES) >= cap, "more than needed was dropped");
                    self.frames.extend(new);
                }
            }
        }
        let mut told = Vec::new();
        for (_, ticket) in gone.iter().filter(|(_, ticket)| *ticket != BatchId::NONE) {
            match told.last_mut() {
                Some(Missed { ticket: last, frames }) if last == ticket => *frames += 1,
                _ => told.push(Missed { ticket: *ticket, frames: 1 }),
            }
            assert!(self.frames.iter().all(|(_, kept)| kept != ticket), "half a batch was dropped");
        }
        assert_eq!(missed, told);
    }

    fn step(&mut self, step: Step, short_is_full: bool) {
        match step {
            Step::Own(sizes) => {
                let new = self.make(&sizes);
                self.offer(new, BatchId::NONE, |queue, frames, limits, missed| {
                    let bytes = frames.concat();
                    let (before, rest) = bytes.split_at(bytes.len() / 3);
                    let (lent, after) = rest.split_at(rest.len() / 2);
                    let count = u32::try_from(frames.len()).unwrap();
                    queue.offer([before, lent, after].into_iter(), bytes.len(), count, bound(limits), missed)
                });
            }
            Step::Shared(sizes) => {
                for frame in self.make(&sizes) {
                    self.offer_batch(vec![frame], BatchId::NONE);
                }
            }
            Step::Batch(sizes) => {
                let new = self.make(&sizes);
                self.last_ticket += 1;
                self.offer_batch(new, BatchId(self.last_ticket));
            }
            Step::Begun(sizes, gone) => {
                if self.queue.is_empty() {
                    let new = self.make(&sizes);
                    let bytes = new.concat();
                    let gone = gone % bytes.len();
                    let (first, second) = bytes[gone..].split_at((bytes.len() - gone) / 2);
                    push_begun(&mut self.queue, &[first, second]);
                    self.frames.extend(new.into_iter().map(|bytes| (bytes, BatchId::NONE)));
                    self.forget(&bytes[..gone]);
                }
            }
            Step::Write(script) => {
                let mut socket = Socket::new(&script);
                let wrote = self.queue.write_to(&mut socket, short_is_full).unwrap();
                assert_eq!(wrote.bytes, socket.out.len());
                self.forget(&socket.out);
                assert_eq!(wrote.blocked, !self.frames.is_empty(), "it stops only when the socket is full");
                assert_eq!(wrote.blocked, socket.would_block || (socket.short && short_is_full));
            }
        }
        assert_eq!(self.queue.pending_bytes(), self.bytes());
        assert_eq!(self.queue.is_empty(), self.frames.is_empty());
        assert_eq!(self.queue.owns_no_heap(), self.frames.is_empty(), "heap without bytes");
        self.begun_frames();
    }

    /// Takes bytes that went out off the front.
    fn forget(&mut self, mut out: &[u8]) {
        while let Some((frame, _)) = self.frames.front_mut().filter(|_| !out.is_empty()) {
            let (gone, rest) = out.split_at(out.len().min(frame.len()));
            assert!(frame.starts_with(gone), "something else went out than waited first");
            frame.drain(..gone.len());
            if frame.is_empty() {
                self.frames.pop_front();
            }
            out = rest;
        }
        assert!(out.is_empty(), "more went out than waited");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn whole_frames_come_out_in_order_less_those_said_to_be_dropped(
        steps in prop::collection::vec(any_step(), 0..40),
        policy in prop::sample::select(SlowConsumer::NAMES.map(|(_, policy)| policy).to_vec()),
        cap in prop_oneof![1..400usize, Just(40_000)],
        short_is_full in prop::bool::ANY,
    ) {
        let limits = limits(cap, policy);
        let queue = WriteQueue::default();
        let mut model = Model { queue, limits, frames: VecDeque::new(), last_ticket: 0, made: 0, largest_offer: 0 };
        for step in steps {
            model.step(step, short_is_full);
        }
        model.step(Step::Write(vec![ALL; 1000]), short_is_full);
        prop_assert!(model.frames.is_empty());
    }
}
