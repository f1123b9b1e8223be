//! A check for bytes behind a complete reply. It looks once and does not wait.

use switchboard::client::ClientStream;

/// Returns true if a byte has already arrived behind a complete reply. Consumes that byte.
pub(in crate::cli) fn has_trailing_data(stream: &mut ClientStream) -> bool {
    use std::io::Read;
    is_readable(stream) && matches!(stream.read(&mut [0]), Ok(1))
}

#[cfg(unix)]
fn is_readable(stream: &ClientStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&no_wait)), Ok(1))
}

/// Returns false: without `poll`, the check would block.
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
    fn trailing_data_is_found_without_waiting() {
        let (mut theirs, ours) = UnixStream::pair().unwrap();
        let mut ours = ClientStream::Unix(ours);
        assert!(!has_trailing_data(&mut ours));
        theirs.write_all(b"x").unwrap();
        assert!(has_trailing_data(&mut ours));
        assert!(!has_trailing_data(&mut ours), "the first call consumed the byte");
        drop(theirs);
        assert!(!has_trailing_data(&mut ours), "end of stream is not data");
    }
}
