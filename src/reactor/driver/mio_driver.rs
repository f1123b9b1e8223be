//! The driver over `mio`: real sockets, one poll instance, the system's clock.
//!
//! Both interests are registered once, edge-triggered, and never change.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use mio::{Events, Poll};

use super::bound_sources::{BoundSocket, BoundSources};
use super::mio_stream::MioStream;
use super::{AttachedConsole, Driver, IoEvent, PollCoverage, Source, SourceKind};
use crate::connection::{PeerEnd, Readiness};
use crate::engine::lag::coarse_time;
use crate::net::udp_batch::UdpBatchIo;
use crate::net::udp_batch::{ReceiveBatch, SendBatch};
use crate::service::Peer;

/// The most events that one poll reports.
const MAX_EVENTS: usize = 1024;

/// The operating system's sockets and clock.
pub(crate) struct MioDriver {
    poll: Poll,
    events: Events,
    sources: Vec<(BoundSocket, Source)>,
    consoles: Vec<AttachedConsole<MioStream>>,
    /// Keys of streams that are always ready, which the next poll reports once.
    always_ready: Vec<usize>,
    /// For IPv4 and for IPv6.
    udp_io: [UdpBatchIo; 2],
}

impl MioDriver {
    pub(crate) fn new(sources: BoundSources) -> Self {
        let BoundSources { poll, sources, consoles, .. } = sources;
        let (events, always_ready) = (Events::with_capacity(MAX_EVENTS), Vec::new());
        Self { poll, events, sources, consoles, always_ready, udp_io: [UdpBatchIo::new(), UdpBatchIo::new()] }
    }

    fn source(&self, number: usize) -> &BoundSocket {
        self.sources.get(number).map_or(&BoundSocket::Closed, |(socket, _)| socket)
    }
}

impl Driver for MioDriver {
    type Stream = MioStream;

    fn sources(&self) -> Vec<Source> {
        self.sources.iter().map(|(_, source)| *source).collect()
    }

    fn take_consoles(&mut self) -> Vec<AttachedConsole<MioStream>> {
        std::mem::take(&mut self.consoles)
    }

    fn poll(&mut self, timeout: Option<Duration>, mut mark: impl FnMut(IoEvent)) -> io::Result<PollCoverage> {
        let mut events = 0;
        let timeout = if self.always_ready.is_empty() { timeout } else { Some(Duration::ZERO) };
        self.poll.poll(&mut self.events, timeout)?;
        for key in self.always_ready.drain(..) {
            mark(IoEvent { key, readiness: Readiness { readable: true, writable: true }, end: PeerEnd::Open });
        }
        for event in &self.events {
            let end = match event.is_read_closed() || event.is_error() {
                true => PeerEnd::Reported,
                false if event.is_priority() => PeerEnd::Urgent,
                false => PeerEnd::Open,
            };
            let readiness = Readiness {
                readable: event.is_readable() || end != PeerEnd::Open,
                // A full pipe whose reader has gone reports an error only, and a write finds it.
                writable: event.is_writable() || event.is_write_closed(),
            };
            events += 1;
            mark(IoEvent { key: event.token().0, readiness, end });
        }
        Ok(if events < MAX_EVENTS { PollCoverage::Complete } else { PollCoverage::Partial(events) })
    }

    fn accept(&mut self, listener: usize) -> io::Result<(MioStream, Peer)> {
        let BoundSocket::Listener(listener) = self.source(listener) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let (stream, addr) = listener.accept()?;
        Ok((MioStream::Socket(stream), addr.map_or(Peer::Unix, Peer::Tcp)))
    }

    fn register(&mut self, stream: &mut MioStream, key: usize) -> io::Result<()> {
        if stream.register(self.poll.registry(), key)? {
            self.always_ready.push(key);
        }
        Ok(())
    }

    fn clear_wakeup(&mut self, pipe: usize) {
        if let Some((BoundSocket::CommandPipe(pipe), _)) = self.sources.get_mut(pipe) {
            // Until the pipe is empty: only then does the next byte cause an event of its own.
            while matches!(pipe.read(&mut [0; 64]), Ok(1..)) {}
        }
    }

    fn close_source(&mut self, source: usize) {
        if let Some((bound, _)) = self.sources.get_mut(source) {
            *bound = BoundSocket::Closed;
        }
    }

    fn receive_datagrams(&mut self, socket: usize, into: &mut ReceiveBatch) -> io::Result<usize> {
        let Self { sources, udp_io: [v4, v6], .. } = self;
        match sources.get(socket) {
            Some((BoundSocket::Udp(socket), Source { kind: SourceKind::Udp { local }, .. })) => {
                let udp_io = if local.is_ipv6() { v6 } else { v4 };
                udp_io.receive(socket, into)
            }
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn send_datagrams(&mut self, socket: usize, from: &SendBatch, first: usize) -> io::Result<usize> {
        let Some((BoundSocket::Udp(socket), _)) = self.sources.get(socket) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let [udp_io, _] = &mut self.udp_io;
        udp_io.send(socket, from, first)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    #[inline]
    fn coarse_time(&self) -> Duration {
        coarse_time()
    }
}
