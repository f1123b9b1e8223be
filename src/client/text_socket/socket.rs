//! The text socket: encoding, size limit and timeouts around one [`UdpSocket`].

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::error::{self, TextSocketError};
use crate::frame::TextEncoding;
use crate::net::bind::unspecified_for;
use crate::net::udp_batch::{MAX_IPV4_DATAGRAM_BYTES, MAX_IPV6_DATAGRAM_BYTES};

/// A UDP socket for text.
///
/// ```
/// use std::time::Duration;
/// use switchboard::TextEncoding;
/// use switchboard::client::{TextSocket, TextSocketError};
///
/// let gbk: TextEncoding = "gbk".parse()?;
/// let one = TextSocket::bind("127.0.0.1:0", gbk)?;
/// let other = TextSocket::bind("127.0.0.1:0", gbk)?;
/// other.set_read_timeout(Some(Duration::from_secs(5)))?;
///
/// one.send_to("你好", other.local_addr()?)?;
/// let (text, from) = other.recv_from()?;
/// assert_eq!((&*text, from), ("你好", one.local_addr()?));
///
/// // The error contains the sender, so that the program can reply.
/// std::net::UdpSocket::bind("127.0.0.1:0")?.send_to(b"\xff", other.local_addr()?)?;
/// match other.recv_from() {
///     Err(TextSocketError::InvalidText { bytes, from, .. }) => {
///         assert_eq!(bytes, b"\xff");
///         other.send_to("what?", from)?;
///     }
///     result => panic!("{result:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TextSocket {
    socket: UdpSocket,
    encoding: TextEncoding,
    max_bytes: usize,
}

impl TextSocket {
    /// Binds a socket to the first usable address of `addr`; port 0 selects a free port.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] if the system accepts none of the addresses.
    pub fn bind(addr: impl ToSocketAddrs, encoding: TextEncoding) -> Result<Self, TextSocketError> {
        Ok(Self::new(UdpSocket::bind(addr)?, encoding))
    }

    /// Binds a socket that can send to `peer`: at a free port, in the family of its address.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] if the system has no socket or no port left.
    pub fn bind_for(peer: SocketAddr, encoding: TextEncoding) -> Result<Self, TextSocketError> {
        Self::bind(unspecified_for(peer), encoding)
    }

    /// Wraps an existing socket. It must be blocking; otherwise read timeouts have no effect.
    pub fn new(socket: UdpSocket, encoding: TextEncoding) -> Self {
        Self { socket, encoding, max_bytes: MAX_IPV6_DATAGRAM_BYTES }
    }

    /// Limits received texts to `max_bytes` bytes; the default is the maximum of UDP. A larger
    /// datagram is a [`TextSocketError::Truncated`]. Each receive call allocates `max_bytes` + 1
    /// bytes.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes: max_bytes.min(MAX_IPV6_DATAGRAM_BYTES), ..self }
    }

    /// Sets the peer. [`send`](Self::send) then sends to it, and the socket receives only from it.
    /// If no socket is bound at the peer's port, a later call fails with `ConnectionRefused`.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] if the address has no route, or (`PermissionDenied`) if it is a
    /// broadcast address and [`set_broadcast`](Self::set_broadcast) is off.
    pub fn connect(&self, addr: impl ToSocketAddrs) -> Result<(), TextSocketError> {
        Ok(self.socket.connect(addr)?)
    }

    /// Sends `text` to the peer set by [`connect`](Self::connect), as one datagram.
    ///
    /// # Errors
    /// [`TextSocketError`], as for [`send_to`](Self::send_to). `ConnectionRefused` refers to an
    /// earlier text; `text` is not sent.
    pub fn send(&self, text: &str) -> Result<(), TextSocketError> {
        let bytes = self.encoding.encode(text)?;
        let result = self.socket.send(&bytes);
        self.check_send(result, bytes.len(), || self.socket.peer_addr().is_ok_and(|peer| peer.is_ipv6()))
    }

    /// Sends `text` to `to`, as one datagram.
    ///
    /// # Errors
    /// [`TextSocketError::Unencodable`] if the encoding lacks a character,
    /// [`TextSocketError::TooLarge`] if the text exceeds the maximum datagram,
    /// [`TextSocketError::Io`] if the system rejects it. The text is not sent.
    pub fn send_to(&self, text: &str, to: SocketAddr) -> Result<(), TextSocketError> {
        let bytes = self.encoding.encode(text)?;
        let result = self.socket.send_to(&bytes, to);
        self.check_send(result, bytes.len(), || to.is_ipv6())
    }

    /// Receives the next text.
    ///
    /// # Errors
    /// [`TextSocketError`], as for [`recv_from`](Self::recv_from).
    pub fn recv(&self) -> Result<String, TextSocketError> {
        self.recv_from().map(|(text, _)| text)
    }

    /// Receives the next text and returns it with its sender.
    ///
    /// # Errors
    /// [`TextSocketError::InvalidText`] and [`TextSocketError::Truncated`] concern one datagram and
    /// name its sender. [`TextSocketError::Timeout`] if the [read timeout](Self::set_read_timeout)
    /// expires.
    pub fn recv_from(&self) -> Result<(String, SocketAddr), TextSocketError> {
        // One byte more than the limit: a datagram that fills the buffer exceeds the limit.
        let mut bytes = Vec::with_capacity(self.max_bytes + 1);
        let (datagram_bytes, from) = receive_datagram(&self.socket, &mut bytes, self.max_bytes + 1)?;
        if bytes.len() > self.max_bytes {
            bytes.truncate(self.max_bytes);
            return Err(TextSocketError::Truncated { bytes, datagram_bytes, from });
        }
        match self.encoding.decode(&bytes) {
            Some(text) => Ok((text.into_owned(), from)),
            None => Err(TextSocketError::InvalidText { bytes, from, encoding: self.encoding }),
        }
    }

    /// Sets the timeout of receive calls; `None`, the default, waits without limit.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] with `InvalidInput` if the timeout is zero.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), TextSocketError> {
        Ok(self.socket.set_read_timeout(timeout)?)
    }

    /// Allows or forbids sending to broadcast addresses; the default is off.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] if the system rejects the option.
    pub fn set_broadcast(&self, broadcast: bool) -> Result<(), TextSocketError> {
        Ok(self.socket.set_broadcast(broadcast)?)
    }

    /// Returns the address of this socket.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] if the system cannot report it.
    pub fn local_addr(&self) -> Result<SocketAddr, TextSocketError> {
        Ok(self.socket.local_addr()?)
    }

    /// Returns the encoding.
    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// Returns the underlying socket, for options that do not concern text.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    fn check_send(
        &self,
        result: io::Result<usize>,
        bytes: usize,
        is_ipv6: impl FnOnce() -> bool,
    ) -> Result<(), TextSocketError> {
        match result {
            Ok(_) => Ok(()),
            Err(error) if error::is_too_large(&error) => Err(TextSocketError::TooLarge {
                text_bytes: bytes,
                max_bytes: max_payload_bytes(&self.socket, bytes, is_ipv6()),
            }),
            Err(error) => Err(error.into()),
        }
    }
}

