//! A chunked body: RFC 9112, section 7.1. Bytes in, pieces of the body out, without a copy.
//!
//! Line ends are CRLF here and nothing else, but in the trailer, which is read as a head is: what two readers take apart differently is how answers are forged.

use super::body_decoder::Piece;
use super::header_reader::Lines;
use super::http_error::Fault;

/// Of all chunks together. Nobody has a use for them, and a server could send nothing else for ever.
const MAX_EXTENSION_BYTES: usize = 16 << 10;

/// Of the trailers behind the last chunk, which are read and dropped.
const MAX_TRAILER_BYTES: usize = 16 << 10;

/// Digits of a size: as many as 64 bits have, and a few zeros before them.
const MAX_DIGITS: usize = 32;

/// How much of a wrong size is shown.
const SHOWN_BYTES: usize = 24;

/// Where in the body we are.
#[derive(Debug)]
pub(super) struct Chunked {
    stage: Stage,
    /// Bytes of the body that came.
    pub(super) received: u64,
    /// Bytes of extensions that came.
    extensions: usize,
}

#[derive(Debug)]
enum Stage {
    Size {
        size: u64,
        digits: usize,
    },
    Extension {
        size: u64,
    },
    SizeLineFeed {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataReturn,
    DataLineFeed,
    /// The empty line ends them; there may be nothing else.
    Trailers(Lines),
    Over,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Size { size: 0, digits: 0 }, received: 0, extensions: 0 }
    }

    /// Takes bytes from the front of `input`.
    pub(super) fn next_piece<'a>(&mut self, input: &mut &'a [u8]) -> Result<Piece<'a>, Fault> {
        loop {
            match &mut self.stage {
                Stage::Over => return Ok(Piece::End),
                Stage::Trailers(lines) => match lines.take(input, MAX_TRAILER_BYTES) {
                    Ok(None) => return Ok(Piece::None),
                    Ok(Some(_)) => self.stage = Stage::Over,
                    Err(_) => return Err(Fault::TrailersTooLong(MAX_TRAILER_BYTES)),
                },
                Stage::Data { left: 0 } => self.stage = Stage::DataReturn,
                Stage::Data { left } => {
                    let data = super::body_decoder::take_up_to(input, *left);
                    if data.is_empty() {
                        return Ok(Piece::None);
                    }
                    *left -= data.len() as u64;
                    self.received += data.len() as u64;
                    return Ok(Piece::Data(data));
                }
                _ => {
                    let Some((byte, rest)) = input.split_first() else { return Ok(Piece::None) };
                    let seen: &'a [u8] = input;
                    *input = rest;
                    self.handle_byte(*byte, seen)?;
                }
            }
        }
    }

    /// One byte of what is between data. `seen` begins with it.
    fn handle_byte(&mut self, byte: u8, seen: &[u8]) -> Result<(), Fault> {
        self.stage = match (&self.stage, byte) {
            (Stage::Size { digits: 1.., size } | Stage::Extension { size }, b'\r') => {
                Stage::SizeLineFeed { size: *size }
            }
            // "bad whitespace" is allowed before a semicolon, and some senders pad with it.
            (Stage::Size { digits: 1.., size }, b';' | b' ' | b'\t') => Stage::Extension { size: *size },
            (Stage::Size { size, digits }, byte) => {
                let digit = char::from(byte).to_digit(16).ok_or_else(|| bad_size(*size, *digits, seen))?;
                let sixteenfold = size.checked_mul(16).ok_or(Fault::ChunkTooLarge)?;
                if *digits == MAX_DIGITS {
                    return Err(Fault::ChunkTooLarge);
                }
                Stage::Size { size: sixteenfold | u64::from(digit), digits: digits + 1 }
            }
            (Stage::Extension { .. }, b'\n') => return Err(Fault::BadChunkEnd),
            (Stage::Extension { size }, _) => {
                self.extensions += 1;
                if self.extensions > MAX_EXTENSION_BYTES {
                    return Err(Fault::ExtensionsTooLong(MAX_EXTENSION_BYTES));
                }
                Stage::Extension { size: *size }
            }
            (Stage::SizeLineFeed { size: 0 }, b'\n') => Stage::Trailers(Lines::default()),
            (Stage::SizeLineFeed { size }, b'\n') => Stage::Data { left: *size },
            (Stage::DataReturn, b'\r') => Stage::DataLineFeed,
            (Stage::DataLineFeed, b'\n') => Stage::Size { size: 0, digits: 0 },
            _ => return Err(Fault::BadChunkEnd),
        };
        Ok(())
    }
}

