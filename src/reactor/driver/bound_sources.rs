//! Bound sockets, from binding until the driver takes them over.

use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use mio::{Interest, Poll, Token, Waker};

use super::console_stream::{ConsoleStream, watch};
use super::mio_stream::MioStream;
use super::{AttachedConsole, Source, SourceKind, WAKE_KEY};
use crate::engine::handle::Command;
use crate::engine::jobs::WakeFn;
use crate::engine::limits::Limits;
use crate::engine::setup;
use crate::engine::slab::reserved_key;
use crate::frame::Framing;
use crate::net::bind::bind_udp;
use crate::net::{Endpoint, StreamListener};
use crate::service::ServiceId;

/// Bound sockets, attached consoles, and the poll instance that watches them.
pub(crate) struct BoundSources {
    pub(super) poll: Poll,
    waker: Arc<Waker>,
    pub(super) sources: Vec<(BoundSocket, Source)>,
    pub(super) consoles: Vec<AttachedConsole<MioStream>>,
}

/// A socket that is bound, or the read end of a command pipe.
pub(super) enum BoundSocket {
    Listener(StreamListener),
    Udp(UdpSocket),
    /// Our end of a command pipe.
    CommandPipe(UnixStream),
    Closed,
}

impl BoundSources {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(WAKE_KEY))?);
        Ok(Self { poll, waker, sources: Vec::new(), consoles: Vec::new() })
    }

    /// Returns a function that wakes the poll from another thread.
    pub(crate) fn wake(&self) -> WakeFn {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || {
            if let Err(error) = waker.wake() {
                log::error!("event loop wake-up failed: {error}");
            }
        })
    }

    /// Binds a socket to `endpoint` and registers it. Returns the endpoint with the port bound.
    pub(crate) fn listen(
        &mut self,
        service: ServiceId,
        endpoint: &Endpoint,
        framing: Framing,
        limits: &Limits,
    ) -> io::Result<Endpoint> {
        let (key, registry) = (reserved_key(self.sources.len()), self.poll.registry());
        let (bound, socket, kind) = match endpoint {
            Endpoint::Udp(addr) => {
                let socket = UdpSocket::from(bind_udp(*addr)?);
                watch(registry, &socket, key, Interest::READABLE | Interest::WRITABLE)?;
                let local = socket.local_addr()?;
                (Endpoint::Udp(local), BoundSocket::Udp(socket), SourceKind::Udp { local })
            }
            Endpoint::Tcp(_) | Endpoint::Unix(_) => {
                let (listener, bound) = StreamListener::bind(endpoint, limits.backlog, limits.keepalive)?;
                watch(registry, &listener, key, Interest::READABLE)?;
                (bound, BoundSocket::Listener(listener), SourceKind::Listener(framing))
            }
        };
        self.sources.push((socket, Source { kind, service }));
        Ok(bound)
    }

    /// Returns the write end of a pipe: any byte written to it gives `command`.
    pub(crate) fn command_pipe(&mut self, command: Command) -> io::Result<UnixStream> {
        let (theirs, ours) = setup::command_pipe()?;
        watch(self.poll.registry(), &ours, reserved_key(self.sources.len()), Interest::READABLE)?;
        // The command is for the loop itself; no service has this id.
        let source = Source { kind: SourceKind::CommandPipe(command), service: ServiceId(usize::MAX) };
        self.sources.push((BoundSocket::CommandPipe(ours), source));
        Ok(theirs)
    }

    /// Keeps a console, which becomes a connection when the loop runs.
    pub(crate) fn attach(
        &mut self,
        service: ServiceId,
        (input, output): (OwnedFd, OwnedFd),
        framing: Framing,
    ) -> io::Result<()> {
        let stream = MioStream::Console(Box::new(ConsoleStream::new(input, output)?));
        self.consoles.push(AttachedConsole { stream, service, framing });
        Ok(())
    }
}