/// Returns the maximum payload in bytes of a datagram to a peer for which `bytes` were too many.
fn max_payload_bytes(socket: &UdpSocket, bytes: usize, is_ipv6: bool) -> usize {
    let protocol_max = if is_ipv6 { MAX_IPV6_DATAGRAM_BYTES } else { MAX_IPV4_DATAGRAM_BYTES };
    // If the datagram fits the protocol, the path MTU is the limit: the "don't fragment" flag is
    // set.
    if bytes > protocol_max {
        protocol_max
    } else {
        path_max_bytes(socket, is_ipv6).unwrap_or(protocol_max).min(bytes - 1)
    }
}

/// Returns the limit of a connected socket's path, if the kernel knows it: ip(7), `IP_MTU`.
#[cfg(target_os = "linux")]
fn path_max_bytes(socket: &UdpSocket, is_ipv6: bool) -> Option<usize> {
    use rustix::net::sockopt::{ip_mtu, ipv6_mtu};
    let (mtu, header_bytes) = if is_ipv6 { (ipv6_mtu(socket), 40 + 8) } else { (ip_mtu(socket), 20 + 8) };
    usize::try_from(mtu.ok()?).ok()?.checked_sub(header_bytes)
}

#[cfg(not(target_os = "linux"))]
fn path_max_bytes(_socket: &UdpSocket, _is_ipv6: bool) -> Option<usize> {
    None
}

/// Receives a datagram and appends at most `max_bytes` bytes of it to `bytes`, which must be empty.
/// Returns its full size, if the system reports it, and its sender.
#[cfg(target_os = "linux")]
fn receive_datagram(
    socket: &UdpSocket,
    bytes: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(Option<usize>, SocketAddr), TextSocketError> {
    use rustix::net::{RecvFlags, recvfrom};
    debug_assert!(
        bytes.is_empty() && bytes.capacity() >= max_bytes,
        "the buffer must be empty, with at least `max_bytes` of capacity"
    );
    loop {
        // recv(2): with MSG_TRUNC the call returns the size of the datagram, even if the buffer
        // is smaller.
        match recvfrom(socket, rustix::buffer::spare_capacity(bytes), RecvFlags::TRUNC) {
            Ok((_, size, from)) => {
                let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                let from = from.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
                return Ok((Some(size), from));
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn receive_datagram(
    socket: &UdpSocket,
    bytes: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<(Option<usize>, SocketAddr), TextSocketError> {
    bytes.resize(max_bytes, 0);
    loop {
        match socket.recv_from(bytes) {
            Ok((size, from)) => {
                bytes.truncate(size);
                return Ok((None, from));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
