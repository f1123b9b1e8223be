//! One conversation over a stream, in lock step: a request, its answer, the next request.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use switchboard::client::ClientStream;
use switchboard::client::text::{ReplyDecoder, ReplyEnd};
use switchboard::{Framing, MAX_RAW_BYTES, TextEncoding, encode};

use super::manner::{MAX_ANSWER_BYTES, Manner};
use super::talk::{Reply, Text};
use crate::cli::commands::call::server::{Server, bare, is_end, is_timeout};
use crate::cli::error::CliError;

/// What is written before its answer is read where a stream has no frames: so little that the server can take it while its own
/// answers wait to be read. If both waited to be read, both would wait for ever.
const PIECE_BYTES: usize = 16 << 10;

/// Reads of what nobody asked for, before the next request is written all the same.
const MAX_UNASKED_READS: usize = 16;

/// How long a server that may greet has for it, at least and at most: twice as long as connecting took, which is a round trip.
const GREETING: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// How long a server that has heard that nothing more comes has for its last words, if it does not close.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A stream to a server, opened with the first request.
pub(in crate::cli::commands::call) struct Lane {
    server: Server,
    manner: Manner,
    encoding: TextEncoding,
    limit: Duration,
    stream: Option<ClientStream>,
    answers: ReplyDecoder,
    /// What came behind an answer.
    surplus: Vec<u8>,
    /// Whether the server has closed.
    is_closed: bool,
    buffer: Vec<u8>,
}

/// What a read brought.
enum Came {
    /// So many bytes of the buffer.
    Bytes(usize),
    End,
    NothingInTime,
}

/// What was waited for in vain, or not.
#[derive(Debug)]
pub(in crate::cli::commands::call) enum Waited {
    /// Texts that nobody asked for. There may be more, before the time is over and after it.
    For(Vec<Text>),
    /// The server has closed.
    ForTheEnd,
    /// The time is over.
    ForNothing,
}

impl Lane {
    pub(in crate::cli::commands::call) fn new(
        server: Server,
        manner: Manner,
        encoding: TextEncoding,
        limit: Duration,
    ) -> Self {
        Self {
            answers: manner.answers(),
            server,
            manner,
            encoding,
            limit,
            stream: None,
            surplus: Vec::new(),
            is_closed: false,
            buffer: vec![0; MAX_RAW_BYTES],
        }
    }

    /// Connects, if that has not happened yet.
    pub(in crate::cli::commands::call) fn connect(&mut self) -> Result<(), CliError> {
        if self.stream.is_none() {
            let begun = Instant::now();
            let stream = self.server.connect(self.limit)?;
            stream.set_write_timeout(Some(self.limit)).map_err(|error| self.server.cannot_reach(&error))?;
            self.stream = Some(stream);
            if self.manner.tells_nothing_apart() {
                let (least, most) = GREETING;
                self.greeting(deadline((begun.elapsed() * 2).clamp(least, most)))?;
            }
        }
        Ok(())
    }

    /// Waits until `until` for the first that comes unasked, which is shown with the rest of it.
    fn greeting(&mut self, until: Instant) -> Result<(), CliError> {
        match self.read(until)? {
            Came::Bytes(bytes) => self.surplus.extend_from_slice(self.buffer.get(..bytes).unwrap_or_default()),
            Came::End => self.is_closed = true,
            Came::NothingInTime => {}
        }
        Ok(())
    }

    pub(in crate::cli::commands::call) fn server(&self) -> &Server {
        &self.server
    }

    /// Whether each request has a connection of its own.
    pub(in crate::cli::commands::call) fn is_one_each(&self) -> bool {
        self.manner.one_each
    }

    /// Whether nothing at all can be sent: without frames, it would not be noticed.
    pub(in crate::cli::commands::call) fn takes_empty(&self) -> bool {
        self.manner.framing != Framing::Raw
    }

