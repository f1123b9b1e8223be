//! A decoder for the replies on a stream, for a client that sends one request at a time.
//!
//! This module must not know a socket, a clock or an encoding. Invariant: no byte is lost. The
//! decoder also returns bytes that no request asked for; the caller can distinguish them from a
//! reply.

use crate::frame::FrameError;
use crate::frame::{FrameDecoder, Framing};

/// The end of a reply on a stream without frames. On a framed stream, each frame is a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyEnd {
    /// The reply has as many bytes as the request.
    RequestLength,
    /// The reply is the content of one read.
    SingleRead,
    /// The reply ends with the stream.
    EndOfStream,
}

/// An incremental decoder: bytes in, split anywhere, and replies out.
///
/// ```
/// use switchboard::Framing;
/// use switchboard::client::text::{ReplyDecoder, ReplyEnd};
///
/// let mut decoder = ReplyDecoder::new(Framing::Raw, ReplyEnd::RequestLength, 1024);
/// decoder.expect_bytes(5);
/// assert_eq!(decoder.decode(&mut &b"HEL"[..])?, None);
/// assert_eq!(decoder.decode(&mut &b"LO"[..])?.as_deref(), Some(&b"HELLO"[..]));
/// # Ok::<(), switchboard::FrameError>(())
/// ```
#[derive(Debug)]
pub struct ReplyDecoder {
    decoder: FrameDecoder,
    reply_end: ReplyEnd,
    max_bytes: usize,
    /// Bytes of an incomplete reply, on a stream without frames.
    partial: Vec<u8>,
    /// Bytes that the reply still lacks, if the request determines its length.
    remaining_bytes: usize,
}

/// Error: the stream ended inside a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruncatedReplyError {
    /// Bytes of the reply that were received.
    pub received_bytes: usize,
}

impl ReplyDecoder {
    /// Creates a decoder for replies of at most `max_bytes` bytes. `reply_end` applies if `framing`
    /// is [`Framing::Raw`].
    pub fn new(framing: Framing, reply_end: ReplyEnd, max_bytes: usize) -> Self {
        Self {
            decoder: FrameDecoder::new(framing, max_bytes),
            reply_end,
            max_bytes,
            partial: Vec::new(),
            remaining_bytes: 0,
        }
    }

    /// Records that a request of `request_bytes` bytes was sent. The next reply answers it.
    pub fn expect_bytes(&mut self, request_bytes: usize) {
        self.remaining_bytes = request_bytes;
    }

