//! Sockets as they are wanted, bound: options, families, and the files of Unix-domain sockets.

use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Kernel buffers of a UDP socket, in bytes: a burst must wait somewhere, and a datagram that finds no room is lost.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;

/// A socket of the address's own family only: `[::]` does not take IPv4 too, so that both may be listened on, everywhere alike.
fn socket_for(addr: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

pub(crate) fn bind_tcp(addr: SocketAddr, backlog: u32) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::STREAM, Protocol::TCP)?;
    // On Windows the option means something else: that others may take the port over.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if super::socket_options::ACCEPTED_INHERIT_OPTIONS {
        set_stream_options(&SockRef::from(&socket))?;
    }
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Small answers leave at once, and a peer whose machine has vanished is found out.
pub(crate) fn set_stream_options(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_keepalive(true)
}

pub(crate) fn bind_udp(addr: SocketAddr) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::DGRAM, Protocol::UDP)?;
    // The system grants what its own limits allow (net.core.rmem_max); less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(DATAGRAM_BUFFER_BYTES);
    socket.bind(&addr.into())?;
    Ok(socket)
}

#[cfg(unix)]
pub(crate) fn bind_unix(path: &Path, backlog: u32) -> io::Result<Socket> {
    let addr = socket2::SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if let Err(error) = socket.bind(&addr) {
        // A server that was killed leaves its file behind. If nobody answers there, it is ours to replace.
        if error.kind() != io::ErrorKind::AddrInUse || !is_abandoned(path, &addr) {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&addr)?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Whether the file is a socket that nobody listens on. Does not wait for an answer: a full backlog is an answer, too.
#[cfg(unix)]
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

/// The file of a Unix-domain socket. It goes when its listener does, unless it has become another's.
#[cfg(unix)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

#[cfg(unix)]
impl SocketFile {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), identity: identity(path) }
    }
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Device and inode: what makes a file the same file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}
