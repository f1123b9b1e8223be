//! A console: an input and an output that were there before the engine, watched by its one poll like any socket.
//!
//! What it reads and writes never waits, see [`sys::NonblockingFile`](crate::net::NonblockingFile). Regular files and `/dev/null` are not polled,
//! because they are always ready (`EPERM` of `epoll_ctl(2)`): the loop is told so once, and remembers it.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::net::NonblockingFile;

/// An operator's input and output.
pub(in crate::reactor) struct Console {
    input: NonblockingFile,
    /// Nothing where both are one terminal.
    output: Option<NonblockingFile>,
    /// Where they are registered.
    registry: Option<Registry>,
}

impl Console {
    pub(super) fn new(input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        let (input, output) = NonblockingFile::pair(input, output)?;
        Ok(Self { input, output, registry: None })
    }

    /// Begins to report readiness under `key`. Whether input is there without a report.
    pub(super) fn register(&mut self, registry: &Registry, key: usize) -> io::Result<bool> {
        // A descriptor that others hold too does not leave the poll when we close ours (epoll(7), questions and answers, 6).
        self.registry = Some(registry.try_clone()?);
        let watch = |ready: &NonblockingFile, interest| match registry.register(
            &mut SourceFd(&ready.as_fd().as_raw_fd()),
            Token(key),
            interest,
        ) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
            other => other.map(|()| true),
        };
        let Some(output) = &self.output else {
            return watch(&self.input, Interest::READABLE | Interest::WRITABLE).map(|watched| !watched);
        };
        watch(output, Interest::WRITABLE)?;
        watch(&self.input, Interest::READABLE).map(|watched| !watched)
    }

    fn output(&self) -> &NonblockingFile {
        self.output.as_ref().unwrap_or(&self.input)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let Some(registry) = &self.registry else { return };
        for ready in [Some(&self.input), self.output.as_ref()].into_iter().flatten() {
            // What was never watched is not found, and that is all.
            let _ = registry.deregister(&mut SourceFd(&ready.as_fd().as_raw_fd()));
        }
    }
}

impl Read for Console {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Write for Console {
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
