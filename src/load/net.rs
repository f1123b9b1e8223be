//! The generator's sockets and its poll, through `mio`; no other file of this module names `mio`.
//!
//! Every socket is registered once, for both directions, edge-triggered. The caller that reads and
//! writes remembers readiness.

use std::io::{self, IoSlice};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::SockRef;

use crate::net::bind::unspecified_for;
use crate::net::{Endpoint, SocketStream};

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

    pub(super) fn register(&self, socket: &LoadSocket, key: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&socket.as_fd().as_raw_fd()), Token(key), interest)
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

/// A client socket, on which no call waits. Dropping it closes it and ends its registration.
pub(super) enum LoadSocket {
    Stream(SocketStream),
    Udp(UdpSocket),
}

impl LoadSocket {
    /// Begins to connect. For a stream, an event reports the end of the attempt.
    pub(super) fn connect(target: &Endpoint) -> io::Result<Self> {
        let Endpoint::Udp(addr) = target else { return SocketStream::start_connect(target).map(Self::Stream) };
        let socket = UdpSocket::bind(unspecified_for(*addr))?;
        socket.set_nonblocking(true)?;
        // The kernel caps the size at net.core.rmem_max; a smaller buffer still works.
        let _ = SockRef::from(&socket).set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
        socket.connect(*addr)?;
        Ok(Self::Udp(socket))
    }

    pub(super) fn is_datagram(&self) -> bool {
        matches!(self, Self::Udp(_))
    }

    /// Returns true if the connection is established, false if the attempt goes on.
    ///
    /// # Errors
    /// The reason why the attempt has failed.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        match self {
            Self::Stream(stream) => stream.check_connected(),
            Self::Udp(_) => Ok(true),
        }
    }

    #[inline]
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.try_read(buffer),
            Self::Udp(socket) => socket.recv(buffer),
        }
    }

    #[inline]
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.try_write(bytes),
            Self::Udp(socket) => socket.send(bytes),
        }
    }

    #[inline]
    pub(super) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Stream(stream) => stream.try_write_vectored(slices),
            Self::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Returns true if a read or write of fewer bytes than requested proves that the next one would
    /// block: epoll(7), question 9.
    #[inline]
    pub(super) fn short_io_means_blocked(&self) -> bool {
        matches!(self, Self::Stream(stream) if stream.is_tcp())
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.shutdown_write(),
            Self::Udp(_) => Ok(()),
        }
    }
}

impl AsFd for LoadSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Stream(stream) => stream.as_fd(),
            Self::Udp(socket) => socket.as_fd(),
        }
    }
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
