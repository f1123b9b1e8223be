//! What others may do to the connection of a shared service: say something to it, or end it.
//!
//! What is said is put into the connection's post, under a lock that is never held during a system call. That happens while the
//! service's lock is held, so every member of a room gets what callbacks said in the order of the callbacks. Afterwards,
//! without the service's lock, whoever has posted delivers: it sees to it that the post is emptied into the write queue and
//! written. If the connection's own thread, or another deliverer, is at work on it, that one does.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::budget::Budget;
use super::socket::Plug;
use super::tally::Tally;
use crate::connection::{Connection, Desk, Phase};
use crate::error::CloseReason;
use crate::frame::Framing;
use crate::limits::{Limits, MAX_SHARED_FRAMES, SlowConsumer};
use crate::payload::Payload;
use crate::service::Peer;
use crate::sys::Bell;

/// A connection that others reach.
pub(super) struct Line {
    conn: Mutex<Connection<Plug>>,
    post: Mutex<Post>,
    /// Wakes the connection's own thread.
    pub(super) bell: Bell,
    pub(super) framing: Framing,
    peer: Peer,
}

/// What others have said and nobody has queued yet.
#[derive(Default)]
struct Post {
    letters: VecDeque<Letter>,
    bytes: usize,
    dropped: u64,
    /// The last letter ends the connection: nothing that follows would be read.
    closed: bool,
}

enum Letter {
    /// Encoded as the connection is framed.
    Frame(Payload),
    Close(CloseReason),
}

impl Line {
    pub(super) fn new(conn: Connection<Plug>, bell: Bell) -> Self {
        let (framing, peer) = (conn.framing(), *conn.peer());
        Self { conn: Mutex::new(conn), post: Mutex::default(), bell, framing, peer }
    }

    /// The connection, for its own thread. Nobody else keeps it for longer than a write that does not wait.
    pub(super) fn conn(&self) -> MutexGuard<'_, Connection<Plug>> {
        self.conn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to it. Whether it has to be [delivered](Self::deliver) by who said it: where something was waiting
    /// already, somebody is about to.
    #[must_use]
    pub(super) fn say(&self, frame: &Payload, limits: &Limits) -> bool {
        let mut post = self.post();
        if post.closed {
            return false;
        }
        let first = post.letters.is_empty();
        // The queue has this bound, too. Without one here, who waits long for the service would be owed without end.
        if post.bytes >= limits.max_write_buffer_bytes || post.letters.len() >= MAX_SHARED_FRAMES {
            match self.peer.slow_consumer(limits) {
                SlowConsumer::Disconnect => {
                    let pending_bytes = post.bytes;
                    post.close(CloseReason::SlowConsumer { pending_bytes });
                }
                SlowConsumer::DropNewest => post.dropped += 1,
                SlowConsumer::DropOldest => {
                    post.drop_oldest();
                    post.push(frame);
                }
            }
        } else {
            post.push(frame);
        }
        first
    }

    /// Ends it. As [`say`](Self::say).
    #[must_use]
    pub(super) fn close(&self, reason: CloseReason) -> bool {
        let mut post = self.post();
        let first = post.letters.is_empty();
        post.close(reason);
        first
    }

    pub(super) fn has_post(&self) -> bool {
        !self.post().letters.is_empty()
    }

    /// Queues what others have said; gives the reason when the connection has to end.
    pub(super) fn take_post(&self, conn: &mut Connection<Plug>, desk: &mut Desk) -> Result<(), CloseReason> {
        let mut post = self.post();
        if post.letters.is_empty() && post.dropped == 0 {
            return Ok(());
        }
        let letters = std::mem::take(&mut post.letters);
        desk.stats.frames_dropped += std::mem::take(&mut post.dropped);
        post.bytes = 0;
        drop(post);
        for letter in letters {
            match letter {
                // Who ends is not spoken to by others.
                Letter::Frame(_) if conn.phase() != Phase::Open => {}
                Letter::Frame(frame) => {
                    conn.offer_shared(&frame, &desk.limits, desk.clock.moment, &mut desk.stats)?;
                }
                Letter::Close(reason) => return Err(reason),
            }
        }
        Ok(())
    }

    /// Writes what has been said, as far as the socket takes it; what is left over is its own thread's affair.
    pub(super) fn deliver(&self, desk: &mut Desk, budget: &Budget, tally: &Tally) {
        loop {
            // Who has it looks into the post when it has let go of it.
            let Ok(mut conn) = self.conn.try_lock() else { return };
            let taken = self.take_post(&mut conn, desk);
            let flushed = taken.and_then(|()| conn.flush(desk.clock.moment, &mut desk.stats));
            let left_over = conn.pending_bytes() > 0 && conn.enqueue();
            budget.count(&mut conn, tally);
            drop(conn);
            if let Err(reason) = flushed {
                // Its service hears of it, so its own thread has to see to it.
                self.post().put_back(reason);
                self.bell.ring();
                return;
            }
            if left_over {
                self.bell.ring();
            }
            if !self.has_post() {
                return;
            }
        }
    }

    /// Nothing panics with the lock held.
    fn post(&self) -> MutexGuard<'_, Post> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Post {
    fn push(&mut self, frame: &Payload) {
        self.bytes += frame.len();
        self.letters.push_back(Letter::Frame(frame.clone()));
    }

    fn drop_oldest(&mut self) {
        if let Some(Letter::Frame(frame)) = self.letters.pop_front() {
            self.bytes -= frame.len();
            self.dropped += 1;
        }
    }

    /// For the connection's own thread, which heeds no other letter after it.
    fn put_back(&mut self, reason: CloseReason) {
        self.closed = true;
        self.letters.push_front(Letter::Close(reason));
    }

    fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.letters.push_back(Letter::Close(reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;
    use crate::service::ServiceId;
    use crate::threaded::socket::Socket;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn empty_letters_are_bounded_by_their_number() {
        let now = Instant::now();
        let policies = [SlowConsumer::Disconnect, SlowConsumer::DropNewest, SlowConsumer::DropOldest];
        for (slow_consumer, peer) in policies.into_iter().flat_map(|it| [(it, Peer::Unix), (it, Peer::Console)]) {
            let limits = Limits { slow_consumer, ..Limits::default() };
            let socket = Arc::new(Socket::new(UnixStream::pair().unwrap().0));
            let (plug, moment) = (Plug::new(socket), Moment::new(now, now));
            let conn = Connection::new(plug, peer, ServiceId(0), Framing::Raw, &limits, moment);
            let line = Line::new(conn, Bell::new().unwrap());
            (0..2 * MAX_SHARED_FRAMES).for_each(|_| _ = line.say(&Payload::from(""), &limits));
            let post = line.post();
            assert!(post.letters.len() <= MAX_SHARED_FRAMES + 1);
            assert_eq!(post.closed, slow_consumer == SlowConsumer::Disconnect && peer != Peer::Console);
            assert_eq!(post.dropped, if post.closed { 0 } else { MAX_SHARED_FRAMES as u64 });
        }
    }
}
