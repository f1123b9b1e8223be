//! Lines that are gathered until an empty one: a head, or the trailers behind a chunked body.
//!
//! No byte is looked at twice, and what is gathered is bounded by what may come, whatever was promised.

use memchr::memchr;

/// Lines so far.
#[derive(Debug, Default)]
pub(super) struct Lines {
    gathered: Vec<u8>,
    /// Where the line that has not ended yet begins.
    line: usize,
}

/// More came than may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// Takes bytes from the front of `input`, up to the empty line at most. Then all that was gathered is returned, with that line.
    pub(super) fn take(&mut self, input: &mut &[u8], max_bytes: usize) -> Result<Option<Vec<u8>>, TooLong> {
        while !input.is_empty() {
            // RFC 9112, section 2.2: a line may be taken to end with a line feed alone.
            let (taken, ends) = memchr(b'\n', input).map_or((input.len(), false), |at| (at + 1, true));
            let room = max_bytes - self.gathered.len();
            let (bytes, rest) = input.split_at(taken.min(room));
            self.gathered.extend_from_slice(bytes);
            *input = rest;
            if taken > room {
                return Err(TooLong);
            }
            if ends {
                let is_empty = matches!(self.gathered.get(self.line..), Some(b"\n" | b"\r\n"));
                self.line = self.gathered.len();
                if is_empty {
                    self.line = 0;
                    return Ok(Some(std::mem::take(&mut self.gathered)));
                }
            }
        }
        Ok(None)
    }

    /// What has come of lines that have not ended.
    pub(super) fn gathered(&self) -> &[u8] {
        &self.gathered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_with_an_empty_one_however_they_are_cut() {
        let text = b"a: b\r\n\rc\n\r\nrest";
        for at in 0..=text.len() {
            let (mut lines, mut all) = (Lines::default(), None);
            let (mut first, mut second) = text.split_at(at);
            for part in [&mut first, &mut second] {
                if all.is_none() {
                    all = lines.take(part, 100).unwrap();
                }
            }
            assert_eq!(all.as_deref(), Some(&b"a: b\r\n\rc\n\r\n"[..]), "{at}");
            assert_eq!([first, second].concat(), b"rest", "{at}");
        }
    }

    #[test]
    fn no_more_is_gathered_than_may_come() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(&mut &b"1234\n"[..], 7), Ok(None));
        assert_eq!(lines.take(&mut &b"\r\n"[..], 7), Ok(Some(b"1234\n\r\n".to_vec())));
        assert_eq!(lines.take(&mut &b"12345678"[..], 7), Err(TooLong));
        assert_eq!(lines.gathered(), b"1234567");
    }
}
