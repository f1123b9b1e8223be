//! What lies in a stream although nobody expects more of it. It is looked at and not waited for.

use switchboard::client::ClientStream;

/// Whether a byte more has come behind an answer that is whole. Takes it.
pub(in crate::cli) fn has_surplus(stream: &mut ClientStream) -> bool {
    use std::io::Read;
    is_readable(stream) && matches!(stream.read(&mut [0]), Ok(1))
}

#[cfg(unix)]
fn is_readable(stream: &ClientStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&at_once)), Ok(1))
}

/// Elsewhere a look would have to wait.
#[cfg(not(unix))]
fn is_readable(_stream: &ClientStream) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_lies_there_is_seen_and_what_does_not_is_not_waited_for() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let mut ours = ClientStream::Unix(ours);
        assert!(!has_surplus(&mut ours));
        theirs.write_all(b"x").unwrap();
        assert!(has_surplus(&mut ours));
        assert!(!has_surplus(&mut ours), "it was taken");
        drop(theirs);
        assert!(!has_surplus(&mut ours), "an end is no byte");
    }
}
