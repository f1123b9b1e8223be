//! Bound sockets, from binding until the driver takes them over.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::net::{TcpListener, UdpSocket};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Poll, Token, Waker};

#[cfg(unix)]
use super::console_stream::ConsoleStream;
use super::mio_stream::MioStream;
use super::{AttachedConsole, Source, SourceKind, WAKE_KEY};
#[cfg(unix)]
use crate::engine::handle::Command;
use crate::engine::jobs::WakeFn;
use crate::engine::limits::Limits;
#[cfg(unix)]
use crate::engine::setup;
use crate::engine::slab::reserved_key;
use crate::frame::Framing;
use crate::net::Endpoint;
#[cfg(unix)]
use crate::net::bind::{SocketFile, bind_unix};
use crate::net::bind::{bind_tcp, bind_udp};
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
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        /// Removes the socket's file when dropped.
        _file: SocketFile,
    },
    Udp(UdpSocket),
    /// Our end of a command pipe.
    #[cfg(unix)]
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
        let token = Token(reserved_key(self.sources.len()));
        let registry = self.poll.registry();
        let (bound, socket, kind) = match endpoint {
            Endpoint::Tcp(addr) => {
                let mut listener = TcpListener::from_std(bind_tcp(*addr, limits.backlog)?.into());
                registry.register(&mut listener, token, Interest::READABLE)?;
                (Endpoint::Tcp(listener.local_addr()?), BoundSocket::Tcp(listener), SourceKind::Listener(framing))
            }
            Endpoint::Udp(addr) => {
                let mut socket = UdpSocket::from_std(bind_udp(*addr)?.into());
                registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
                let local = socket.local_addr()?;
                (Endpoint::Udp(local), BoundSocket::Udp(socket), SourceKind::Udp { local })
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let mut listener = UnixListener::from_std(bind_unix(path, limits.backlog)?.into());
                let file = SocketFile::new(path);
                registry.register(&mut listener, token, Interest::READABLE)?;
                (endpoint.clone(), BoundSocket::Unix { listener, _file: file }, SourceKind::Listener(framing))
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.sources.push((socket, Source { kind, service }));
        Ok(bound)
    }

    /// Returns the write end of a pipe: any byte written to it gives `command`.
    #[cfg(unix)]
    pub(crate) fn command_pipe(&mut self, command: Command) -> io::Result<std::os::unix::net::UnixStream> {
        let (theirs, ours) = setup::command_pipe()?;
        let mut ours = UnixStream::from_std(ours);
        self.poll.registry().register(&mut ours, Token(reserved_key(self.sources.len())), Interest::READABLE)?;
        // The command is for the loop itself; no service has this id.
        let source = Source { kind: SourceKind::CommandPipe(command), service: ServiceId(usize::MAX) };
        self.sources.push((BoundSocket::CommandPipe(ours), source));
        Ok(theirs)
    }

    /// Keeps a console, which becomes a connection when the loop runs.
    #[cfg(unix)]
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
