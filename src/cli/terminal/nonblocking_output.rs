//! Nonblocking writes to an output that other processes share.
//!
//! `O_NONBLOCK` belongs to the open file description, not to the descriptor (fcntl(2)). Setting it
//! on standard error would change it for the shell, and for every other program that writes to the
//! same terminal or pipe. So it is opened again.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::net::SendFlags;

use super::line_writer::LineSink;

/// Bytes of a write that poll(2) promises not to block: POSIX's minimum of `PIPE_BUF`.
const POLLED_BYTES: usize = 512;

/// An output and the way to write to it without blocking.
pub(super) struct NonblockingOutput {
    /// A duplicate of the given descriptor, for writes that may block.
    output: Option<File>,
    access: Access,
}

enum Access {
    /// Another description of the same pipe or terminal, with `O_NONBLOCK`.
    Reopened(OwnedFd),
    Socket,
    /// Ask poll(2) before each write. Another writer may fill the pipe between the two.
    Polled,
    /// A regular file. It waits for its disk, and no flag changes that.
    File,
}

impl NonblockingOutput {
    pub(super) fn new(output: BorrowedFd<'_>) -> Self {
        let access = match fstat(output).map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            Ok(FileType::Socket) => Access::Socket,
            Ok(FileType::RegularFile) => Access::File,
            Ok(FileType::Fifo | FileType::CharacterDevice) => reopen(output).map_or(Access::Polled, Access::Reopened),
            _ => Access::Polled,
        };
        Self { output: output.try_clone_to_owned().ok().map(File::from), access }
    }

    fn output(&self) -> io::Result<&File> {
        self.output.as_ref().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl LineSink for NonblockingOutput {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let output = self.output()?;
        match &self.access {
            Access::Reopened(nonblocking) => Ok(rustix::io::write(nonblocking, bytes)?),
            Access::Socket => Ok(rustix::net::send(output, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?),
            Access::File => (&*output).write(bytes),
            Access::Polled => {
                if !wait_writable(output, Some(&Timespec::default()))? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                (&*output).write(bytes.get(..POLLED_BYTES).unwrap_or(bytes))
            }
        }
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let mut output = self.output()?;
        while !bytes.is_empty() {
            match output.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process has set `O_NONBLOCK` on the shared description.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => _ = wait_writable(output, None)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Opens a pipe or terminal again, nonblocking. Needs the permission to open it; without `/proc`
/// there is no such way, because `/dev/fd` duplicates the descriptor.
#[cfg(target_os = "linux")]
fn reopen(output: BorrowedFd<'_>) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags, open};
    use std::os::fd::AsRawFd;

    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    open(format!("/proc/self/fd/{}", output.as_raw_fd()), flags, Mode::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn reopen(_output: BorrowedFd<'_>) -> Option<OwnedFd> {
    None
}

/// Waits until a write of [`POLLED_BYTES`] does not block. Returns false if `timeout` has passed.
fn wait_writable(output: impl AsFd, timeout: Option<&Timespec>) -> io::Result<bool> {
    match poll(&mut [PollFd::new(&output, PollFlags::OUT)], timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes until nothing more is taken; returns the number of bytes.
    fn fill(output: &NonblockingOutput) -> usize {
        let mut filled = 0;
        loop {
            match output.try_write(&[b'x'; 300]) {
                Ok(sent) => filled += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return filled,
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[test]
    fn a_full_pipe_does_not_block_and_its_flags_stay() {
        let (_reader, writer) = io::pipe().unwrap();
        for is_polled in [false, true] {
            let mut output = NonblockingOutput::new(writer.as_fd());
            if is_polled {
                output.access = Access::Polled;
            }
            assert!(is_polled || fill(&output) > POLLED_BYTES);
            assert_eq!(fill(&output), 0);
            let flags = rustix::fs::fcntl_getfl(&writer).unwrap();
            assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
        }
    }

    #[test]
    fn a_full_socket_does_not_block() {
        let (_reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
        let output = NonblockingOutput::new(writer.as_fd());
        assert!(fill(&output) > POLLED_BYTES);
        assert_eq!(fill(&output), 0);
    }

    #[test]
    fn a_closed_pipe_is_an_error() {
        let (reader, writer) = io::pipe().unwrap();
        let output = NonblockingOutput::new(writer.as_fd());
        drop(reader);
        assert_eq!(output.try_write(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(output.write_all(b"x").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_file_is_written_as_it_is() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output = NonblockingOutput::new(file.as_file().as_fd());
        assert!(matches!(output.access, Access::File));
        assert_eq!(output.try_write(b"one").unwrap(), 3);
        output.write_all(b"two").unwrap();
        assert_eq!(std::fs::read(file.path()).unwrap(), b"onetwo");
    }
}
