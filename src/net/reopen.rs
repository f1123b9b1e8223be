//! Descriptors that others share, in a form that never waits.
//!
//! `O_NONBLOCK` belongs to the open file description, not to the descriptor (fcntl(2)). Set on a terminal that was inherited it
//! is set for the shell and for everybody else who writes there, and stays so after a crash. So what can be opened again is,
//! for a description of one's own; what cannot is used as it is, in a way that does not wait. No flag of a descriptor that came
//! from outside is ever changed.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, recv, send, sendmsg};
use rustix::termios::{isatty, tcgetsid, ttyname};

use super::SEND_NOW;

/// Something that is read or written without waiting.
pub(crate) struct NonblockingFile {
    fd: OwnedFd,
    kind: FileType,
}

impl NonblockingFile {
    /// What `input` and `output` lead to; nothing for the output where both are one terminal.
    pub(crate) fn pair(input: OwnedFd, output: OwnedFd) -> io::Result<(Self, Option<Self>)> {
        if is_one_terminal(&input, &output)?
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
                // Nobody reads the pipe any more: to write there is to be told so at once.
                Err(Errno::NXIO) if kind == FileType::Fifo => fd,
                other => other?,
            },
            // What is left of these is either always ready or never waits if told so. Opened again, a file would begin anew.
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
            // The terminal has hung up, or our session has lost it (termios(3)): nobody will type there any more.
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

    /// Each call has to say that it does not wait.
    fn is_socket(&self) -> bool {
        self.kind == FileType::Socket
    }
}

impl AsFd for NonblockingFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn is_one_terminal(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
    let what = |stat: Stat| (stat.st_dev, stat.st_ino, stat.st_rdev);
    Ok(isatty(one) && isatty(other) && what(fstat(one)?) == what(fstat(other)?))
}

/// Opens once more what `fd` has open, whatever its name is now.
fn reopen(fd: &OwnedFd, access: OFlags) -> Result<OwnedFd, Errno> {
    // A process without a terminal must not get this one for its own by opening it.
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    // Elsewhere such a path gives another descriptor of the same description, which is of no use.
    let by_number = if cfg!(target_os = "linux") {
        open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())
    } else {
        Err(Errno::NOTSUP)
    };
    let error = match by_number {
        Ok(own) => return Ok(own),
        Err(error) => error,
    };
    if !isatty(fd) {
        return Err(error);
    }
    if let Ok(own) = ttyname(fd, Vec::new()).and_then(|name| open(name, flags, Mode::empty())) {
        return Ok(own);
    }
    // After su(1) a terminal still belongs to whoever logged in, but this name for it is everybody's.
    let everybodys = tcgetsid(fd).and_then(|_| open("/dev/tty", flags, Mode::empty()));
    everybodys.map_err(|_| error)
}
