//! The post of a connection whose thread is busy with something else.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::*;
use crate::service::time::Timestamp;
use crate::service::{Peer, ServiceId};
use crate::threaded::socket::Socket;

fn line(limits: &Limits, peer: Peer) -> Line {
    let now = Instant::now();
    let socket = Arc::new(Socket::new(UnixStream::pair().unwrap().0));
    let (plug, moment) = (Plug::new(socket), Timestamp::new(now, now));
    Line::new(Connection::new(plug, peer, ServiceId(0), Framing::Raw, limits, moment), Notifier::new().unwrap())
}

fn say(line: &Line, ticket: u64, bytes: &str, limits: &Limits) {
    let _ = line.say(&Batch::encoded(bytes, 2, BatchId(ticket)), limits);
}

/// What the post holds, and the tickets of what it has not kept.
fn contents(line: &Line) -> (String, Vec<u64>) {
    let post = line.post();
    let letters = post.letters.iter().map(|letter| match letter {
        Letter::Frames(batch) => String::from_utf8(batch.bytes().to_vec()).unwrap(),
        Letter::Close(reason) => format!("({reason})"),
    });
    (letters.collect(), post.missed.iter().map(|missed| missed.batch.0).collect())
}

#[test]
fn empty_letters_are_bounded_by_their_number() {
    let policies = [SlowConsumer::Disconnect, SlowConsumer::DropNewest, SlowConsumer::DropOldest];
    for (slow_consumer, peer) in policies.into_iter().flat_map(|it| [(it, Peer::Unix), (it, Peer::Console)]) {
        let limits = Limits { slow_consumer, ..Limits::default() };
        let line = line(&limits, peer);
        let empty = Batch::encoded(b"", 1, BatchId::NONE);
        (0..2 * MAX_SHARED_FRAMES).for_each(|_| _ = line.say(&empty, &limits));
        let post = line.post();
        assert!(post.letters.len() <= MAX_SHARED_FRAMES + 1);
        assert_eq!(post.closed, slow_consumer == SlowConsumer::Disconnect && peer != Peer::Console);
        assert_eq!(post.dropped, if post.closed { 0 } else { MAX_SHARED_FRAMES as u64 });
    }
}

#[test]
fn a_full_post_keeps_whole_batches_and_the_names_of_those_it_does_not() {
    for (slow_consumer, kept, missed, dropped) in [
        (SlowConsumer::DropNewest, "[0][1]", vec![2, 3, 4], 6),
        (SlowConsumer::DropOldest, "[4 is large]", vec![1, 2, 3], 8),
    ] {
        let limits = Limits { slow_consumer, max_write_buffer_bytes: 6, ..Limits::default() };
        let line = line(&limits, Peer::Unix);
        for (ticket, bytes) in [(0, "[0]"), (1, "[1]"), (2, "[2]"), (3, "[3 is larger]"), (4, "[4 is large]")] {
            say(&line, ticket, bytes, &limits);
        }
        assert_eq!(contents(&line), (kept.to_owned(), missed));
        assert_eq!(line.post().dropped, dropped, "frames, those that nobody asks after included");
        assert!(line.has_post());
        assert_eq!(line.take_missed().len(), 3);
        assert_eq!(line.take_missed(), []);
    }
}

#[test]
fn names_are_given_up_before_the_post_grows_without_end_and_frames_are_counted_on() {
    let limits = Limits { slow_consumer: SlowConsumer::DropNewest, max_write_buffer_bytes: 1, ..Limits::default() };
    let line = line(&limits, Peer::Unix);
    let last = MAX_DROPPED_REPORTS as u64 + 100;
    (0..=last).for_each(|ticket| say(&line, ticket, "x", &limits));
    let mut missed = line.take_missed();
    assert_eq!(missed.pop(), Some(DroppedBatch { batch: BatchId::NONE, frames: 2 * 100 }));
    let named = (1..=MAX_DROPPED_REPORTS as u64).map(|ticket| DroppedBatch { batch: BatchId(ticket), frames: 2 });
    assert_eq!(missed, named.collect::<Vec<_>>());
}