    /// What has come since the last answer, which nobody asked for.
    pub(in crate::cli::commands::call) fn unasked(&mut self) -> Result<Vec<Text>, CliError> {
        let mut texts = Vec::new();
        let surplus = std::mem::take(&mut self.surplus);
        self.cut(&surplus, &mut texts)?;
        for _ in 0..MAX_UNASKED_READS {
            match self.read_now() {
                Ok(0) => {
                    self.is_closed = true;
                    // Half of something that nobody asked for is nobody's loss.
                    texts.extend(self.answers.finish().ok().flatten().map(|last| self.text(&last)));
                    break;
                }
                Ok(bytes) => {
                    let came = self.buffer.get(..bytes).unwrap_or_default().to_vec();
                    self.cut(&came, &mut texts)?;
                }
                Err(error) => {
                    self.is_closed |= !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
                    break;
                }
            }
        }
        Ok(texts)
    }

    /// Sends `text` and waits for its answer.
    pub(in crate::cli::commands::call) fn ask(&mut self, text: &str) -> Result<Reply, CliError> {
        let payload = match self.encoding.encode(text) {
            Ok(payload) => payload,
            Err(unwritable) => return Ok(Reply::Nothing(format!("not sent: {unwritable}"))),
        };
        let in_pieces = self.manner.framing == Framing::Raw && self.manner.ends == ReplyEnd::RequestLength;
        if self.manner.framing == Framing::Raw && !in_pieces && payload.len() > MAX_RAW_BYTES {
            let bytes = payload.len();
            return Ok(Reply::Nothing(format!(
                "not sent: {bytes} bytes would not be one message without frames, {MAX_RAW_BYTES} at most could be"
            )));
        }
        let mut frame = Vec::new();
        if let Err(error) = encode(self.manner.framing, &payload, &mut frame) {
            return Ok(Reply::Nothing(format!("not sent: {error}; another --framing may carry it")));
        }
        self.connect()?;
        let reply = self.ask_in_pieces(&frame, if in_pieces { PIECE_BYTES } else { frame.len() })?;
        if self.manner.one_each {
            self.hang_up();
        }
        Ok(reply)
    }

    /// Waits until `until`, the server's end or something that nobody asked for, whichever comes first.
    pub(in crate::cli::commands::call) fn wait(&mut self, until: Instant) -> Result<Waited, CliError> {
        self.connect()?;
        let mut texts = self.unasked()?;
        while texts.is_empty() && !self.is_closed {
            match self.read(until)? {
                Came::NothingInTime => return Ok(Waited::ForNothing),
                Came::End => self.is_closed = true,
                Came::Bytes(bytes) => {
                    let came = self.buffer.get(..bytes).unwrap_or_default().to_vec();
                    self.cut(&came, &mut texts)?;
                }
            }
        }
        Ok(if texts.is_empty() { Waited::ForTheEnd } else { Waited::For(texts) })
    }

    /// Says that nothing more comes. Gives until when what the server still says is to be waited for: an answer is among it where
    /// a greeting came so late that it was taken for the first one. None: not at all.
    pub(in crate::cli::commands::call) fn finish(&mut self) -> Option<Instant> {
        let has_more = self.manner.tells_nothing_apart() && !self.is_closed;
        (has_more && self.stream.as_ref().is_some_and(|stream| stream.shutdown_write().is_ok()))
            .then(|| deadline(LAST_WORDS))
    }

    fn ask_in_pieces(&mut self, frame: &[u8], piece_bytes: usize) -> Result<Reply, CliError> {
        let mut whole = Vec::new();
        for piece in frame.chunks(piece_bytes) {
            if self.is_closed || !self.write(piece)? {
                return Ok(Reply::Closed);
            }
            self.answers.expect_bytes(piece.len());
            match self.answer()? {
                Some(answer) => whole.extend(answer),
                None => return Ok(Reply::Closed),
            }
        }
        if !self.manner.quiet.is_zero() {
            self.rest(&mut whole)?;
        }
        Ok(Reply::Text(self.text(&whole)))
    }

    /// What an answer has behind the read that it began with. However slowly it comes, it is not waited for beyond the time that
    /// an answer has.
    fn rest(&mut self, whole: &mut Vec<u8>) -> Result<(), CliError> {
        let last = deadline(self.limit);
        while !self.is_closed && whole.len() < MAX_ANSWER_BYTES {
            match self.read(deadline(self.manner.quiet).min(last))? {
                Came::Bytes(bytes) => whole.extend_from_slice(self.buffer.get(..bytes).unwrap_or_default()),
                Came::End => self.is_closed = true,
                Came::NothingInTime => break,
            }
        }
        Ok(())
    }

