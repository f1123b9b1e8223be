//! The sockets that accept connections.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use socket2::SockRef;

use super::socket::{READ_TIMEOUT, ThreadSocket};
use crate::engine::limits::Limits;
use crate::net;
use crate::net::Endpoint;
use crate::net::bind::{SocketFile, bind_tcp, bind_unix, set_stream_options};
use crate::service::Peer;

/// A nonblocking TCP or Unix listener. Its thread waits in poll(2), where the engine's notifier can
/// wake it.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Removes the socket file on drop.
        _file: SocketFile,
    },
}

impl Listener {
    /// Binds a listener. Returns it and the endpoint that is bound.
    pub(super) fn bind(endpoint: &Endpoint, limits: &Limits) -> io::Result<(Self, Endpoint)> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let socket = bind_tcp(*addr, limits.backlog)?;
                if net::ACCEPTED_INHERIT_OPTIONS {
                    socket.set_read_timeout(Some(READ_TIMEOUT))?;
                }
                let listener = TcpListener::from(socket);
                let bound = Endpoint::Tcp(listener.local_addr()?);
                Ok((Self::Tcp(listener), bound))
            }
            Endpoint::Unix(path) => {
                let listener = bind_unix(path, limits.backlog)?.into();
                Ok((Self::Unix { listener, _file: SocketFile::new(path) }, endpoint.clone()))
            }
            Endpoint::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Returns true if accepted sockets inherit the read timeout.
    pub(super) fn sets_read_timeout(&self) -> bool {
        net::ACCEPTED_INHERIT_OPTIONS && matches!(self, Self::Tcp(_))
    }

    /// Accepts one connection.
    pub(super) fn accept(&self) -> io::Result<(ThreadSocket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept()?;
                if !net::ACCEPTED_INHERIT_OPTIONS {
                    // Without these options the connection works, but answers and detects a lost
                    // peer later.
                    let _ = set_stream_options(&SockRef::from(&stream));
                    // Where options are not inherited, O_NONBLOCK may be.
                    stream.set_nonblocking(false)?;
                }
                Ok((ThreadSocket::new(stream), Peer::Tcp(addr)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                if !net::ACCEPTED_INHERIT_OPTIONS {
                    stream.set_nonblocking(false)?;
                }
                Ok((ThreadSocket::new(stream), Peer::Unix))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix { listener, .. } => listener.as_fd(),
        }
    }
}