/// The line that is none: the digits that were, and what follows them as far as it is there.
fn bad_size(size: u64, digits: usize, seen: &[u8]) -> Fault {
    let mut line = if digits > 0 { format!("{size:0digits$x}").into_bytes() } else { Vec::new() };
    let rest = seen.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    line.extend_from_slice(rest.strip_suffix(b"\r\n").unwrap_or(rest));
    line.truncate(SHOWN_BYTES);
    Fault::BadChunkSize(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body and whether it ended, or what was wrong; and what was left.
    fn read(mut input: &[u8]) -> (Result<(Vec<u8>, bool), Fault>, usize) {
        let (mut chunked, mut body) = (Chunked::new(), Vec::new());
        loop {
            match chunked.next_piece(&mut input) {
                Ok(Piece::Data(data)) => body.extend_from_slice(data),
                Ok(Piece::None) => return (Ok((body, false)), input.len()),
                Ok(Piece::End) => return (Ok((body, true)), input.len()),
                Err(fault) => return (Err(fault), input.len()),
            }
        }
    }

    #[test]
    fn chunks_make_a_body() {
        for (text, body) in [
            ("0\r\n\r\n", ""),
            ("3\r\nabc\r\n0\r\n\r\n", "abc"),
            ("00003\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0;z\r\nTrailer: x\r\n\r\n", "abc0123456789"),
            ("3  \r\n\r\n\r\r\n0\r\n\r\n", "\r\n\r"),
        ] {
            assert_eq!(read(text.as_bytes()), (Ok((body.into(), true)), 0), "{text}");
        }
        assert_eq!(read(b"1\r\na\r\n0\r\n\r\nrest").1, 4);
        assert_eq!(read(b"3\r\nab"), (Ok((b"ab".to_vec(), false)), 0));
        assert_eq!(read(b"3\r\nabc\r\n0\r\n"), (Ok((b"abc".to_vec(), false)), 0));
    }

    #[test]
    fn what_is_wrong_with_chunks_is_said() {
        for (text, fault) in [
            ("\r\n", Fault::BadChunkSize(b"".to_vec())),
            ("x\r\n", Fault::BadChunkSize(b"x".to_vec())),
            ("-1\r\n", Fault::BadChunkSize(b"-1".to_vec())),
            (";x\r\n", Fault::BadChunkSize(b";x".to_vec())),
            ("0x3\r\nabc\r\n", Fault::BadChunkSize(b"0x3".to_vec())),
            ("03\nabc\r\n", Fault::BadChunkSize(b"03\n".to_vec())),
            ("3;x\nabc\r\n", Fault::BadChunkEnd),
            ("3\r\nabcd\r\n", Fault::BadChunkEnd),
            ("3\r\nabc\n0\r\n\r\n", Fault::BadChunkEnd),
            ("3\r\nabc\r0\r\n\r\n", Fault::BadChunkEnd),
            ("3\rabc\r\n", Fault::BadChunkEnd),
            ("ffffffffffffffff1\r\n", Fault::ChunkTooLarge),
            ("10000000000000000\r\n", Fault::ChunkTooLarge),
            ("000000000000000000000000000000001\r\n", Fault::ChunkTooLarge),
        ] {
            assert_eq!(read(text.as_bytes()).0, Err(fault), "{text}");
        }
    }

    #[test]
    fn a_size_may_be_the_largest_number_and_no_larger() {
        assert_eq!(read(b"ffffffffffffffff\r\nabc").0, Ok((b"abc".to_vec(), false)));
    }

    #[test]
    fn extensions_and_trailers_end() {
        let extended = |bytes: usize| [b"1;", "x".repeat(bytes).as_bytes(), b"\r\na\r\n"].concat();
        let half = extended(MAX_EXTENSION_BYTES / 2);
        assert!(read(&[&half[..], &half].concat()).0.is_ok());
        let too_many = [&half[..], &half, b"1;x"].concat();
        assert_eq!(read(&too_many).0, Err(Fault::ExtensionsTooLong(MAX_EXTENSION_BYTES)));
        let endless = [b"0\r\n", "a: b\r\n".repeat(MAX_TRAILER_BYTES).as_bytes()].concat();
        assert_eq!(read(&endless).0, Err(Fault::TrailersTooLong(MAX_TRAILER_BYTES)));
    }
}