    /// False: the server has closed.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, CliError> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        match stream.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(error) if is_end(&error) => Ok(false),
            Err(error) if is_timeout(&error) => {
                Err(self.server.failed(&format!("takes nothing for {:?}: it does not read", self.limit)))
            }
            Err(error) => Err(self.server.failed(&format!("cannot be written to: {}", bare(&error)))),
        }
    }

    /// Waits for an answer. None: the server closed instead.
    fn answer(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        let until = deadline(self.limit);
        loop {
            match self.read(until)? {
                Came::Bytes(bytes) => {
                    let mut came = self.buffer.get(..bytes).unwrap_or_default();
                    let taken = self.answers.decode(&mut came);
                    if let Some(answer) = taken.map_err(|error| self.server.failed(&not_ours(&error)))? {
                        self.surplus.extend_from_slice(came);
                        return Ok(Some(answer));
                    }
                }
                Came::End => {
                    self.is_closed = true;
                    return self.answers.finish().map_err(|unfinished| {
                        let bytes = unfinished.received_bytes;
                        self.server.failed(&format!("closed in the middle of an answer, after {bytes} bytes of it"))
                    });
                }
                Came::NothingInTime => return self.late().map(Some),
            }
        }
    }

    /// Time is up. What should have ended with the stream is shown all the same.
    fn late(&mut self) -> Result<Vec<u8>, CliError> {
        let limit = self.limit;
        match self.answers.finish() {
            Ok(Some(answer)) => {
                log::warn!(
                    "the server has not closed within {limit:?}; what it said until then is taken for its answer"
                );
                Ok(answer)
            }
            Ok(None) => Err(self.server.failed(&format!("gave no answer within {limit:?}; --timeout allows more"))),
            Err(unfinished) => {
                let bytes = unfinished.received_bytes;
                Err(self
                    .server
                    .failed(&format!("did not finish its answer within {limit:?}: {bytes} bytes of it came")))
            }
        }
    }

    fn read(&mut self, until: Instant) -> Result<Came, CliError> {
        let Some(stream) = &mut self.stream else { return Ok(Came::End) };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Came::NothingInTime);
            }
            let limited = match stream {
                ClientStream::Tcp(stream) => stream.set_read_timeout(Some(left)),
                #[cfg(unix)]
                ClientStream::Unix(stream) => stream.set_read_timeout(Some(left)),
            };
            match limited.and_then(|()| stream.read(&mut self.buffer)) {
                Ok(0) => return Ok(Came::End),
                Ok(bytes) => return Ok(Came::Bytes(bytes)),
                Err(error) if is_end(&error) => return Ok(Came::End),
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.server.failed(&format!("cannot be read from: {}", bare(&error)))),
            }
        }
    }

    /// Reads what is there, without waiting.
    fn read_now(&mut self) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Err(ErrorKind::WouldBlock.into()) };
        stream.set_nonblocking(true)?;
        let read = stream.read(&mut self.buffer);
        stream.set_nonblocking(false)?;
        read
    }

    fn cut(&mut self, mut input: &[u8], texts: &mut Vec<Text>) -> Result<(), CliError> {
        while let Some(came) = self.answers.decode(&mut input).map_err(|error| self.server.failed(&not_ours(&error)))? {
            texts.push(self.text(&came));
        }
        Ok(())
    }

    fn text(&self, bytes: &[u8]) -> Text {
        Text::decode(bytes, self.encoding)
    }

    fn hang_up(&mut self) {
        self.stream = None;
        self.answers = self.manner.answers();
        self.surplus.clear();
        self.is_closed = false;
    }
}

/// So long from now on; a time that cannot be counted is long enough if it is a day.
pub(in crate::cli::commands::call) fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_hours(24))
}

fn not_ours(error: &switchboard::FrameError) -> String {
    format!("answers otherwise than this client understands: {error}; check --framing")
}
