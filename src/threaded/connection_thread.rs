//! One connection's thread: it waits, does what there is to do for its connection, and waits again.
//!
//! Where the connection is its own alone and quiet, the wait is the read itself: a small request costs one `recv` and one
//! `send`, and nobody's lock. Who hears nothing for a tick is idle: it lets go of its memory and waits in poll(2), which can be
//! ended by the engine's bell as well. The connection of a shared service is always waited for in poll(2), because others must
//! be able to wake its thread.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::semaphore::Permits;
use super::shared::{Booth, Exchange, Run};
use super::shared_connection::Line;
use super::socket::{Plug, Socket, TICK, poll};
use super::thread_stats::Tally;
use super::worker::{Agent, Done};
use crate::connection::Connection;
use crate::frame::{Framing, MAX_RAW_BYTES};
use crate::net::Notifier;
use crate::service::reply_buffer::ReplyBuffer;
use crate::service::time::Timestamp;
use crate::service::{ConnId, Peer, Service};

/// The first receive buffer, in bytes. A read that fills it has it grow, up to the last.
const FIRST_BUFFER_BYTES: usize = 4 * 1024;
const LAST_BUFFER_BYTES: usize = 256 * 1024;

/// How long until somebody who is held back, and whom nothing can wake, looks again.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A connection's thread.
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and cleared on its own")]
pub(super) struct Attendant {
    pub(super) agent: Agent,
    pub(super) id: ConnId,
    pub(super) booth: Arc<Booth>,
    pub(super) service: Called,
    /// How others reach the connection, if they do.
    pub(super) line: Option<Arc<Line>>,
    pub(super) buffer: Vec<u8>,
    /// The first byte that is not there yet is worth waiting for in the read itself.
    pub(super) waits_in_read: bool,
    /// Bytes have come within the last tick.
    pub(super) is_busy: bool,
    /// What the engine was last seen to do.
    pub(super) seen: Run,
    /// What rings when the connection may be read again that is held back for want of memory.
    pub(super) relief: Option<Arc<Notifier>>,
    /// The service is to be told of the end.
    pub(super) ending: bool,
    /// Its place was said to be free soon.
    pub(super) leaving: bool,
    /// Reads in a row that have found more to be there: nobody is late before being heard.
    pub(super) unheard: u32,
    /// Work that waited when the turn began.
    pub(super) carried_jobs: usize,
    socket: Arc<Socket>,
    /// What the last wait reported.
    ready: Ready,
}

/// The service of a connection.
pub(super) enum Called {
    Own(Box<dyn Service + Send>),
    Shared(Arc<Booth>),
}

/// A service that nobody else calls meanwhile.
pub(super) enum Held<'a> {
    Own(&'a mut (dyn Service + Send)),
    Shared(MutexGuard<'a, Box<dyn Service + Send>>),
}

impl Called {
    pub(super) fn lock(&mut self) -> Option<Held<'_>> {
        match self {
            Self::Own(service) => Some(Held::Own(service.as_mut())),
            Self::Shared(booth) => booth.lock().map(Held::Shared),
        }
    }
}

impl Held<'_> {
    pub(super) fn get(&mut self) -> &mut dyn Service {
        match self {
            Self::Own(service) => *service,
            Self::Shared(service) => service.as_mut(),
        }
    }
}

#[derive(Default)]
struct Ready {
    readable: bool,
    writable: bool,
    end: bool,
}

/// What a turn leaves to be done.
pub(super) enum Next {
    /// Nothing: the connection is over.
    Leave,
    /// It could go on at once.
    Again,
    /// Work was offloaded.
    Work,
    Wait(Wait),
}

/// What to wait for.
#[allow(clippy::struct_excessive_bools, reason = "independent facts")]
pub(super) struct Wait {
    pub(super) read: bool,
    /// The next turn reads, so the wait may be that read. Who only discards is waited for in poll(2), or it would not wait at all.
    pub(super) in_read: bool,
    pub(super) write: bool,
    /// To hear of the peer's end while it is not read.
    pub(super) end: bool,
    pub(super) deadline: Option<Timestamp>,
}

impl Attendant {
    /// On the heap, and by a call of its own: what is built on a stack, or copied there, stays resident for as long as the
    /// thread lives.
    #[inline(never)]
    pub(super) fn new(
        (exchange, tally): (Arc<Exchange>, Arc<Tally>),
        id: ConnId,
        booth: &Arc<Booth>,
        own: Option<Box<dyn Service + Send>>,
        socket: Arc<Socket>,
        line: Option<Arc<Line>>,
    ) -> Box<Self> {
        let agent = Agent::new(exchange, tally);
        let booth = Arc::clone(booth);
        let service = own.map_or_else(|| Called::Shared(Arc::clone(&booth)), Called::Own);
        Box::new(Self {
            agent,
            id,
            booth,
            service,
            line,
            buffer: Vec::new(),
            waits_in_read: false,
            // Who never speaks costs neither a buffer nor a tick.
            is_busy: false,
            seen: Run::Serving,
            relief: None,
            ending: false,
            leaving: false,
            unheard: 0,
            carried_jobs: 0,
            socket,
            ready: Ready::default(),
        })
    }

    /// The whole life of a connection that is this thread's alone.
    #[inline(never)]
    pub(super) fn attend_own(&mut self, conn: &mut Connection<Plug>, peer: &Peer) {
        self.open(conn, peer);
        loop {
            match self.turn(conn) {
                Next::Leave => break,
                Next::Again => {}
                Next::Work => {
                    self.work(|attendant, done| {
                        attendant.job_done(conn, done);
                        attendant.what_to_glance_at(conn)
                    });
                }
                Next::Wait(wait) => self.wait(&wait),
            }
        }
        self.close(conn);
    }

