//! What newcomers come by.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;

use socket2::SockRef;

use super::socket::{Socket, TICK};
use crate::engine::limits::Limits;
use crate::net;
use crate::net::Endpoint;
use crate::net::bind::{SocketFile, bind_tcp, bind_unix, set_stream_options};
use crate::service::Peer;

/// A listener of either kind. It does not wait: its thread waits in poll(2), where the engine's bell can wake it.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// Dropped with it.
        _file: SocketFile,
    },
}

impl Listener {
    /// Binds; returns the endpoint really bound, too.
    pub(super) fn bind(endpoint: &Endpoint, limits: &Limits) -> io::Result<(Self, Endpoint)> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let socket = bind_tcp(*addr, limits.backlog)?;
                if net::ACCEPTED_INHERIT_OPTIONS {
                    socket.set_read_timeout(Some(TICK))?;
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

    /// Whether the sockets that it accepts have their reads limited already.
    pub(super) fn limits_reads(&self) -> bool {
        net::ACCEPTED_INHERIT_OPTIONS && matches!(self, Self::Tcp(_))
    }

    /// Takes one connection from the backlog.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept()?;
                if !net::ACCEPTED_INHERIT_OPTIONS {
                    // Without them the connection is slower to answer and to be missed, and works.
                    let _ = set_stream_options(&SockRef::from(&stream));
                    // Where options are not inherited, this may have been.
                    stream.set_nonblocking(false)?;
                }
                Ok((Socket::new(stream), Peer::Tcp(addr)))
            }
            Self::Unix { listener, .. } => {
                let (stream, _) = listener.accept()?;
                if !net::ACCEPTED_INHERIT_OPTIONS {
                    stream.set_nonblocking(false)?;
                }
                Ok((Socket::new(stream), Peer::Unix))
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
