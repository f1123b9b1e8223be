//! A listener of streams: TCP or Unix-domain.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{SockRef, Socket};

use super::bind::{SocketFile, bind_tcp, bind_unix, set_stream_options};
use super::endpoint::Endpoint;
use super::socket_options::ACCEPTED_INHERIT_OPTIONS;
use super::stream::SocketStream;

/// A bound socket that accepts connections. Accepting does not wait.
pub(crate) struct StreamListener {
    socket: Socket,
    /// The file of a Unix-domain socket, removed on drop; `None` for TCP.
    file: Option<SocketFile>,
}

impl StreamListener {
    /// Binds a listener. Returns it and the endpoint with the bound port.
    pub(crate) fn bind(endpoint: &Endpoint, backlog: u32) -> io::Result<(Self, Endpoint)> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let socket = bind_tcp(*addr, backlog)?;
                let bound = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
                Ok((Self { socket, file: None }, Endpoint::Tcp(bound)))
            }
            Endpoint::Unix(path) => {
                let socket = bind_unix(path, backlog)?;
                Ok((Self { socket, file: Some(SocketFile::new(path)) }, endpoint.clone()))
            }
            Endpoint::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Accepts one pending connection. Returns it with its peer's address, `None` for a Unix-domain
    /// socket.
    pub(crate) fn accept(&self) -> io::Result<(SocketStream, Option<SocketAddr>)> {
        let (socket, addr) = self.socket.accept()?;
        let is_tcp = self.file.is_none();
        if !ACCEPTED_INHERIT_OPTIONS {
            if is_tcp {
                // Without these options the connection still works: it only answers later, and a
                // dead peer is noticed later.
                let _ = set_stream_options(&SockRef::from(&socket));
            }
            // Where options are not inherited, O_NONBLOCK may be.
            socket.set_nonblocking(false)?;
        }
        Ok((SocketStream::new(socket, is_tcp), addr.as_socket()))
    }
}

impl AsFd for StreamListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
