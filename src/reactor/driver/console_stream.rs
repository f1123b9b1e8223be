//! A console as a stream: an input and an output that existed before the engine.
//!
//! Reads and writes never block, see [`NonblockingFile`]. `epoll_ctl(2)` refuses regular files and
//! `/dev/null` with `EPERM`, because they are always ready. [`register`](ConsoleStream::register)
//! returns true for such an input, and the driver then reports it as readable once.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::net::NonblockingFile;

/// An operator's input and output.
pub(crate) struct ConsoleStream {
    input: NonblockingFile,
    /// The output; `None` if input and output are one terminal.
    output: Option<NonblockingFile>,
    /// The registry that watches them.
    registry: Option<Registry>,
}

impl ConsoleStream {
    pub(super) fn new(input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        let (input, output) = NonblockingFile::pair(input, output)?;
        Ok(Self { input, output, registry: None })
    }

    /// Registers both descriptors under `key`. Returns true if the input is always ready and no
    /// poll will report it.
    pub(super) fn register(&mut self, registry: &Registry, key: usize) -> io::Result<bool> {
        // A descriptor that other processes share stays in the poll after we close ours (epoll(7),
        // question 6), so dropping this stream deregisters it.
        self.registry = Some(registry.try_clone()?);
        let is_always_ready = |file: &NonblockingFile, interest| match watch(registry, file, key, interest) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(true),
            other => other.map(|()| false),
        };
        let Some(output) = &self.output else {
            return is_always_ready(&self.input, Interest::READABLE | Interest::WRITABLE);
        };
        is_always_ready(output, Interest::WRITABLE)?;
        is_always_ready(&self.input, Interest::READABLE)
    }

    fn output(&self) -> &NonblockingFile {
        self.output.as_ref().unwrap_or(&self.input)
    }
}

/// Registers a descriptor under `key`, edge-triggered.
pub(super) fn watch(registry: &Registry, file: &impl AsFd, key: usize, interest: Interest) -> io::Result<()> {
    registry.register(&mut SourceFd(&file.as_fd().as_raw_fd()), Token(key), interest)
}

impl Drop for ConsoleStream {
    fn drop(&mut self) {
        let Some(registry) = &self.registry else { return };
        for file in [Some(&self.input), self.output.as_ref()].into_iter().flatten() {
            // A file that was never watched gives an error (ENOENT), which has no consequence.
            let _ = registry.deregister(&mut SourceFd(&file.as_fd().as_raw_fd()));
        }
    }
}

impl Read for ConsoleStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for ConsoleStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output().write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.output().write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
