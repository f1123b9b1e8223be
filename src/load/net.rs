//! The generator's sockets and its poll, through `mio`; no other file of this module names `mio`.
//!
//! Every socket is registered once, for both directions, edge-triggered. The caller that reads and
//! writes remembers readiness.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

#[cfg(unix)]
use mio::net::UnixStream;
use mio::net::{TcpStream, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::net::Endpoint;

/// Events that one poll returns at most.
const MAX_EVENTS: usize = 1024;

/// Bytes of a UDP socket's receive buffer. A datagram that finds the buffer full is lost, and the
/// server would be charged for it.
const UDP_RECEIVE_BUFFER_BYTES: usize = 4 << 20;

/// A readiness report of the kernel about one socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct SocketEvent {
    pub(super) key: usize,
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer has ended its stream, or the connection has failed.
    pub(super) peer_closed: bool,
}

/// The poll of all sockets, with a precise timer.
pub(super) struct Poller {
    poll: Poll,
    events: Events,
    timer: timer::PreciseTimer,
}

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = timer::PreciseTimer::new(poll.registry())?;
        Ok(Self { poll, events: Events::with_capacity(MAX_EVENTS), timer })
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

    /// Waits for events, and appends them to `events`. The wait ends after `timeout` with the
    /// poll's resolution of a millisecond, or after `precise` with the resolution of the best
    /// clock.
    pub(super) fn poll(
        &mut self,
        timeout: Duration,
        precise: Option<Duration>,
        events: &mut Vec<SocketEvent>,
    ) -> io::Result<()> {
        let timeout = self.timer.set(timeout, precise)?;
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in self.events.iter().filter(|event| event.token().0 != timer::KEY) {
            let peer_closed = event.is_read_closed() || event.is_error();
            events.push(SocketEvent {
                key: event.token().0,
                readable: event.is_readable() || peer_closed,
                writable: event.is_writable(),
                peer_closed,
            });
        }
        Ok(())
    }
}

/// A client socket. Dropping it closes it and ends its registration.
pub(super) enum LoadSocket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    Udp(UdpSocket),
}

/// Evaluates one expression for every kind of stream, and another for datagrams.
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
    /// Begins to connect. For a stream, an event reports the end of the attempt.
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
                // The kernel caps the size at net.core.rmem_max; a smaller buffer still works.
                let _ = SockRef::from(&socket).set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
                socket.connect(*addr)?;
                Ok(Self::Udp(socket))
            }
        }
    }

    pub(super) fn is_datagram(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Returns true if the connection is established, false if the attempt goes on.
    ///
    /// # Errors
    /// The reason why the attempt has failed.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let Self::Tcp(stream) = self else {
            return either!(self, stream => no_error(stream.take_error()?), _socket => Ok(true));
        };
        no_error(stream.take_error()?)?;
        match stream.peer_addr() {
            // A socket that connects to a free local port may have been given that port itself, and
            // is then connected to itself (TCP simultaneous open, RFC 9293 section 3.5).
            Ok(peer) if stream.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => {
                // Small messages leave immediately. On failure the connection is only slower.
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

    /// Returns true if a read or write of fewer bytes than requested proves that the next one would
    /// block: epoll(7), question 9.
    #[inline]
    pub(super) fn short_io_means_blocked(&self) -> bool {
        cfg!(unix) && matches!(self, Self::Tcp(_))
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        either!(self, stream => stream.shutdown(std::net::Shutdown::Write), _socket => Ok(()))
    }
}

fn no_error(error: Option<io::Error>) -> io::Result<bool> {
    error.map_or(Ok(true), Err)
}

/// A timer with nanosecond resolution. The timeout of a poll counts whole milliseconds: at 10,000
/// messages a second that is ten messages. Linux has a timer that is polled like a socket:
/// `timerfd_create(2)`.
#[cfg(target_os = "linux")]
mod timer {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };

    use crate::engine::slab::reserved_key;

    /// The key of the timer's event.
    pub(super) const KEY: usize = reserved_key(0);

    pub(super) struct PreciseTimer(OwnedFd);

    impl PreciseTimer {
        pub(super) fn new(registry: &Registry) -> io::Result<Self> {
            let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), Token(KEY), Interest::READABLE)?;
            Ok(Self(fd))
        }

        /// Arms the timer for `precise` if that is earlier than `timeout`; returns the timeout of
        /// the poll. The descriptor is never read: it is registered edge-triggered, and setting the
        /// timer clears its expiration.
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

/// The portable form: the poll's own timeout.
#[cfg(not(target_os = "linux"))]
mod timer {
    use std::io;
    use std::time::Duration;

    use crate::engine::slab::reserved_key;

    /// The key of the timer's event, which never comes.
    pub(super) const KEY: usize = reserved_key(0);

    pub(super) struct PreciseTimer;

    impl PreciseTimer {
        pub(super) fn new(_registry: &mio::Registry) -> io::Result<Self> {
            Ok(Self)
        }

        #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the Linux form holds a descriptor")]
        pub(super) fn set(&mut self, timeout: Duration, precise: Option<Duration>) -> io::Result<Duration> {
            Ok(precise.map_or(timeout, |precise| precise.min(timeout)))
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::{Domain, Type};

    use super::*;

    /// Repeated connects to a closed local port produce such a socket now and then.
    #[test]
    fn a_self_connected_socket_counts_as_refused() {
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        let socket = LoadSocket::Tcp(TcpStream::from_std(socket.into()));
        assert_eq!(socket.is_connected().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
