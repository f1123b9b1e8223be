//! A listener of streams: TCP or Unix-domain.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use socket2::{SockRef, Socket};

use super::bind::{SocketFile, bind_tcp, bind_unix, set_stream_options};
use super::endpoint::Endpoint;
use super::socket_options::ACCEPTED_INHERIT_OPTIONS;
use super::stream::SocketStream;

/// A bound socket that accepts connections. Accepting does not wait.
pub(crate) struct StreamListener {
    /// The file of a Unix-domain socket, removed on drop; `None` for TCP. Dropped before the
    /// socket: fields are dropped in order of declaration.
    file: Option<SocketFile>,
    socket: Socket,
    /// The silence after which the system asks a peer if it is there.
    keepalive: Duration,
}

impl StreamListener {
    /// Binds a listener. Returns it and the endpoint with the bound port.
    pub(crate) fn bind(endpoint: &Endpoint, backlog: u32, keepalive: Duration) -> io::Result<(Self, Endpoint)> {
        match endpoint {
            Endpoint::Tcp(addr) => {
                let socket = bind_tcp(*addr, backlog, keepalive)?;
                let bound = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
                Ok((Self { file: None, socket, keepalive }, Endpoint::Tcp(bound)))
            }
            Endpoint::Unix(path) => {
                let (file, socket) = bind_unix(path, backlog)?;
                Ok((Self { file: Some(file), socket, keepalive }, endpoint.clone()))
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
                let _ = set_stream_options(&SockRef::from(&socket), self.keepalive);
            }
            // Where options are not inherited, O_NONBLOCK may be.
            socket.set_nonblocking(false)?;
        }
        Ok((SocketStream::new(socket, is_tcp), addr.as_socket()))
    }

    /// Returns true if accepted connections inherit the options of the listening socket, such as
    /// `SO_RCVTIMEO`. Unix-domain sockets never do.
    pub(crate) fn accepted_inherit_options(&self) -> bool {
        ACCEPTED_INHERIT_OPTIONS && self.file.is_none()
    }
}

impl AsFd for StreamListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream};
    use std::os::unix::net::UnixStream;

    const KEEPALIVE: Duration = Duration::from_secs(300);

    #[test]
    fn accepted_connections_have_the_keepalive_time() {
        for keepalive in [KEEPALIVE, Duration::ZERO] {
            let (tcp, bound) =
                StreamListener::bind(&Endpoint::Tcp((Ipv4Addr::LOCALHOST, 0).into()), 1, keepalive).unwrap();
            let Endpoint::Tcp(addr) = bound else { panic!("{bound}") };
            let _client = TcpStream::connect(addr).unwrap();
            let (stream, _) = tcp.accept().unwrap();
            let socket = SockRef::from(&stream);
            assert_eq!(socket.keepalive().unwrap(), !keepalive.is_zero());
            if !keepalive.is_zero() {
                assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive);
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), keepalive / 10);
            }
        }
    }

    /// Returns true if a connection has the read timeout that its listener has.
    fn inherits_timeout<T>(listener: &StreamListener, connect: impl FnOnce() -> io::Result<T>) -> bool {
        SockRef::from(listener).set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let _client = connect().unwrap();
        let (stream, _) = listener.accept().unwrap();
        SockRef::from(&stream).read_timeout().unwrap().is_some()
    }

    #[test]
    fn options_are_inherited_as_stated() {
        let (tcp, bound) = StreamListener::bind(&Endpoint::Tcp((Ipv4Addr::LOCALHOST, 0).into()), 1, KEEPALIVE).unwrap();
        let Endpoint::Tcp(addr) = bound else { panic!("{bound}") };
        assert!(inherits_timeout(&tcp, || TcpStream::connect(addr)) || !tcp.accepted_inherit_options());
        let path = std::env::temp_dir().join(format!("switchboard-listener-{}", std::process::id()));
        let (unix, _) = StreamListener::bind(&Endpoint::Unix(path.clone()), 1, KEEPALIVE).unwrap();
        assert!(!inherits_timeout(&unix, || UnixStream::connect(&path)) && !unix.accepted_inherit_options());
    }
}
