//! A check for bytes behind a complete reply. It looks once and does not wait.

use std::io::Read;

use switchboard::client::ClientStream;

/// Returns true if a byte has already arrived behind a complete reply. Consumes that byte, and
/// leaves the stream nonblocking.
pub(in crate::cli) fn has_trailing_data(stream: &mut ClientStream) -> bool {
    stream.set_nonblocking(true).is_ok() && matches!(stream.read(&mut [0]), Ok(1))
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
