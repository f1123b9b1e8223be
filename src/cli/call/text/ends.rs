//! What can be said to a stream besides bytes, and what its errors mean.

use std::io::{self, ErrorKind};
use std::net::Shutdown;

use switchboard::client::Stream;

pub(super) fn set_nonblocking(stream: &Stream, nonblocking: bool) -> io::Result<()> {
    match stream {
        Stream::Tcp(stream) => stream.set_nonblocking(nonblocking),
        #[cfg(unix)]
        Stream::Unix(stream) => stream.set_nonblocking(nonblocking),
    }
}

/// Nothing more is written, and the server is told so.
pub(super) fn end(stream: &Stream) -> io::Result<()> {
    match stream {
        Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
        #[cfg(unix)]
        Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
    }
}

/// Whether the server has gone, in good order or not.
pub(super) fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe)
}

pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
