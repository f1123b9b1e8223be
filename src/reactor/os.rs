//! The operating system's sockets, through `mio`.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use mio::net::{UnixListener, UnixStream};
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::net::{Event, Net, Source, SourceKind, WAKE_KEY};
use crate::connection::Stream;
use crate::datagram::{Incoming, Outgoing};
use crate::endpoint::Endpoint;
use crate::frame::Framing;
use crate::jobs::Wake;
use crate::limits::Limits;
use crate::service::{Peer, ServiceId};
use crate::slots::reserved_key;
use crate::sys::{self, Batcher};

/// Events taken from the system with one call.
const EVENTS: usize = 1024;

/// Kernel buffers of a UDP socket, in bytes: a burst must wait somewhere, and a datagram that finds no room is lost.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;

/// Bound sockets and the poll instance that watches them.
pub(super) struct Sources {
    poll: Poll,
    waker: Arc<Waker>,
    bound: Vec<(Socketed, Source)>,
}

enum Socketed {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix {
        listener: UnixListener,
        /// Dropped with it.
        _path: UnixPath,
    },
    Udp(UdpSocket),
    Closed,
}

/// The file of a Unix-domain socket; it goes when its listener does.
#[cfg(unix)]
struct UnixPath(PathBuf);

#[cfg(unix)]
impl Drop for UnixPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Sources {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(WAKE_KEY))?);
        Ok(Self { poll, waker, bound: Vec::new() })
    }

    /// What wakes the poll from another thread.
    pub(super) fn wake(&self) -> Wake {
        let waker = Arc::clone(&self.waker);
        Arc::new(move || {
            if let Err(error) = waker.wake() {
                log::error!("the event loop could not be woken: {error}");
            }
        })
    }

    /// Binds and registers. Both interests, once and for all: readiness is remembered, interest never changes.
    pub(super) fn listen(
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
                (
                    Endpoint::Udp(socket.local_addr()?),
                    Socketed::Udp(socket),
                    SourceKind::Datagrams { ipv4: addr.is_ipv4() },
                )
            }
            #[cfg(unix)]
            Endpoint::Unix(path) => {
                let mut listener = UnixListener::from_std(bind_unix(path, limits.backlog)?.into());
                let path = UnixPath(path.clone());
                registry.register(&mut listener, token, Interest::READABLE)?;
                (endpoint.clone(), Socketed::Unix { listener, _path: path }, SourceKind::Listener(framing))
            }
            #[cfg(not(unix))]
            Endpoint::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        self.bound.push((socketed, Source { kind, service }));
        Ok(bound)
    }

    pub(super) fn into_net(self) -> OsNet {
        OsNet { events: Events::with_capacity(EVENTS), poll: self.poll, sources: self.bound, batcher: Batcher::new() }
    }
}

/// A socket of the address's own family only: `[::]` does not take IPv4 too, so that both may be listened on, everywhere alike.
fn socket_for(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn bind_tcp(addr: SocketAddr, backlog: u32) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::STREAM, Protocol::TCP)?;
    // On Windows the option means something else: that others may take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if sys::ACCEPTED_INHERIT_OPTIONS {
        set_stream_options(&SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Small answers leave at once, and a peer whose machine has vanished is found out.
fn set_stream_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)
}

fn bind_udp(addr: SocketAddr) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::DGRAM, Protocol::UDP)?;
    // The system grants what its own limits allow (net.core.rmem_max); less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    socket.bind(&addr.into())?;
    Ok(socket)
}

#[cfg(unix)]
fn bind_unix(path: &Path, backlog: u32) -> io::Result<Socket> {
    let addr = socket2::SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.bind(&addr) {
        // A server that was killed leaves its file behind. If nobody answers there, it is ours to replace.
        if error.kind() != io::ErrorKind::AddrInUse || !is_abandoned(path) {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&addr)?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

#[cfg(unix)]
fn is_abandoned(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    is_socket && std::os::unix::net::UnixStream::connect(path).is_err_and(refused)
}

/// The world as the operating system has it.
pub(super) struct OsNet {
    poll: Poll,
    events: Events,
    sources: Vec<(Socketed, Source)>,
    batcher: Batcher,
}

impl OsNet {
    fn source(&self, number: usize) -> &Socketed {
        self.sources.get(number).map_or(&Socketed::Closed, |(socketed, _)| socketed)
    }
}

impl Net for OsNet {
    type Stream = OsStream;

    fn sources(&self) -> Vec<Source> {
        self.sources.iter().map(|(_, source)| *source).collect()
    }

    fn poll(&mut self, timeout: Option<Duration>, mut mark: impl FnMut(Event)) -> io::Result<()> {
        self.poll.poll(&mut self.events, timeout)?;
        for event in &self.events {
            let end = event.is_read_closed() || event.is_error();
            mark(Event {
                key: event.token().0,
                readable: event.is_readable() || end,
                writable: event.is_writable(),
                end,
            });
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> io::Result<(OsStream, Peer)> {
        match self.source(listener) {
            Socketed::Tcp(listener) => {
                let (stream, addr) = listener.accept()?;
                if !sys::ACCEPTED_INHERIT_OPTIONS {
                    // Without them the connection is slower to answer and to be missed, and works.
                    let _ = set_stream_options(&SockRef::from(&stream));
                }
                Ok((OsStream::Tcp(stream), Peer::Tcp(addr)))
            }
            #[cfg(unix)]
            Socketed::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                Ok((OsStream::Unix(stream), Peer::Unix))
            }
            Socketed::Udp(_) | Socketed::Closed => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn open(&mut self, stream: &mut OsStream, key: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match stream {
            OsStream::Tcp(stream) => self.poll.registry().register(stream, Token(key), interest),
            #[cfg(unix)]
            OsStream::Unix(stream) => self.poll.registry().register(stream, Token(key), interest),
        }
    }

    fn close(&mut self, source: usize) {
        if let Some((socketed, _)) = self.sources.get_mut(source) {
            *socketed = Socketed::Closed;
        }
    }

    fn receive(&mut self, socket: usize, into: &mut Incoming) -> io::Result<usize> {
        let Some((Socketed::Udp(socket), _)) = self.sources.get(socket) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        self.batcher.receive(socket, into)
    }

    fn send(&mut self, socket: usize, from: &Outgoing, first: usize) -> io::Result<usize> {
        let Some((Socketed::Udp(socket), _)) = self.sources.get(socket) else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        self.batcher.send(socket, from, first)
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

/// A connection's socket. Dropping it closes it, which ends its registration too.
pub(super) enum OsStream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The same call on whichever socket it is.
macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Self::Tcp($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
        }
    };
}

impl Read for OsStream {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buffer))
    }

    fn read_vectored(&mut self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.read_vectored(buffers))
    }
}

impl Write for OsStream {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(bytes))
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_vectored(slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for OsStream {
    fn shutdown_write(&self) -> io::Result<()> {
        either!(self, stream => stream.shutdown(std::net::Shutdown::Write))
    }
}
