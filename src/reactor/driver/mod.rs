//! All that the turn asks of the world. One implementation asks the operating system; another, in the tests, plays a script
//! to the very same turn.

mod bound_sources;
#[cfg(unix)]
mod console_stream;
mod mio_driver;
mod mio_stream;

pub(super) use bound_sources::Sources;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::connection::Stream;
use crate::frame::Framing;
use crate::net::udp_batch::{ReceiveBatch, SendBatch, claims_to_be};
use crate::service::{Peer, ServiceId};

use crate::engine::handle::Command;

/// Sockets, their readiness, and the clock.
pub(super) trait Net {
    /// An accepted connection's byte stream.
    type Stream: Stream;

    /// Listeners, UDP sockets and pipes; their numbers here are the numbers in [`Event::key`].
    fn sources(&self) -> Vec<Source>;

    /// What was there before the loop and is to be its connections, once.
    fn take_attached(&mut self) -> Vec<Attached<Self::Stream>>;

    /// Waits for readiness, at most for `timeout`, and reports each event. Edge-triggered: what is reported once is not
    /// reported again until it has ceased and come back.
    fn poll(&mut self, timeout: Option<Duration>, mark: impl FnMut(Event)) -> io::Result<Polled>;

    /// Takes one connection from a listener's backlog.
    fn accept(&mut self, listener: usize) -> io::Result<(Self::Stream, Peer)>;

    /// Begins to report the stream's readiness under `key`; its first state is reported at once.
    fn open(&mut self, stream: &mut Self::Stream, key: usize) -> io::Result<()>;

    /// Empties a pipe that bytes were written to only to be noticed.
    fn swallow(&mut self, pipe: usize);

    /// Closes a listener or UDP socket.
    fn close(&mut self, source: usize);

    /// Receives a batch of datagrams. A batch that is not full means that no more are there.
    fn receive(&mut self, socket: usize, into: &mut ReceiveBatch) -> io::Result<usize>;

    /// Sends datagrams from number `first` on; returns how many went out, which is at least one.
    fn send(&mut self, socket: usize, from: &SendBatch, first: usize) -> io::Result<usize>;

    fn now(&self) -> Instant;
}

/// How much of what was ready a poll has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    All,
    /// So many events, and there may be more.
    Some(usize),
}

/// A console, and whose it is to be.
#[cfg_attr(not(unix), allow(dead_code))]
pub(super) struct Attached<S> {
    pub(super) stream: S,
    pub(super) service: ServiceId,
    pub(super) framing: Framing,
}

/// A listener, a UDP socket, or a pipe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) service: ServiceId,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum SourceKind {
    Listener(Framing),
    Datagrams {
        local: SocketAddr,
    },
    #[cfg_attr(not(unix), allow(dead_code))]
    /// A pipe; any byte in it gives this command.
    Commands(Command),
}

impl Source {
    /// Whether this is the UDP socket that a datagram from `addr` claims to come from.
    pub(super) fn is_at(&self, addr: SocketAddr) -> bool {
        let SourceKind::Datagrams { local } = self.kind else { return false };
        claims_to_be(addr, local)
    }
}

/// What became possible.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, as the system reports them")]
pub(super) struct Event {
    /// A connection's key, a source's number as a reserved key, or [`WAKE_KEY`].
    pub(super) key: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer's end, or an error, is there to be read: reading goes on until it has been.
    pub(super) end: bool,
    /// Urgent data is in the stream, at which a read ends early.
    pub(super) urgent: bool,
}

/// The key under which another thread's wake-up is reported.
pub(super) const WAKE_KEY: usize = crate::engine::slab::reserved_key(usize::MAX);
