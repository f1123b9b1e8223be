//! The decoder of a chunked body: RFC 9112, section 7.1. It returns slices of the input, without a
//! copy.
//!
//! Lines must end in CRLF, except in the trailers, which are read like a head. Two readers that
//! split the same bytes differently allow response splitting, so this decoder is strict.

use super::body_event::{BodyEvent, take_up_to};
use super::header_reader::HeaderReader;
use super::http_error::HttpError;

/// Maximum number of extension bytes in all chunks together. The decoder ignores extensions, and a
/// server could send them without end.
const MAX_EXTENSION_BYTES: usize = 16 << 10;

/// Maximum length of the trailers after the last chunk in bytes. The decoder discards them.
const MAX_TRAILER_BYTES: usize = 16 << 10;

/// Maximum number of hexadecimal digits of a chunk size: 16 for 64 bits, the others are leading
/// zeros.
const MAX_SIZE_DIGITS: usize = 32;

/// Maximum length of an invalid size in an error message, in bytes.
const MAX_EXCERPT_BYTES: usize = 24;

/// The state of the decoder.
#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    state: ChunkState,
    /// Bytes of the body that were returned.
    pub(super) received_bytes: u64,
    /// Bytes of chunk extensions received.
    extension_bytes: usize,
}

/// The next element that the decoder expects.
#[derive(Debug)]
enum ChunkState {
    Size {
        size: u64,
        digits: usize,
    },
    /// White space after the size, which only an extension may follow.
    Padding {
        size: u64,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        remaining: u64,
    },
    DataCr,
    DataLf,
    /// Trailers, up to an empty line. There may be none.
    Trailers(HeaderReader),
    Done,
}

impl ChunkedDecoder {
    pub(super) fn new() -> Self {
        Self { state: ChunkState::Size { size: 0, digits: 0 }, received_bytes: 0, extension_bytes: 0 }
    }

    /// Removes the bytes of the next event from the front of `input`.
    pub(super) fn next_event<'a>(&mut self, input: &mut &'a [u8]) -> Result<BodyEvent<'a>, HttpError> {
        loop {
            match &mut self.state {
                ChunkState::Done => return Ok(BodyEvent::End),
                ChunkState::Trailers(reader) => match reader.take(input, MAX_TRAILER_BYTES) {
                    Ok(None) => return Ok(BodyEvent::NeedMore),
                    Ok(Some(_)) => self.state = ChunkState::Done,
                    Err(_) => return Err(HttpError::TrailersTooLong(MAX_TRAILER_BYTES)),
                },
                ChunkState::Data { remaining: 0 } => self.state = ChunkState::DataCr,
                ChunkState::Data { remaining } => {
                    let data = take_up_to(input, *remaining);
                    if data.is_empty() {
                        return Ok(BodyEvent::NeedMore);
                    }
                    *remaining -= data.len() as u64;
                    self.received_bytes += data.len() as u64;
                    return Ok(BodyEvent::Data(data));
                }
                _ => {
                    let Some((byte, rest)) = input.split_first() else { return Ok(BodyEvent::NeedMore) };
                    let excerpt: &'a [u8] = input;
                    *input = rest;
                    self.handle_byte(*byte, excerpt)?;
                }
            }
        }
    }

    /// Handles one byte of the framing between data. `excerpt` starts with this byte.
    fn handle_byte(&mut self, byte: u8, excerpt: &[u8]) -> Result<(), HttpError> {
        self.state = match (&self.state, byte) {
            (ChunkState::Size { digits: 1.., size } | ChunkState::Extension { size }, b'\r') => {
                ChunkState::SizeLf { size: *size }
            }
            (ChunkState::Size { digits: 1.., size } | ChunkState::Padding { size }, b';') => {
                ChunkState::Extension { size: *size }
            }
            // RFC 9112, section 7.1.1, allows white space before the semicolon of an extension.
            (ChunkState::Size { digits: 1.., size } | ChunkState::Padding { size }, b' ' | b'\t') => {
                let size = *size;
                self.count_extension_byte()?;
                ChunkState::Padding { size }
            }
            (ChunkState::Padding { size }, _) => return Err(bad_size(&format!("{size:x} "), excerpt)),
            (ChunkState::Size { size, digits }, byte) => {
                let digit = char::from(byte).to_digit(16).ok_or_else(|| {
                    let digits = *digits;
                    bad_size(&if digits > 0 { format!("{size:0digits$x}") } else { String::new() }, excerpt)
                })?;
                let sixteenfold = size.checked_mul(16).ok_or(HttpError::ChunkTooLarge)?;
                if *digits == MAX_SIZE_DIGITS {
                    return Err(HttpError::ChunkTooLarge);
                }
                ChunkState::Size { size: sixteenfold | u64::from(digit), digits: digits + 1 }
            }
            (ChunkState::Extension { .. }, b'\n') => return Err(HttpError::BadChunkEnd),
            (ChunkState::Extension { size }, _) => {
                let size = *size;
                self.count_extension_byte()?;
                ChunkState::Extension { size }
            }
            (ChunkState::SizeLf { size: 0 }, b'\n') => ChunkState::Trailers(HeaderReader::default()),
            (ChunkState::SizeLf { size }, b'\n') => ChunkState::Data { remaining: *size },
            (ChunkState::DataCr, b'\r') => ChunkState::DataLf,
            (ChunkState::DataLf, b'\n') => ChunkState::Size { size: 0, digits: 0 },
            _ => return Err(HttpError::BadChunkEnd),
        };
        Ok(())
    }

    fn count_extension_byte(&mut self) -> Result<(), HttpError> {
        self.extension_bytes += 1;
        if self.extension_bytes > MAX_EXTENSION_BYTES {
            return Err(HttpError::ExtensionsTooLong(MAX_EXTENSION_BYTES));
        }
        Ok(())
    }
}

