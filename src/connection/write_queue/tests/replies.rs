//! Replies at a full queue, which no policy drops.

use super::*;
use crate::service::reply_buffer::FLUSH_BYTES;

#[test]
fn batches_make_room_for_replies_and_are_reported() {
    for (policy, dropped_ids, out) in [
        (SlowConsumer::DropOldest, [vec![1], vec![5], vec![]], "[a][b]"),
        (SlowConsumer::DropNewest, [vec![5], vec![1], vec![]], "[a][b]"),
    ] {
        let limits = limits(9, policy);
        let mut queue = WriteQueue::default();
        queue.enqueue_pair(1, "[1][1]", &limits);
        queue.enqueue_pair(5, "[5][5]", &limits);
        let results = ["[a]", "[b]", "[c is long]"].map(|reply| {
            let mut dropped = Vec::new();
            let pieces = [reply.as_bytes()].into_iter();
            let result = queue.enqueue_copy(pieces, reply.len(), 1, bound(&limits), &mut dropped);
            (result, dropped.iter().map(|dropped| dropped.batch.0).collect::<Vec<_>>())
        });
        let [first, second, _] = dropped_ids;
        assert_eq!(results[0], (EnqueueResult::Dropped(2), first), "{policy}");
        assert_eq!(results[1], (EnqueueResult::Dropped(2), second), "{policy}");
        assert_eq!(results[2], (EnqueueResult::Queued, vec![]), "{policy}");
        // Replies alone fill the queue, and none of them may be dropped.
        let large = vec![b'd'; FLUSH_BYTES];
        assert_eq!(enqueue_copy(&mut queue, &[&large], 1, &limits), EnqueueResult::Queued);
        assert_eq!(enqueue_copy(&mut queue, &[b"[e]"], 1, &limits), EnqueueResult::Full);
        let mut socket = ScriptedWriter::new(&[ALL]);
        queue.write_to(&mut socket, true).unwrap();
        assert_eq!(String::from_utf8(socket.written).unwrap(), format!("{out}[c is long]{}", "d".repeat(FLUSH_BYTES)));
    }
}

#[test]
fn a_console_loses_its_oldest_replies() {
    let limits = limits(5, SlowConsumer::Disconnect);
    let mut queue = WriteQueue::default();
    let bound = limits.queue_bound(&Peer::Console);
    let results = [b"[old 1]", b"[old 2]", b"[new 3]"]
        .map(|reply| queue.enqueue_copy([&reply[..]].into_iter(), reply.len(), 1, bound, &mut Vec::new()));
    assert_eq!(results, [EnqueueResult::Queued, EnqueueResult::Dropped(1), EnqueueResult::Dropped(1)]);
    let mut socket = ScriptedWriter::new(&[ALL]);
    queue.write_to(&mut socket, true).unwrap();
    assert_eq!(socket.written, b"[new 3]");
}
