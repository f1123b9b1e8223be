//! A UDP socket that sends and receives text in an encoding of choice: each text is one datagram.
//!
//! It knows nothing of questions and answers. What arrives is never cut in silence: a datagram that is larger than the bound, or
//! that is no text in the encoding, is an error that says so, and the socket goes on with the next.

mod error;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

pub use error::TextSocketError;

use crate::frame::TextEncoding;

/// The most that the payload of any datagram holds, in bytes: its length field has sixteen bits.
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// Sends and receives text over UDP.
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
/// // Who sends what cannot be read is known, so that it can be told.
/// std::net::UdpSocket::bind("127.0.0.1:0")?.send_to(b"\xff", other.local_addr()?)?;
/// match other.recv_from() {
///     Err(TextSocketError::Undecodable { bytes, from, .. }) => {
///         assert_eq!(bytes, b"\xff");
///         other.send_to("what?", from)?;
///     }
///     answer => panic!("{answer:?}"),
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
    /// A socket at the first of these addresses that can be had; port 0 is any free one.
    ///
    /// # Errors
    /// [`TextSocketError::Io`] says why none can be had.
    pub fn bind(addr: impl ToSocketAddrs, encoding: TextEncoding) -> Result<Self, TextSocketError> {
        Ok(Self::new(UdpSocket::bind(addr)?, encoding))
    }

    /// Text over a socket that is there already, which must be a blocking one for read timeouts to mean anything.
    pub fn new(socket: UdpSocket, encoding: TextEncoding) -> Self {
        Self { socket, encoding, max_bytes: MAX_DATAGRAM_BYTES }
    }

    /// Receives no text of more than `max_bytes` bytes from now on; at first all that a datagram holds is taken. A larger one
    /// is [`TextSocketError::Truncated`]. While one is waited for, so much memory is held.
    #[must_use]
    pub fn max_bytes(self, max_bytes: usize) -> Self {
        Self { max_bytes: max_bytes.min(MAX_DATAGRAM_BYTES), ..self }
    }

    /// Has one peer from now on: [`send`](Self::send) goes to it, others are not heard, and that nobody listens there is an
    /// error (`ConnectionRefused`) of a later call.
    ///
    /// # Errors
    /// [`TextSocketError::Io`]: there is no way to the address, or (`PermissionDenied`) it is a broadcast address, and
    /// [`set_broadcast`](Self::set_broadcast) was not asked for.
    pub fn connect(&self, addr: impl ToSocketAddrs) -> Result<(), TextSocketError> {
        Ok(self.socket.connect(addr)?)
    }

    /// Sends `text` to the peer of [`connect`](Self::connect), as one datagram.
    ///
    /// # Errors
    /// [`TextSocketError`] as for [`send_to`](Self::send_to); `ConnectionRefused` is about an earlier text, and this one was not
    /// sent.
    pub fn send(&self, text: &str) -> Result<(), TextSocketError> {
        let bytes = self.encoding.encode(text)?;
        let sent = self.socket.send(&bytes);
        self.sent(sent, bytes.len(), || self.socket.peer_addr().is_ok_and(|peer| peer.is_ipv6()))
    }

    /// Sends `text` to `to`, as one datagram.
    ///
    /// # Errors
    /// [`TextSocketError::UnencodableError`] names a character that the encoding has not, [`TextSocketError::TooLarge`] says how much a
    /// datagram carries; nothing was sent. [`TextSocketError::Io`] is what the system said.
    pub fn send_to(&self, text: &str, to: SocketAddr) -> Result<(), TextSocketError> {
        let bytes = self.encoding.encode(text)?;
        let sent = self.socket.send_to(&bytes, to);
        self.sent(sent, bytes.len(), || to.is_ipv6())
    }

    /// Waits for the next text.
    ///
    /// # Errors
    /// As for [`recv_from`](Self::recv_from).
    pub fn recv(&self) -> Result<String, TextSocketError> {
        self.recv_from().map(|(text, _)| text)
    }

    /// Waits for the next text and says who sent it.
    ///
    /// # Errors
    /// [`TextSocketError::Undecodable`] and [`TextSocketError::Truncated`] are about one datagram, and say who sent it.
    /// [`TextSocketError::Timeout`] when none has come for as long as [`set_read_timeout`](Self::set_read_timeout) allows.
    pub fn recv_from(&self) -> Result<(String, SocketAddr), TextSocketError> {
        // A byte more than may come: what fills it is larger.
        let mut bytes = Vec::with_capacity(self.max_bytes + 1);
        let (sent_bytes, from) = receive(&self.socket, &mut bytes, self.max_bytes + 1)?;
        if bytes.len() > self.max_bytes {
            bytes.truncate(self.max_bytes);
            return Err(TextSocketError::Truncated { bytes, sent_bytes, from });
        }
        match self.encoding.decode(&bytes) {
            Some(text) => Ok((text.into_owned(), from)),
            None => Err(TextSocketError::Undecodable { bytes, from, encoding: self.encoding }),
        }
    }

    /// How long a receiving call waits; `None`, as at first, is for ever.
    ///
    /// # Errors
    /// [`TextSocketError::Io`]: `InvalidInput` where the time is nothing at all.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> Result<(), TextSocketError> {
        Ok(self.socket.set_read_timeout(timeout)?)
    }

    /// Whether texts may go to broadcast addresses: to everybody on a network. At first they may not.
    ///
    /// # Errors
    /// [`TextSocketError::Io`]: what the system said.
    pub fn set_broadcast(&self, broadcast: bool) -> Result<(), TextSocketError> {
        Ok(self.socket.set_broadcast(broadcast)?)
    }

    /// Where this socket is.
    ///
    /// # Errors
    /// [`TextSocketError::Io`]: what the system said.
    pub fn local_addr(&self) -> Result<SocketAddr, TextSocketError> {
        Ok(self.socket.local_addr()?)
    }

    /// How its texts are written.
    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// The socket itself, for what is not about text.
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    fn sent(
        &self,
        sent: io::Result<usize>,
        bytes: usize,
        is_ipv6: impl FnOnce() -> bool,
    ) -> Result<(), TextSocketError> {
        match sent {
            Ok(_) => Ok(()),
            Err(error) if error::is_too_large(&error) => {
                Err(TextSocketError::TooLarge { bytes, max_bytes: most(&self.socket, bytes, is_ipv6()) })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What a datagram to where `bytes` were too many carries at most, in bytes, as far as it is known.
fn most(socket: &UdpSocket, bytes: usize, is_ipv6: bool) -> usize {
    // IPv4 counts its own header into the sixteen bits of its length, IPv6 does not; UDP's header has 8 bytes.
    let by_protocol = if is_ipv6 { MAX_DATAGRAM_BYTES - 8 } else { MAX_DATAGRAM_BYTES - 20 - 8 };
    // No more than that, and yet too large: then the path is the bound, where nobody on the way may cut datagrams up.
    if bytes > by_protocol { by_protocol } else { by_path(socket, is_ipv6).unwrap_or(by_protocol).min(bytes - 1) }
}

/// What the kernel knows of a connected socket's path (ip(7): `IP_MTU`).
#[cfg(target_os = "linux")]
fn by_path(socket: &UdpSocket, is_ipv6: bool) -> Option<usize> {
    use rustix::net::sockopt::{ip_mtu, ipv6_mtu};
    let (mtu, heads) = if is_ipv6 { (ipv6_mtu(socket), 40 + 8) } else { (ip_mtu(socket), 20 + 8) };
    usize::try_from(mtu.ok()?).ok()?.checked_sub(heads)
}

#[cfg(not(target_os = "linux"))]
fn by_path(_socket: &UdpSocket, _is_ipv6: bool) -> Option<usize> {
    None
}

/// Waits for a datagram and puts up to `room` bytes of it into `bytes`, which are empty; gives its true size, where the system
/// says it, and its sender.
#[cfg(target_os = "linux")]
fn receive(
    socket: &UdpSocket,
    bytes: &mut Vec<u8>,
    room: usize,
) -> Result<(Option<usize>, SocketAddr), TextSocketError> {
    use rustix::net::{RecvFlags, recvfrom};
    debug_assert!(bytes.is_empty() && bytes.capacity() >= room, "the spare capacity is the room");
    loop {
        // recv(2): with MSG_TRUNC it is the datagram's size that is returned, not that of what there was room for.
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
fn receive(
    socket: &UdpSocket,
    bytes: &mut Vec<u8>,
    room: usize,
) -> Result<(Option<usize>, SocketAddr), TextSocketError> {
    bytes.resize(room, 0);
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