/// Returns the error for an invalid size line: the part parsed so far, and the rest of the line as
/// far as it was received.
fn bad_size(parsed: &str, excerpt: &[u8]) -> HttpError {
    let mut line = parsed.as_bytes().to_vec();
    let rest = excerpt.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    line.extend_from_slice(rest.strip_suffix(b"\r\n").unwrap_or(rest));
    line.truncate(MAX_EXCERPT_BYTES);
    HttpError::BadChunkSize(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input`. Returns the body and true if it ended, or the error; and the number of
    /// bytes left.
    fn read(mut input: &[u8]) -> (Result<(Vec<u8>, bool), HttpError>, usize) {
        let (mut chunked, mut body) = (ChunkedDecoder::new(), Vec::new());
        loop {
            match chunked.next_event(&mut input) {
                Ok(BodyEvent::Data(data)) => body.extend_from_slice(data),
                Ok(BodyEvent::NeedMore) => return (Ok((body, false)), input.len()),
                Ok(BodyEvent::End) => return (Ok((body, true)), input.len()),
                Err(error) => return (Err(error), input.len()),
            }
        }
    }

    #[test]
    fn chunks_are_joined_to_a_body() {
        for (text, body) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            ("00003\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0;z\r\nTrailer: x\r\n\r\n", "abc0123456789"),
            ("3 \t ; x = y\r\n\r\n\r\r\n0;\r\n\r\n", "\r\n\r"),
        ] {
            assert_eq!(read(text.as_bytes()), (Ok((body.into(), true)), 0), "{text}");
        }
        assert_eq!(read(b"1\r\na\r\n0\r\n\r\nrest").1, 4);
        assert_eq!(read(b"3\r\nab"), (Ok((b"ab".to_vec(), false)), 0));
        assert_eq!(read(b"3\r\nabc\r\n0\r\n"), (Ok((b"abc".to_vec(), false)), 0));
    }

    #[test]
    fn each_invalid_chunk_has_its_error() {
        for (text, error) in [
            ("\r\n", HttpError::BadChunkSize(b"".to_vec())),
            ("x\r\n", HttpError::BadChunkSize(b"x".to_vec())),
            ("-1\r\n", HttpError::BadChunkSize(b"-1".to_vec())),
            ("+5\r\n", HttpError::BadChunkSize(b"+5".to_vec())),
            (" 5\r\n", HttpError::BadChunkSize(b" 5".to_vec())),
            ("5 \r\nhello\r\n", HttpError::BadChunkSize(b"5 ".to_vec())),
            ("5 5\r\n", HttpError::BadChunkSize(b"5 5".to_vec())),
            ("5_0\r\n", HttpError::BadChunkSize(b"5_0".to_vec())),
            ("5\t\0\r\n", HttpError::BadChunkSize(b"5 \0".to_vec())),
            ("\u{665}\r\n", HttpError::BadChunkSize("\u{665}".into())),
            (";x\r\n", HttpError::BadChunkSize(b";x".to_vec())),
            ("0x3\r\nabc\r\n", HttpError::BadChunkSize(b"0x3".to_vec())),
            ("03\nabc\r\n", HttpError::BadChunkSize(b"03\n".to_vec())),
            ("3;x\nabc\r\n", HttpError::BadChunkEnd),
            ("3\r\nabcd\r\n", HttpError::BadChunkEnd),
            ("3\r\nabc\n0\r\n\r\n", HttpError::BadChunkEnd),
            ("3\r\nabc\r0\r\n\r\n", HttpError::BadChunkEnd),
            ("3\rabc\r\n", HttpError::BadChunkEnd),
            ("ffffffffffffffff1\r\n", HttpError::ChunkTooLarge),
            ("10000000000000000\r\n", HttpError::ChunkTooLarge),
            ("000000000000000000000000000000001\r\n", HttpError::ChunkTooLarge),
        ] {
            assert_eq!(read(text.as_bytes()).0, Err(error), "{text}");
        }
    }

    #[test]
    fn chunk_size_may_be_u64_max() {
        assert_eq!(read(b"ffffffffffffffff\r\nabc").0, Ok((b"abc".to_vec(), false)));
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extended = |bytes: usize| [b"1;", "x".repeat(bytes).as_bytes(), b"\r\na\r\n"].concat();
        let half = extended(MAX_EXTENSION_BYTES / 2);
        assert!(read(&[&half[..], &half].concat()).0.is_ok());
        let too_many = [&half[..], &half, b"1;x"].concat();
        assert_eq!(read(&too_many).0, Err(HttpError::ExtensionsTooLong(MAX_EXTENSION_BYTES)));
        let endless = [b"0\r\n", "a: b\r\n".repeat(MAX_TRAILER_BYTES).as_bytes()].concat();
        assert_eq!(read(&endless).0, Err(HttpError::TrailersTooLong(MAX_TRAILER_BYTES)));
    }
}
