//! What a reactor listens on, from being bound to being handed to the loop.

use std::io;
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::sync::Arc;

use mio::net::{TcpListener, UdpSocket};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Poll, Token, Waker};

#[cfg(unix)]
use super::console_stream::Console;
use super::mio_driver::OsNet;
use super::mio_stream::OsStream;
use super::{Attached, Source, SourceKind, WAKE_KEY};
#[cfg(unix)]
use crate::engine::handle::Command;
use crate::engine::jobs::Wake;
use crate::engine::limits::Limits;
use crate::engine::slab::reserved_key;
use crate::frame::Framing;
use crate::net::Endpoint;
#[cfg(unix)]
use crate::net::bind::{SocketFile, bind_unix};
use crate::net::bind::{bind_tcp, bind_udp};
use crate::service::ServiceId;

/// Bound sockets and the poll instance that watches them.
pub(in crate::reactor) struct Sources {
    poll: Poll,
    waker: Arc<Waker>,
    bound: Vec<(Socketed, Source)>,
    consoles: Vec<Attached<OsStream>>,
}

/// What is listened on.
pub(super) enum Socketed {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        /// Dropped with it.
        _file: SocketFile,
    },
    Udp(UdpSocket),
    /// Our end of a pipe that commands come by.
    #[cfg(unix)]
    Pipe(UnixStream),
    Closed,
}

impl Sources {
    pub(in crate::reactor) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(WAKE_KEY))?);
        Ok(Self { poll, waker, bound: Vec::new(), consoles: Vec::new() })
    }

    /// What wakes the poll from another thread.
    pub(in crate::reactor) fn wake(&self) -> Wake {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || {
            if let Err(error) = waker.wake() {
                log::error!("the event loop could not be woken: {error}");
            }
        })
    }

    /// Binds and registers. Both interests, once and for all: readiness is remembered, interest never changes.
    pub(in crate::reactor) fn listen(
        &mut self,
        service: ServiceId,
        endpoint: &Endpoint,
        framing: Framing,
        limits: &Limits,
    ) -> io::Result<Endpoint> {
        let token = Token(reserved_key(self.bound.len()));
        let registry = self.poll.registry();
        let (bound, socketed, kind) = match endpoint {
            Endpoint::Tcp(addr) => {
                let mut listener = TcpListener::from_std(bind_tcp(*addr, limits.backlog)?.into());
                registry.register(&mut listener, token, Interest::READABLE)?;
                (Endpoint::Tcp(listener.local_addr()?), Socketed::Tcp(listener), SourceKind::Listener(framing))
            }
            Endpoint::Udp(addr) => {
                let mut socket = UdpSocket::from_std(bind_udp(*addr)?.into());
                registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
                let local = socket.local_addr()?;
                (Endpoint::Udp(local), Socketed::Udp(socket), SourceKind::Datagrams { local })
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let mut listener = UnixListener::from_std(bind_unix(path, limits.backlog)?.into());
                let file = SocketFile::new(path);
                registry.register(&mut listener, token, Interest::READABLE)?;
                (endpoint.clone(), Socketed::Unix { listener, _file: file }, SourceKind::Listener(framing))
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.bound.push((socketed, Source { kind, service }));
        Ok(bound)
    }

    /// A pipe that gives `command`: our end is watched, the other is returned.
    #[cfg(unix)]
    pub(in crate::reactor) fn pipe(&mut self, command: Command) -> io::Result<std::os::unix::net::UnixStream> {
        let (theirs, ours) = std::os::unix::net::UnixStream::pair()?;
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        let mut ours = UnixStream::from_std(ours);
        self.poll.registry().register(&mut ours, Token(reserved_key(self.bound.len())), Interest::READABLE)?;
        // The command is for the loop itself, so no service is ever looked up.
        let source = Source { kind: SourceKind::Commands(command), service: ServiceId(usize::MAX) };
        self.bound.push((Socketed::Pipe(ours), source));
        Ok(theirs)
    }

    /// Has a console become a connection as soon as the loop runs.
    #[cfg(unix)]
    pub(in crate::reactor) fn attach(
        &mut self,
        service: ServiceId,
        (input, output): (OwnedFd, OwnedFd),
        framing: Framing,
    ) -> io::Result<()> {
        let stream = OsStream::Console(Box::new(Console::new(input, output)?));
        self.consoles.push(Attached { stream, service, framing });
        Ok(())
    }

    pub(in crate::reactor) fn into_net(self) -> OsNet {
        OsNet::new(self.poll, self.bound, self.consoles)
    }
}
