//! Where an answer ends: for a client that asks one thing at a time, over a stream.
//!
//! It must not know a socket, a clock or an encoding. Its invariant: no byte is lost. What comes that was not asked for is given out
//! as well, and whoever asks can tell it from an answer.

use crate::frame::FrameError;
use crate::frame::{FrameDecoder, Framing};

/// Where an answer ends on a stream without frames. With frames, an answer is a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// It has exactly as many bytes as the request.
    AsLongAsTheRequest,
    /// It is what one read returns.
    WithTheRead,
    /// It ends with the stream.
    WithTheStream,
}

/// Makes answers of the bytes that come, in whatever pieces.
///
/// ```
/// use switchboard::Framing;
/// use switchboard::client::text::{Answers, Ends};
///
/// let mut answers = Answers::new(Framing::Raw, Ends::AsLongAsTheRequest, 1024);
/// answers.expect(5);
/// assert_eq!(answers.take(&mut &b"HEL"[..])?, None);
/// assert_eq!(answers.take(&mut &b"LO"[..])?.as_deref(), Some(&b"HELLO"[..]));
/// # Ok::<(), switchboard::FrameError>(())
/// ```
#[derive(Debug)]
pub struct Answers {
    decoder: FrameDecoder,
    ends: Ends,
    max_bytes: usize,
    /// What has come of an answer that is not whole, where there are no frames.
    begun: Vec<u8>,
    /// Bytes that the answer still lacks, where its length is known from the request.
    missing: usize,
}

/// The stream ended in the middle of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// What has come of it, in bytes.
    pub received_bytes: usize,
}

impl Answers {
    /// Answers of at most `max_bytes` bytes, where `framing` makes frames of a stream, and `ends` says it where it makes none.
    pub fn new(framing: Framing, ends: Ends, max_bytes: usize) -> Self {
        Self { decoder: FrameDecoder::new(framing, max_bytes), ends, max_bytes, begun: Vec::new(), missing: 0 }
    }

    /// A request of so many bytes was sent: the next answer is to it.
    pub fn expect(&mut self, request_bytes: usize) {
        self.missing = request_bytes;
    }

    /// Takes bytes off the front of `input` until an answer is whole; `None` when `input` is used up. Where no answer is owed,
    /// what comes is given out as it comes.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes can be no answer, or it grows too large; the stream is then of no further use.
    pub fn take(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let ends = if self.decoder.framing() == Framing::Raw { self.ends } else { Ends::WithTheRead };
        match ends {
            Ends::WithTheRead => Ok(self.decoder.decode(input)?.map(<[u8]>::to_vec)),
            Ends::AsLongAsTheRequest if self.missing == 0 => Ok(self.decoder.decode(input)?.map(<[u8]>::to_vec)),
            Ends::AsLongAsTheRequest => {
                let (piece, rest) = input.split_at_checked(self.missing).unwrap_or((input, &[]));
                *input = rest;
                self.begun.extend_from_slice(piece);
                self.missing -= piece.len();
                Ok((self.missing == 0).then(|| std::mem::take(&mut self.begun)))
            }
            Ends::WithTheStream => {
                let declared_bytes = self.begun.len() + input.len();
                if declared_bytes > self.max_bytes {
                    let (declared_bytes, max_frame_bytes) = (declared_bytes as u64, self.max_bytes);
                    return Err(FrameError::TooLarge { declared_bytes, max_frame_bytes, looks_like: None });
                }
                self.begun.extend_from_slice(std::mem::take(input));
                Ok(None)
            }
        }
    }

    /// The stream has ended. Gives the answer that ended with it, if one did.
    ///
    /// # Errors
    /// [`Unfinished`]: an answer was begun.
    pub fn finish(&mut self) -> Result<Option<Vec<u8>>, Unfinished> {
        if let Some(line) = self.decoder.finish() {
            return Ok(Some(line.to_vec()));
        }
        let begun = std::mem::take(&mut self.begun);
        let received_bytes = self.decoder.unfinished_bytes().unwrap_or(begun.len());
        match received_bytes {
            0 => Ok(None),
            _ if self.ends == Ends::WithTheStream && self.decoder.unfinished_bytes().is_none() => Ok(Some(begun)),
            _ => Err(Unfinished { received_bytes }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out when `pieces` come in, one read each.
    fn taken(answers: &mut Answers, pieces: &[&str]) -> Vec<String> {
        let mut out = Vec::new();
        for piece in pieces {
            let mut input = piece.as_bytes();
            while let Some(answer) = answers.take(&mut input).unwrap() {
                out.push(String::from_utf8(answer).unwrap());
            }
        }
        out
    }

    fn raw(ends: Ends) -> Answers {
        Answers::new(Framing::Raw, ends, 16)
    }

    #[test]
    fn an_answer_as_long_as_its_request_may_come_in_pieces() {
        let mut answers = raw(Ends::AsLongAsTheRequest);
        answers.expect(4);
        assert_eq!(taken(&mut answers, &["a", "bc", "d"]), ["abcd"]);
        answers.expect(2);
        assert_eq!(taken(&mut answers, &["ef", "more"]), ["ef", "more"], "what was not asked for is not lost");
        answers.expect(2);
        assert_eq!(taken(&mut answers, &["ghij"]), ["gh", "ij"]);
        assert_eq!(answers.finish(), Ok(None));
        answers.expect(2);
        assert_eq!(taken(&mut answers, &["k"]), [""; 0]);
        assert_eq!(answers.finish(), Err(Unfinished { received_bytes: 1 }));
    }

    #[test]
    fn a_read_is_an_answer() {
        let mut answers = raw(Ends::WithTheRead);
        answers.expect(1);
        assert_eq!(taken(&mut answers, &["one", "two"]), ["one", "two"]);
        assert_eq!(answers.finish(), Ok(None));
    }

    #[test]
    fn an_answer_that_ends_with_the_stream_is_bounded() {
        let mut answers = raw(Ends::WithTheStream);
        assert_eq!(answers.finish(), Ok(None));
        assert_eq!(taken(&mut answers, &["hel", "lo"]), [""; 0]);
        assert_eq!(answers.finish(), Ok(Some(b"hello".to_vec())));
        assert_eq!(taken(&mut answers, &["0123456789"]), [""; 0]);
        assert!(matches!(answers.take(&mut &b"0123456"[..]), Err(FrameError::TooLarge { declared_bytes: 17, .. })));
    }

    #[test]
    fn a_frame_is_an_answer_wherever_answers_end_without_frames() {
        for ends in [Ends::AsLongAsTheRequest, Ends::WithTheRead, Ends::WithTheStream] {
            let mut answers = Answers::new(Framing::U8, ends, 16);
            answers.expect(7);
            assert_eq!(taken(&mut answers, &["\u{2}a", "b\u{0}\u{1}", "c"]), ["ab", "", "c"], "{ends:?}");
            assert_eq!(answers.finish(), Ok(None), "{ends:?}");
            assert_eq!(taken(&mut answers, &["\u{2}a"]), [""; 0]);
            assert_eq!(answers.finish(), Err(Unfinished { received_bytes: 2 }), "{ends:?}");
            let mut answers = Answers::new(Framing::Lines, ends, 16);
            assert_eq!(taken(&mut answers, &["one\r\ntw"]), ["one"], "{ends:?}");
            assert_eq!(answers.finish(), Ok(Some(b"tw".to_vec())), "{ends:?}");
        }
    }
}
