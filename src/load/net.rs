//! The generator's sockets and its clock, through `mio`: the only file here that names it.
//!
//! Every socket is registered once, for both directions, edge-triggered; who reads and writes remembers readiness.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

#[cfg(unix)]
use mio::net::UnixStream;
use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::engine::slab::reserved_key;
use crate::net::Endpoint;

/// Events taken from the system with one call.
const EVENTS: usize = 1024;

/// The alarm's event carries it.
const ALARM_KEY: usize = reserved_key(0);

/// Kernel buffers of a UDP socket, in bytes: what finds no room in them is lost, and that would be our fault.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;

/// What the system says about a socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketEvent {
    pub(super) key: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has ended its stream, or the connection has failed.
    pub(super) end: bool,
}

/// All that is waited for.
pub(super) struct Poller {
    poll: Poll,
    events: Events,
    alarm: alarm::PreciseTimer,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let alarm = alarm::PreciseTimer::new(poll.registry())?;
        Ok(Self { poll, events: Events::with_capacity(EVENTS), alarm })
    }

    pub(super) fn register(&self, socket: &mut LoadSocket, key: usize) -> io::Result<()> {
        let (registry, token, interest) = (self.poll.registry(), Token(key), Interest::READABLE | Interest::WRITABLE);
        match socket {
            LoadSocket::Tcp(stream) => registry.register(stream, token, interest),
            #[cfg(unix)]
            LoadSocket::Unix(stream) => registry.register(stream, token, interest),
            LoadSocket::Udp(socket) => registry.register(socket, token, interest),
        }
    }

    /// Waits for events, until `timeout` at the latest, or `precise` with the best clock there is; appends what came to `ready`.
    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        precise: Option<Duration>,
        ready: &mut Vec<SocketEvent>,
    ) -> io::Result<()> {
        let timeout = self.alarm.set(timeout, precise)?;
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in self.events.iter().filter(|event| event.token().0 != ALARM_KEY) {
            let end = event.is_read_closed() || event.is_error();
            ready.push(SocketEvent {
                key: event.token().0,
                readable: event.is_readable() || end,
                writable: event.is_writable(),
                end,
            });
        }
        Ok(())
    }
}

/// A client's socket. Dropping it closes it, which ends its registration too.
pub(super) enum LoadSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Udp(UdpSocket),
}

/// The same call on whichever stream it is, and another on datagrams.
macro_rules! either {
    ($self:ident, $stream:ident => $call:expr, $socket:ident => $datagram:expr) => {
        match $self {
            Self::Tcp($stream) => $call,
            #[cfg(unix)]
            Self::Unix($stream) => $call,
            Self::Udp($socket) => $datagram,
        }
    };
}

impl LoadSocket {
    /// Begins to connect. Of a stream, an event tells when that is decided.
    pub(super) fn connect(target: &Endpoint) -> io::Result<Self> {
        match target {
            Endpoint::Tcp(addr) => TcpStream::connect(*addr).map(Self::Tcp),
            #[cfg(unix)]
            Endpoint::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            #[cfg(not(unix))]
            Endpoint::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
            Endpoint::Udp(addr) => {
                let any = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
                // The system grants what its own limits allow.
                let _ = SockRef::from(&socket).set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
                socket.connect(*addr)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    pub(super) fn is_datagram(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Whether the connection stands, after an event; an error when it never will.
    pub(super) fn connected(&self) -> io::Result<bool> {
        let Self::Tcp(stream) = self else {
            return either!(self, stream => decided(stream.take_error()?), _socket => Ok(true));
        };
        decided(stream.take_error()?)?;
        match stream.peer_addr() {
            // A port that nobody listens at may be the very one that this socket was given: then it is its own echo.
            Ok(peer) if stream.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => {
                // Small messages leave at once. Without it the connection is slower and works.
                let _ = stream.set_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buffer), socket => socket.recv(buffer))
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(bytes), socket => socket.send(bytes))
    }

    #[inline]
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        either!(self, stream => stream.write_vectored(slices), _socket => Err(io::ErrorKind::Unsupported.into()))
    }

    /// Whether less than was asked for says that there is no more: epoll(7), questions and answers, 9.
    #[inline]
    pub(super) fn short_means_done(&self) -> bool {
        cfg!(unix) && matches!(self, Self::Tcp(_))
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        either!(self, stream => stream.shutdown(std::net::Shutdown::Write), _socket => Ok(()))
    }
}

fn decided(error: Option<io::Error>) -> io::Result<bool> {
    error.map_or(Ok(true), Err)
}

/// A wait that ends when it should. A poll's own timeout counts whole milliseconds; at ten thousand messages a second that is
/// ten messages. Linux has a clock that is polled like a socket: see `timerfd_create(2)`.
#[cfg(target_os = "linux")]
mod alarm {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    pub(super) struct PreciseTimer(OwnedFd);

    impl PreciseTimer {
        pub(super) fn new(registry: &Registry) -> io::Result<Self> {
            let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), Token(super::ALARM_KEY), Interest::READABLE)?;
            Ok(Self(fd))
        }

        /// Rings after `precise`, if that comes before `timeout`; returns how long to poll. It is never read: it was registered
        /// edge-triggered, and setting it anew forgets that it has rung.
        pub(super) fn set(&mut self, timeout: Duration, precise: Option<Duration>) -> io::Result<Duration> {
            let Some(precise) = precise.filter(|precise| *precise < timeout) else { return Ok(timeout) };
            if precise.is_zero() {
                return Ok(precise);
            }
            let value = Timespec::try_from(precise).map_err(|_| io::ErrorKind::InvalidInput)?;
            let once = Itimerspec { it_interval: Timespec::default(), it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once)?;
            Ok(timeout)
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod alarm {
    use std::io;
    use std::time::Duration;

    pub(super) struct PreciseTimer;

    impl PreciseTimer {
        pub(super) fn new(_registry: &mio::Registry) -> io::Result<Self> {
            Ok(Self)
        }

        #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "elsewhere it is a descriptor")]
        pub(super) fn set(&mut self, timeout: Duration, precise: Option<Duration>) -> io::Result<Duration> {
            Ok(precise.map_or(timeout, |precise| precise.min(timeout)))
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    /// As happens now and then to one that tries a dead server's port again and again.
    #[test]
    fn a_socket_that_is_connected_to_itself_is_refused() {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = LoadSocket::Tcp(TcpStream::from_std(socket.into()));
        assert_eq!(socket.connected().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
