//! Inherited descriptors (standard input and output) in nonblocking form.
//!
//! `O_NONBLOCK` belongs to the open file description, not to the descriptor (fcntl(2)). On an
//! inherited terminal the flag would apply to the shell and to every other process that uses the
//! terminal, and it would stay after a crash.
//!
//! Terminals and pipes are therefore opened again, which gives this process a description of its
//! own. Sockets and regular files are used as they are, with calls that do not block. Invariant: no
//! flag of an inherited descriptor is ever changed.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, recv, send, sendmsg};
use rustix::termios::{isatty, tcgetsid, ttyname};

use super::socket_options::SEND_NOW;

/// A file, terminal, pipe or socket that is read and written without blocking.
pub(crate) struct NonblockingFile {
    fd: OwnedFd,
    kind: FileType,
}

impl NonblockingFile {
    /// Opens `input` and `output` in nonblocking form. The second value is `None` if both are the
    /// same terminal: the first then serves both directions.
    pub(crate) fn pair(input: OwnedFd, output: OwnedFd) -> io::Result<(Self, Option<Self>)> {
        if are_same_terminal(&input, &output)?
            && let Ok(fd) = reopen(&input, OFlags::RDWR)
        {
            return Ok((Self { fd, kind: FileType::CharacterDevice }, None));
        }
        Ok((Self::new(input, OFlags::RDONLY)?, Some(Self::new(output, OFlags::WRONLY)?)))
    }

    fn new(fd: OwnedFd, access: OFlags) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(fstat(&fd)?.st_mode);
        let fd = match kind {
            FileType::Fifo | FileType::CharacterDevice => match reopen(&fd, access) {
                // The pipe has no reader left (open(2), ENXIO). The inherited descriptor will do: a
                // write fails with EPIPE without blocking.
                Err(Errno::NXIO) if kind == FileType::Fifo => fd,
                other => other?,
            },
            // Files are always ready, and socket calls take a flag that prevents blocking. A file
            // opened again would start at offset 0.
            FileType::Socket | FileType::RegularFile | FileType::Directory | FileType::BlockDevice => fd,
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self { fd, kind })
    }

    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = if self.is_socket() {
            recv(&self.fd, buffer, RecvFlags::DONTWAIT).map(|(bytes, _)| bytes)
        } else {
            rustix::io::read(&self.fd, buffer)
        };
        match read {
            // The terminal has hung up, or this session has lost it (termios(3)): that is the end
            // of the input.
            Err(Errno::IO) if self.kind == FileType::CharacterDevice => Ok(0),
            other => Ok(other?),
        }
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(if self.is_socket() { send(&self.fd, bytes, SEND_NOW)? } else { rustix::io::write(&self.fd, bytes)? })
    }

    pub(crate) fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(if self.is_socket() {
            sendmsg(&self.fd, slices, &mut SendAncillaryBuffer::default(), SEND_NOW)?
        } else {
            rustix::io::writev(&self.fd, slices)?
        })
    }

    /// Returns true for a socket, where each call carries the flag that prevents blocking.
    fn is_socket(&self) -> bool {
        self.kind == FileType::Socket
    }
}

impl AsFd for NonblockingFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn are_same_terminal(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let identity = |stat: Stat| (stat.st_dev, stat.st_ino, stat.st_rdev);
    Ok(isatty(one) && isatty(other) && identity(fstat(one)?) == identity(fstat(other)?))
}

/// Opens the file behind `fd` again, which gives a new open file description, independent of the
/// file's current name.
fn reopen(fd: &OwnedFd, access: OFlags) -> Result<OwnedFd, Errno> {
    // NOCTTY: a process without a controlling terminal must not acquire this one by opening it.
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // On other systems /dev/fd/N duplicates the descriptor and shares the description, which does
    // not help.
    let by_number = if cfg!(target_os = "linux") {
        open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())
    } else {
        Err(Errno::NOTSUP)
    };
    let error = match by_number {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    if !isatty(fd) {
        return Err(error);
    }
    if let Ok(fd) = ttyname(fd, Vec::new()).and_then(|name| open(name, flags, Mode::empty())) {
        return Ok(fd);
    }
    // After su(1) the terminal's device still belongs to the user who logged in, but every process
    // may open its controlling terminal as /dev/tty.
    let controlling = tcgetsid(fd).and_then(|_| open("/dev/tty", flags, Mode::empty()));
    controlling.map_err(|_| error)
}