    /// Removes bytes from the front of `input` until a reply is complete; `None` if the input is
    /// consumed. Without an outstanding request, the decoder returns the bytes as they arrive.
    ///
    /// # Errors
    /// [`FrameError`] if the bytes are not a valid reply, or if the reply is too large. The stream
    /// cannot be used afterwards.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let reply_end = if self.decoder.framing() == Framing::Raw { self.reply_end } else { ReplyEnd::SingleRead };
        match reply_end {
            ReplyEnd::SingleRead => Ok(self.decoder.decode(input)?.map(<[u8]>::to_vec)),
            ReplyEnd::RequestLength if self.remaining_bytes == 0 => Ok(self.decoder.decode(input)?.map(<[u8]>::to_vec)),
            ReplyEnd::RequestLength => {
                let (read, rest) = input.split_at_checked(self.remaining_bytes).unwrap_or((input, &[]));
                *input = rest;
                self.partial.extend_from_slice(read);
                self.remaining_bytes -= read.len();
                Ok((self.remaining_bytes == 0).then(|| std::mem::take(&mut self.partial)))
            }
            ReplyEnd::EndOfStream => {
                let declared_bytes = self.partial.len() + input.len();
                if declared_bytes > self.max_bytes {
                    let (declared_bytes, max_frame_bytes) = (declared_bytes as u64, self.max_bytes);
                    return Err(FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None });
                }
                self.partial.extend_from_slice(std::mem::take(input));
                Ok(None)
            }
        }
    }

    /// Handles the end of the stream. Returns the reply that ended with it, if any.
    ///
    /// # Errors
    /// [`TruncatedReplyError`] if the stream ended inside a reply.
    pub fn finish(&mut self) -> Result<Option<Vec<u8>>, TruncatedReplyError> {
        if let Some(line) = self.decoder.finish() {
            return Ok(Some(line.to_vec()));
        }
        let partial = std::mem::take(&mut self.partial);
        let received_bytes = self.decoder.unfinished_bytes().unwrap_or(partial.len());
        match received_bytes {
            0 => Ok(None),
            _ if self.reply_end == ReplyEnd::EndOfStream && self.decoder.unfinished_bytes().is_none() => {
                Ok(Some(partial))
            }
            _ => Err(TruncatedReplyError { received_bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes the reads in order and returns all replies.
    fn decode_all(decoder: &mut ReplyDecoder, reads: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        for read in reads {
            let mut input = read.as_bytes();
            while let Some(reply) = decoder.decode(&mut input).unwrap() {
                out.push(String::from_utf8(reply).unwrap());
            }
        }
        out
    }

    fn raw(reply_end: ReplyEnd) -> ReplyDecoder {
        ReplyDecoder::new(Framing::Raw, reply_end, 16)
    }

    #[test]
    fn reply_as_long_as_its_request_may_be_split() {
        let mut decoder = raw(ReplyEnd::RequestLength);
        decoder.expect_bytes(4);
        assert_eq!(decode_all(&mut decoder, &["a", "bc", "d"]), ["abcd"]);
        decoder.expect_bytes(2);
        assert_eq!(decode_all(&mut decoder, &["ef", "more"]), ["ef", "more"], "unrequested bytes are returned, too");
        decoder.expect_bytes(2);
        assert_eq!(decode_all(&mut decoder, &["ghij"]), ["gh", "ij"]);
        assert_eq!(decoder.finish(), Ok(None));
        decoder.expect_bytes(2);
        assert_eq!(decode_all(&mut decoder, &["k"]), [""; 0]);
        assert_eq!(decoder.finish(), Err(TruncatedReplyError { received_bytes: 1 }));
    }

    #[test]
    fn one_read_is_one_reply() {
        let mut decoder = raw(ReplyEnd::SingleRead);
        decoder.expect_bytes(1);
        assert_eq!(decode_all(&mut decoder, &["one", "two"]), ["one", "two"]);
        assert_eq!(decoder.finish(), Ok(None));
    }

    #[test]
    fn reply_that_ends_with_the_stream_is_bounded() {
        let mut decoder = raw(ReplyEnd::EndOfStream);
        assert_eq!(decoder.finish(), Ok(None));
        assert_eq!(decode_all(&mut decoder, &["hel", "lo"]), [""; 0]);
        assert_eq!(decoder.finish(), Ok(Some(b"hello".to_vec())));
        assert_eq!(decode_all(&mut decoder, &["0123456789"]), [""; 0]);
        assert!(matches!(decoder.decode(&mut &b"0123456"[..]), Err(FrameError::TooLarge { declared_bytes: 17, .. })));
    }

    #[test]
    fn framed_reply_is_a_frame_for_every_reply_end() {
        for reply_end in [ReplyEnd::RequestLength, ReplyEnd::SingleRead, ReplyEnd::EndOfStream] {
            let mut decoder = ReplyDecoder::new(Framing::U8, reply_end, 16);
            decoder.expect_bytes(7);
            assert_eq!(decode_all(&mut decoder, &["\u{2}a", "b\u{0}\u{1}", "c"]), ["ab", "", "c"], "{reply_end:?}");
            assert_eq!(decoder.finish(), Ok(None), "{reply_end:?}");
            assert_eq!(decode_all(&mut decoder, &["\u{2}a"]), [""; 0]);
            assert_eq!(decoder.finish(), Err(TruncatedReplyError { received_bytes: 2 }), "{reply_end:?}");
            let mut decoder = ReplyDecoder::new(Framing::Lines, reply_end, 16);
            assert_eq!(decode_all(&mut decoder, &["one\r\ntw"]), ["one"], "{reply_end:?}");
            assert_eq!(decoder.finish(), Ok(Some(b"tw".to_vec())), "{reply_end:?}");
        }
    }
}
