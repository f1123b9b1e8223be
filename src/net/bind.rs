//! Bound sockets: their options, their address family, and the files of Unix-domain sockets.

use std::io;
use std::net::SocketAddr;
#[cfg(feature = "classic")]
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Size of each kernel buffer of a UDP socket, in bytes. A burst waits in this buffer; a datagram
/// that arrives while it is full is lost.
const DATAGRAM_BUFFER_BYTES: usize = 4 << 20;

/// The longest wait for the lock of a socket file's directory. Servers hold it for microseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause between two attempts.
const LOCK_RETRY: Duration = Duration::from_millis(1);

/// The shortest time between two questions of the keepalive; the system's unit is seconds.
const MIN_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

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
pub(crate) fn bind_tcp(addr: SocketAddr, backlog: u32, keepalive: Duration) -> io::Result<Socket> {
    let socket = socket_for(addr, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    if super::socket_options::ACCEPTED_INHERIT_OPTIONS {
        set_stream_options(&SockRef::from(&socket), keepalive)?;
    }
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

/// Sets `TCP_NODELAY`, so that small replies are sent without delay, and `SO_KEEPALIVE`, which
/// detects a peer whose machine has gone: after a silence of `keepalive`, the system asks it, and
/// again every tenth of that time. Zero: it is not asked.
pub(crate) fn set_stream_options(socket: &SockRef<'_>, keepalive: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if keepalive.is_zero() {
        return Ok(());
    }
    let interval = (keepalive / 10).max(MIN_KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(keepalive).with_interval(interval))
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

/// Creates a Unix-domain stream listener, with its file. A socket file that a killed server left
/// behind is replaced.
///
/// Two servers that start at the same time must not both replace the file, and neither must replace
/// the file of the other between its bind(2) and its listen(2), when it looks abandoned. So all of
/// this happens under the lock of the directory.
pub(crate) fn bind_unix(path: &Path, backlog: u32) -> io::Result<(SocketFile, Socket)> {
    let addr = socket2::SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    let _lock = DirectoryLock::acquire(path)?;
    if let Err(error) = socket.bind(&addr) {
        if error.kind() != io::ErrorKind::AddrInUse || !is_abandoned(path, &addr) {
            return Err(error);
        }
        std::fs::remove_file(path)?;
        socket.bind(&addr)?;
    }
    if let Err(error) = socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX)) {
        let _ = std::fs::remove_file(path);
        return Err(error);
    }
    Ok((SocketFile { path: path.to_owned(), identity: identity(path) }, socket))
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

/// The exclusive lock of a socket file's directory, see flock(2). It leaves nothing behind, unlike
/// a lock file, and ends with the process. It is held for a few system calls.
struct DirectoryLock {
    _directory: Option<OwnedFd>,
}

impl DirectoryLock {
    /// Waits for the lock of the directory of `path`, at most [`LOCK_TIMEOUT`].
    ///
    /// Without permission to read the directory, and on a file system without such locks, there is
    /// no protection against a second server that starts at the same time.
    ///
    /// # Errors
    /// `ResourceBusy` if another process keeps the directory locked.
    fn acquire(path: &Path) -> io::Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // `O_DIRECTORY`: opening a FIFO would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(directory) = open(parent, flags, Mode::empty()) else { return Ok(Self { _directory: None }) };
        let started = Instant::now();
        loop {
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _directory: Some(directory) }),
                // A blocking flock(2) has no time limit.
                Err(Errno::WOULDBLOCK) if started.elapsed() < LOCK_TIMEOUT => std::thread::sleep(LOCK_RETRY),
                Err(Errno::WOULDBLOCK) => {
                    let text = format!("another process has locked the directory {}", parent.display());
                    return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
                }
                Err(Errno::INTR) => {}
                Err(_) => return Ok(Self { _directory: None }),
            }
        }
    }
}

/// The file of a Unix-domain socket. Dropping this value removes the file, unless another process
/// has replaced it.
///
/// Drop it before the listening socket is closed. From the close on, the file looks abandoned, and
/// another server may replace it by a file with the same inode number.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode at the time of binding.
    identity: Option<(u64, u64)>,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Without the lock, the file could be replaced between the check and the removal.
        let _lock = DirectoryLock::acquire(&self.path);
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    /// Each attempt to bind at a path in use takes a place in the backlog.
    const BACKLOG: u32 = 1024;

    /// A directory for one test, removed at its end.
    struct TestDirectory(PathBuf);

    impl TestDirectory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("switchboard-bind-{name}-{}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn socket(&self) -> PathBuf {
            self.0.join("socket")
        }
    }

    impl Drop for TestDirectory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// Calls `bind_unix` on several threads at the same time.
    fn bind_together(path: &Path) -> Vec<io::Result<(SocketFile, Socket)>> {
        const SERVERS: usize = 4;
        let barrier = Barrier::new(SERVERS);
        let bind = || {
            barrier.wait();
            bind_unix(path, BACKLOG)
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..SERVERS).map(|_| scope.spawn(bind)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn one_of_several_servers_replaces_an_abandoned_file() {
        let directory = TestDirectory::new("replace");
        let path = directory.socket();
        for round in 0..200 {
            drop(UnixListener::bind(&path).unwrap());
            let (bound, failed): (Vec<_>, Vec<_>) = bind_together(&path).into_iter().partition(Result::is_ok);
            assert_eq!(bound.len(), 1, "round {round}");
            for error in failed.into_iter().filter_map(Result::err) {
                assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
            }
            assert!(UnixStream::connect(&path).is_ok(), "round {round}");
            drop(bound);
            assert_eq!(std::fs::read_dir(&directory.0).unwrap().count(), 0, "nothing stays");
        }
    }

    #[test]
    fn end_of_a_server_keeps_the_file_of_its_successor() {
        let directory = TestDirectory::new("successor");
        let path = directory.socket();
        for round in 0..200 {
            let first = bind_unix(&path, BACKLOG).unwrap();
            let second = thread::scope(|scope| {
                let end = scope.spawn(|| drop(first));
                // The successor binds as soon as it can.
                let second = loop {
                    if let Ok(second) = bind_unix(&path, BACKLOG) {
                        break second;
                    }
                };
                end.join().unwrap();
                second
            });
            assert!(UnixStream::connect(&path).is_ok(), "round {round}");
            drop(second);
        }
    }

    #[test]
    fn locked_directory_is_an_error() {
        let directory = TestDirectory::new("locked");
        let path = directory.socket();
        let lock = DirectoryLock::acquire(&path).unwrap();
        let error = bind_unix(&path, BACKLOG).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        drop(lock);
        assert!(bind_unix(&path, BACKLOG).is_ok());
    }
}
