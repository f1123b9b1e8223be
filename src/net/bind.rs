//! Bound sockets: their options, their address family, and the files of Unix-domain sockets.

use std::io;
use std::net::SocketAddr;
#[cfg(feature = "classic")]
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Size of each kernel buffer of a UDP socket, in bytes. A burst waits in this buffer; a datagram
/// that arrives while it is full is lost.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;

/// Creates a nonblocking socket of the address's own family only. `[::]` does not accept IPv4, so a
/// program can listen on `[::]` and `0.0.0.0` with the same port on every platform.
fn socket_for(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Creates a TCP listener.
pub(crate) fn bind_tcp(addr: SocketAddr, backlog: u32) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    if super::socket_options::ACCEPTED_INHERIT_OPTIONS {
        set_stream_options(&SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Sets `TCP_NODELAY`, so that small replies are sent without delay, and `SO_KEEPALIVE`, which
/// detects a peer whose machine has gone.
pub(crate) fn set_stream_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)
}

/// Returns the unspecified address and port 0 in the family of `peer`: the local address from which
/// it can be reached.
#[cfg(feature = "classic")]
pub(crate) fn unspecified_for(peer: SocketAddr) -> SocketAddr {
    let any = if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    SocketAddr::new(any, 0)
}

/// Creates a bound UDP socket.
pub(crate) fn bind_udp(addr: SocketAddr) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::DGRAM, Protocol::UDP)?;
    // The kernel caps the sizes at its own limits (net.core.rmem_max, wmem_max). Smaller buffers
    // lose datagrams earlier, which is allowed.
    let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    socket.bind(&addr.into())?;
    Ok(socket)
}

/// Creates a Unix-domain stream listener. A socket file that a killed server left behind is
/// replaced.
pub(crate) fn bind_unix(path: &Path, backlog: u32) -> io::Result<Socket> {
    let addr = socket2::SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.bind(&addr) {
        // A killed server leaves its file behind. The file may be replaced if no process listens on
        // it.
        if error.kind() != io::ErrorKind::AddrInUse || !is_abandoned(path, &addr) {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&addr)?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Returns true if the file is a socket without a listener. The connect is nonblocking: a full
/// backlog fails with another error than `ConnectionRefused`, and so counts as a listener.
fn is_abandoned(path: &Path, addr: &socket2::SockAddr) -> bool {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(addr)
    };
    is_socket && connect().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The file of a Unix-domain socket. Dropping this value removes the file, unless another process
/// has replaced it.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode at the time of binding.
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Returns the device and inode number of `path`, which identify a file.
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}
