//! A reader of lines up to an empty one: a response head, or the trailers after a chunked body.
//!
//! It examines each byte once, and its buffer never exceeds the given maximum.

use memchr::memchr;

/// The lines received so far.
#[derive(Debug, Default)]
pub(super) struct HeaderReader {
    buffer: Vec<u8>,
    /// Offset in the buffer of the current, unfinished line.
    line_start: usize,
}

/// Error: the lines exceed the maximum length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeadersTooLong;

impl HeaderReader {
    /// Removes bytes from the front of `input`, at most up to the empty line. Returns all lines,
    /// with the empty one, once it is complete.
    pub(super) fn take(&mut self, input: &mut &[u8], max_bytes: usize) -> Result<Option<Vec<u8>>, HeadersTooLong> {
        while !input.is_empty() {
            // RFC 9112, section 2.2: a recipient may accept a single LF as the end of a line.
            let (taken, ends) = memchr(b'\n', input).map_or((input.len(), false), |at| (at + 1, true));
            let remaining = max_bytes - self.buffer.len();
            let (bytes, rest) = input.split_at(taken.min(remaining));
            self.buffer.extend_from_slice(bytes);
            *input = rest;
            if taken > remaining {
                return Err(HeadersTooLong);
            }
            if ends {
                let is_empty = matches!(self.buffer.get(self.line_start..), Some(b"\n" | b"\r\n"));
                self.line_start = self.buffer.len();
                if is_empty {
                    self.line_start = 0;
                    return Ok(Some(std::mem::take(&mut self.buffer)));
                }
            }
        }
        Ok(None)
    }

    /// Returns the bytes received so far.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_an_empty_line_at_every_split() {
        let text = b"a: b\r\n\rc\n\r\nrest";
        for at in 0..=text.len() {
            let (mut reader, mut block) = (HeaderReader::default(), None);
            let (mut first, mut second) = text.split_at(at);
            for part in [&mut first, &mut second] {
                if block.is_none() {
                    block = reader.take(part, 100).unwrap();
                }
            }
            assert_eq!(block.as_deref(), Some(&b"a: b\r\n\rc\n\r\n"[..]), "{at}");
            assert_eq!([first, second].concat(), b"rest", "{at}");
        }
    }

    #[test]
    fn reader_buffers_no_more_than_the_maximum() {
        let mut reader = HeaderReader::default();
        assert_eq!(reader.take(&mut &b"1234\n"[..], 7), Ok(None));
        assert_eq!(reader.take(&mut &b"\r\n"[..], 7), Ok(Some(b"1234\n\r\n".to_vec())));
        assert_eq!(reader.take(&mut &b"12345678"[..], 7), Err(HeadersTooLong));
        assert_eq!(reader.buffer(), b"1234567");
    }
}