    /// The whole life of a connection that others reach. Its lock is let go of wherever the thread waits; who has it looks into
    /// the post afterwards, because what was said meanwhile was left to it.
    #[inline(never)]
    pub(super) fn attend_shared(&mut self, line: &Line, peer: &Peer) {
        self.open(&mut line.conn(), peer);
        loop {
            let next = self.turn(&mut line.conn());
            match next {
                Next::Leave => break,
                Next::Work => {
                    self.work(|attendant, done| {
                        let mut conn = line.conn();
                        attendant.job_done(&mut conn, done);
                        attendant.what_to_glance_at(&mut conn)
                    });
                }
                Next::Wait(wait) if !line.has_post() => self.wait(&wait),
                Next::Wait(_) | Next::Again => {}
            }
        }
        self.close(&mut line.conn());
    }

    /// Does one job, and then looks around: whoever offloads the next piece each time would not be heard of otherwise, nor hear.
    fn work(&mut self, done: impl FnOnce(&mut Self, Done) -> Option<Wait>) {
        let Some(job) = self.agent.jobs.pop_front() else { return };
        let output = match self.booth.permits.as_ref().map(Permits::take) {
            Some(None) => job.refuse(),
            Some(Some(permit)) => {
                let output = job.run();
                drop(permit);
                output
            }
            None => job.run(),
        };
        if let Some(glance) = done(self, output) {
            self.wait(&glance);
        }
    }

    /// The connection is over, and its peer need not wait for the work that its thread still has to do.
    pub(super) fn hang_up(&self) {
        self.socket.shut();
    }

    fn wait(&mut self, wait: &Wait) {
        let now = self.agent.desk.clock.moment;
        let timeout = wait.deadline.map(|at| at.saturating_since(now));
        let others_reach_it = self.line.is_some();
        if self.is_busy && !others_reach_it && wait.in_read && !wait.write && timeout.is_none_or(|time| time > TICK) {
            self.waits_in_read = true;
            return;
        }
        // Whoever is busy does not let go of its memory for every message, so it first has to be quiet for a while.
        let tick = self.is_busy && timeout.is_none_or(|time| time > TICK);
        let timeout = if tick { Some(TICK) } else { timeout };
        if !self.is_busy {
            self.rest();
        }
        let mut events = PollFlags::empty();
        events.set(PollFlags::IN, wait.read);
        events.set(PollFlags::OUT, wait.write);
        #[cfg(target_os = "linux")]
        events.set(PollFlags::RDHUP, wait.end);
        let exchange = &self.agent.exchange;
        let socket = PollFd::new(&*self.socket, events);
        let change = PollFd::new(exchange.next_change(self.seen), PollFlags::IN);
        let line = watch(self.line.as_deref().map(|line| &line.bell), &self.socket);
        let relief = watch(self.relief.as_deref(), &self.socket);
        let mut watched = [socket, change, line, relief];
        let count = 2 + usize::from(others_reach_it || self.relief.is_some()) + usize::from(self.relief.is_some());
        poll(watched.get_mut(..count).unwrap_or_default(), timeout);
        let [socket, _, line, relief] = watched.each_ref().map(PollFd::revents);
        let broken = PollFlags::HUP | PollFlags::ERR;
        #[cfg(target_os = "linux")]
        let ended = broken | PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let ended = broken;
        self.ready = Ready {
            readable: socket.intersects(PollFlags::IN | ended),
            writable: socket.intersects(PollFlags::OUT | broken),
            end: socket.intersects(ended),
        };
        if let Some(rung) = self.line.as_ref().filter(|_| line.contains(PollFlags::IN)) {
            rung.bell.clear();
        }
        if relief.contains(PollFlags::IN) {
            self.relief = None;
        }
        self.is_busy &= !tick || self.ready.readable || self.ready.writable;
        self.agent.look_at_the_clock();
    }

    /// Lets go of what a thread that is idle does not need.
    fn rest(&mut self) {
        if self.buffer.capacity() > 0 {
            self.buffer = Vec::new();
            self.agent.desk.replies = ReplyBuffer::default();
            self.agent.desk.buffer_pool.clear();
        }
    }

    /// Notes what the last wait reported.
    pub(super) fn note_ready(&mut self, conn: &mut Connection<Plug>) {
        let Ready { readable, writable, end } = std::mem::take(&mut self.ready);
        // A wait in the read itself knows nothing of the socket: the read finds out.
        conn.mark_ready(readable || self.waits_in_read, writable, end);
    }

    pub(super) fn make_room(&mut self, framing: Framing) {
        if self.buffer.is_empty() {
            // Of a raw stream a read is a message, so its size is not a matter of speed.
            let bytes = if framing == Framing::Raw { MAX_RAW_BYTES } else { FIRST_BUFFER_BYTES };
            self.buffer = vec![0; bytes];
        }
    }

    /// A read filled the buffer: more room would have brought more. Speed is no reason to take memory that runs short.
    pub(super) fn grow(&mut self, framing: Framing) {
        let bytes = (self.buffer.len() * 4).min(LAST_BUFFER_BYTES);
        if framing != Framing::Raw && bytes > self.buffer.len() && !self.agent.exchange.budget.is_half_used() {
            self.buffer = vec![0; bytes];
        }
    }
}

/// Watches a bell. In place of one that there is not, the connection's socket again, which is then asked for nothing.
fn watch<'a>(bell: Option<&'a Notifier>, socket: &'a Socket) -> PollFd<'a> {
    bell.map_or_else(|| PollFd::new(socket, PollFlags::empty()), |bell| PollFd::new(bell, PollFlags::IN))
}
