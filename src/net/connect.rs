//! Connecting without waiting, for the load generator and the HTTP client.

use std::io;

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::endpoint::Endpoint;
use super::stream::SocketStream;

impl SocketStream {
    /// Starts to connect without waiting. The stream is writable when the attempt has ended;
    /// [`check_connected`](Self::check_connected) returns the result.
    pub(crate) fn start_connect(endpoint: &Endpoint) -> io::Result<Self> {
        let (domain, addr) = match endpoint {
            Endpoint::Tcp(addr) => (Domain::for_address(*addr), SockAddr::from(*addr)),
            Endpoint::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
            Endpoint::Udp(_) => return Err(io::ErrorKind::Unsupported.into()),
        };
        // A flag of socket(2) saves the two calls of fcntl(2). macOS has no such flag.
        #[cfg(not(target_vendor = "apple"))]
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), None)?;
        #[cfg(target_vendor = "apple")]
        let socket = Socket::new(domain, Type::STREAM, None)?;
        #[cfg(target_vendor = "apple")]
        socket.set_nonblocking(true)?;
        match socket.connect(&addr) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
            Ok(()) | Err(_) => Ok(Self::new(socket, matches!(endpoint, Endpoint::Tcp(_)))),
        }
    }

    /// Returns true if the connection is established, false if the attempt goes on.
    ///
    /// # Errors
    /// The reason why the attempt has failed.
    pub(crate) fn check_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        if !self.is_tcp() {
            return Ok(true);
        }
        match self.socket.peer_addr() {
            // A socket that connects to a free local port may have been given that port itself, and
            // is then connected to itself (TCP simultaneous open, RFC 9293 section 3.5).
            Ok(peer) if self.socket.local_addr().is_ok_and(|local| local == peer) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            Ok(_) => {
                // Small messages leave immediately. On failure the connection is only slower.
                let _ = self.socket.set_tcp_nodelay(true);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use super::*;

    /// Repeated connects to a closed local port produce such a socket now and then.
    #[test]
    fn a_self_connected_socket_counts_as_refused() {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        socket.connect(&socket.local_addr().unwrap()).unwrap();
        let stream = SocketStream::new(socket, true);
        assert_eq!(stream.check_connected().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}
