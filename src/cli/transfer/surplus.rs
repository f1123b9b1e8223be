//! What lies in a stream although nobody expects more of it. It is looked at and not waited for.

use switchboard::client::Stream;

/// Whether a byte more has come behind an answer that is whole. Takes it.
pub(in crate::cli) fn has_surplus(stream: &mut Stream) -> bool {
    use std::io::Read;
    is_readable(stream) && matches!(stream.read(&mut [0]), Ok(1))
}

#[cfg(unix)]
fn is_readable(stream: &Stream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(&descriptor(stream), PollFlags::IN)], Some(&at_once)), Ok(1))
}

/// Elsewhere a look would have to wait.
#[cfg(not(unix))]
fn is_readable(_stream: &Stream) -> bool {
    false
}

/// What a wait can be for.
#[cfg(unix)]
pub(in crate::cli) fn descriptor(stream: &Stream) -> std::os::fd::BorrowedFd<'_> {
    use std::os::fd::AsFd;
    match stream {
        Stream::Tcp(stream) => stream.as_fd(),
        Stream::Unix(stream) => stream.as_fd(),
    }
}

/// What a wait can be for.
#[cfg(not(unix))]
pub(in crate::cli) fn descriptor(stream: &Stream) -> &Stream {
    stream
}
