//! The driver: everything that the event loop asks of the operating system.
//!
//! [`Driver`] is the contract. [`mio_driver`] fulfils it with `mio` and real sockets, and only this
//! folder names `mio`. The tests fulfil it with a script, so that the loop under test is the loop
//! that serves.

pub(super) mod bound_sources;
mod console_stream;
pub(super) mod mio_driver;
mod mio_stream;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::connection::{PeerEnd, Readiness, Stream};
use crate::engine::handle::Command;
use crate::frame::Framing;
use crate::net::udp_batch::{ReceiveBatch, SendBatch, claims_to_be};
use crate::service::{Peer, ServiceId};

/// Sockets, their readiness, and the clock.
pub(super) trait Driver {
    /// The byte stream of an accepted connection.
    type Stream: Stream;

    /// Returns the listeners, UDP sockets and command pipes. Their positions are their source
    /// numbers, as in [`IoEvent::key`].
    fn sources(&self) -> Vec<Source>;

    /// Takes the consoles that were attached before the loop ran.
    fn take_consoles(&mut self) -> Vec<AttachedConsole<Self::Stream>>;

    /// Waits for readiness, for at most `timeout`, and calls `mark` for each event. Events are
    /// edge-triggered: a readiness is reported again only after it has ended and come back.
    fn poll(&mut self, timeout: Option<Duration>, mark: impl FnMut(IoEvent)) -> io::Result<PollCoverage>;

    /// Accepts one pending connection.
    fn accept(&mut self, listener: usize) -> io::Result<(Self::Stream, Peer)>;

    /// Registers the stream: its readiness is reported under `key`, starting with the present one.
    fn register(&mut self, stream: &mut Self::Stream, key: usize) -> io::Result<()>;

    /// Empties a command pipe, so that the next byte causes an event of its own.
    fn clear_wakeup(&mut self, pipe: usize);

    /// Closes a listener or UDP socket.
    fn close_source(&mut self, source: usize);

    /// Receives a batch of datagrams and returns their number. Fewer than the batch's limit means
    /// that the socket is empty.
    fn receive_datagrams(&mut self, socket: usize, into: &mut ReceiveBatch) -> io::Result<usize>;

    /// Sends the datagrams from number `first` on. Returns the number sent, at least 1.
    fn send_datagrams(&mut self, socket: usize, from: &SendBatch, first: usize) -> io::Result<usize>;

    fn now(&self) -> Instant;

    /// Returns the reading of a clock that is cheaper to read and may advance in large steps.
    fn coarse_time(&self) -> Duration;
}

/// The share of the ready events that one poll has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollCoverage {
    /// All that were ready.
    Complete,
    /// This many events; more may be ready.
    Partial(usize),
}

/// A console and the service that it is for.
pub(super) struct AttachedConsole<S> {
    pub(super) stream: S,
    pub(super) service: ServiceId,
    pub(super) framing: Framing,
}

/// A listener, UDP socket or command pipe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source {
    pub(super) kind: SourceKind,
    pub(super) service: ServiceId,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum SourceKind {
    Listener(Framing),
    Udp {
        local: SocketAddr,
    },
    /// A pipe: any byte in it gives this command.
    CommandPipe(Command),
    /// A listener or UDP socket that is closed.
    Closed,
}

impl Source {
    /// Returns true if this is the UDP socket that a datagram from `addr` claims to come from.
    pub(super) fn is_at(&self, addr: SocketAddr) -> bool {
        let SourceKind::Udp { local } = self.kind else { return false };
        claims_to_be(addr, local)
    }
}

/// The readiness that a poll reports for one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct IoEvent {
    /// The key of a connection, the number of a source as a reserved key, or [`WAKE_KEY`].
    pub(super) key: usize,
    pub(super) readiness: Readiness,
    pub(super) end: PeerEnd,
}

/// The key under which another thread's wake-up is reported.
pub(super) const WAKE_KEY: usize = crate::engine::slab::reserved_key(usize::MAX);
