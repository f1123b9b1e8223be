//! A text client over a stream, in lock step: one request, its reply, the next request.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use switchboard::client::ClientStream;
use switchboard::client::text::{ReplyDecoder, ReplyEnd};
use switchboard::{Framing, MAX_RAW_BYTES, TextEncoding, encode};

use super::reply::{DecodedText, TextReply};
use super::reply_rules::{MAX_REPLY_BYTES, ReplyRules};
use crate::cli::commands::call::server_address::{ServerAddress, cause, is_closed, is_timeout};
use crate::cli::error::CliError;

/// Bytes of a raw request that are written before their reply is read. More could fill the socket
/// buffers in both directions, so that client and server wait for each other forever.
const PIECE_BYTES: usize = 16 << 10;

/// Reads of unsolicited data before the next request. More are left, so that a flood cannot stop
/// the client.
const MAX_UNSOLICITED_READS: usize = 16;

/// The shortest and the longest wait for a greeting. In between: twice the time that connecting
/// took, which is two round trips.
const GREETING_WAIT: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// The wait for remaining replies after the write side is shut down, if the server does not close.
const FINAL_WAIT: Duration = Duration::from_millis(200);

/// A client of one server. The first request opens the connection.
pub(in crate::cli::commands::call) struct StreamTextClient {
    server: ServerAddress,
    rules: ReplyRules,
    encoding: TextEncoding,
    timeout: Duration,
    stream: Option<ClientStream>,
    decoder: ReplyDecoder,
    /// Bytes received behind a reply.
    trailing: Vec<u8>,
    /// True if the server has closed the connection.
    is_closed: bool,
    buffer: Vec<u8>,
}

/// The result of one read.
enum ReadResult {
    /// The count of bytes now in the buffer.
    Bytes(usize),
    Closed,
    TimedOut,
}

/// The result of waiting for text that is not a reply.
#[derive(Debug)]
pub(in crate::cli::commands::call) enum UnsolicitedRead {
    /// Unsolicited texts. More may follow before and after the deadline.
    Texts(Vec<DecodedText>),
    /// The server has closed the connection.
    Closed,
    /// The deadline has passed.
    TimedOut,
}

impl StreamTextClient {
    pub(in crate::cli::commands::call) fn new(
        server: ServerAddress,
        rules: ReplyRules,
        encoding: TextEncoding,
        timeout: Duration,
    ) -> Self {
        Self {
            decoder: rules.decoder(),
            server,
            rules,
            encoding,
            timeout,
            stream: None,
            trailing: Vec::new(),
            is_closed: false,
            buffer: vec![0; MAX_RAW_BYTES],
        }
    }

    /// Connects, unless the client is connected.
    pub(in crate::cli::commands::call) fn connect(&mut self) -> Result<(), CliError> {
        if self.stream.is_none() {
            let started = Instant::now();
            let stream = self.server.connect(self.timeout)?;
            stream.set_write_timeout(Some(self.timeout)).map_err(|error| self.server.unreachable(&error))?;
            self.stream = Some(stream);
            if self.rules.greeting_looks_like_reply() {
                let (shortest, longest) = GREETING_WAIT;
                self.read_greeting(deadline((started.elapsed() * 2).clamp(shortest, longest)))?;
            }
        }
        Ok(())
    }

    /// Waits until `until` for the first bytes of a greeting, and keeps them as unsolicited data.
    fn read_greeting(&mut self, until: Instant) -> Result<(), CliError> {
        match self.read(until)? {
            ReadResult::Bytes(bytes) => self.trailing.extend_from_slice(self.buffer.get(..bytes).unwrap_or_default()),
            ReadResult::Closed => self.is_closed = true,
            ReadResult::TimedOut => {}
        }
        Ok(())
    }

    pub(in crate::cli::commands::call) fn server(&self) -> &ServerAddress {
        &self.server
    }

    /// Returns true if each request uses a new connection.
    pub(in crate::cli::commands::call) fn closes_after_reply(&self) -> bool {
        self.rules.closes_after_reply
    }

    /// Returns true if an empty message can be sent. Without frames, it has no bytes to send.
    pub(in crate::cli::commands::call) fn can_send_empty(&self) -> bool {
        self.rules.framing != Framing::Raw
    }

    /// Takes the texts received since the last reply, without waiting.
    pub(in crate::cli::commands::call) fn take_unsolicited(&mut self) -> Result<Vec<DecodedText>, CliError> {
        let mut texts = Vec::new();
        let trailing = std::mem::take(&mut self.trailing);
        self.parse(&trailing, &mut texts)?;
        for _ in 0..MAX_UNSOLICITED_READS {
            match self.try_read() {
                Ok(0) => {
                    self.is_closed = true;
                    // An incomplete unsolicited text is dropped: it belongs to no request.
                    texts.extend(self.decoder.finish().ok().flatten().map(|last| self.decode(&last)));
                    break;
                }
                Ok(bytes) => {
                    let received = self.buffer.get(..bytes).unwrap_or_default().to_vec();
                    self.parse(&received, &mut texts)?;
                }
                Err(error) => {
                    self.is_closed |= !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
                    break;
                }
            }
        }
        Ok(texts)
    }

    /// Sends `text` and waits for the reply.
    pub(in crate::cli::commands::call) fn request(&mut self, text: &str) -> Result<TextReply, CliError> {
        let payload = match self.encoding.encode(text) {
            Ok(payload) => payload,
            Err(unwritable) => return Ok(TextReply::Missing(format!("not sent: {unwritable}"))),
        };
        let in_pieces = self.rules.framing == Framing::Raw && self.rules.reply_end == ReplyEnd::RequestLength;
        if self.rules.framing == Framing::Raw && !in_pieces && payload.len() > MAX_RAW_BYTES {
            let bytes = payload.len();
            return Ok(TextReply::Missing(format!(
                "not sent: {bytes} bytes are more than one raw message, which has at most {MAX_RAW_BYTES}"
            )));
        }
        let mut frame = Vec::new();
        if let Err(error) = encode(self.rules.framing, &payload, &mut frame) {
            return Ok(TextReply::Missing(format!("not sent: {error}; try another --framing")));
        }
        self.connect()?;
        let reply = self.request_in_pieces(&frame, if in_pieces { PIECE_BYTES } else { frame.len() })?;
        if self.rules.closes_after_reply {
            self.disconnect();
        }
        Ok(reply)
    }

    /// Waits until `until`, for the server's close, or for unsolicited text, whichever comes first.
    pub(in crate::cli::commands::call) fn wait_unsolicited(
        &mut self,
        until: Instant,
    ) -> Result<UnsolicitedRead, CliError> {
        self.connect()?;
        let mut texts = self.take_unsolicited()?;
        while texts.is_empty() && !self.is_closed {
            match self.read(until)? {
                ReadResult::TimedOut => return Ok(UnsolicitedRead::TimedOut),
                ReadResult::Closed => self.is_closed = true,
                ReadResult::Bytes(bytes) => {
                    let received = self.buffer.get(..bytes).unwrap_or_default().to_vec();
                    self.parse(&received, &mut texts)?;
                }
            }
        }
        Ok(if texts.is_empty() { UnsolicitedRead::Closed } else { UnsolicitedRead::Texts(texts) })
    }

    /// Shuts down the write side. Returns the deadline for remaining text, which may hold a reply:
    /// a late greeting was taken for the first reply, so the last reply is still to come. Returns
    /// `None` if no text is expected.
    pub(in crate::cli::commands::call) fn finish(&mut self) -> Option<Instant> {
        let expects_more = self.rules.greeting_looks_like_reply() && !self.is_closed;
        (expects_more && self.stream.as_ref().is_some_and(|stream| stream.shutdown_write().is_ok()))
            .then(|| deadline(FINAL_WAIT))
    }

    fn request_in_pieces(&mut self, frame: &[u8], piece_bytes: usize) -> Result<TextReply, CliError> {
        let mut reply = Vec::new();
        for piece in frame.chunks(piece_bytes) {
            if self.is_closed || !self.write(piece)? {
                return Ok(TextReply::Closed);
            }
            self.decoder.expect_bytes(piece.len());
            match self.read_reply()? {
                Some(bytes) => reply.extend(bytes),
                None => return Ok(TextReply::Closed),
            }
        }
        if !self.rules.end_silence.is_zero() {
            self.read_until_silence(&mut reply)?;
        }
        Ok(TextReply::Text(self.decode(&reply)))
    }

    /// Appends the rest of a reply until the server sends nothing for `end_silence`. The timeout of
    /// a reply also ends the wait for a server that sends without a pause.
    fn read_until_silence(&mut self, reply: &mut Vec<u8>) -> Result<(), CliError> {
        let end = deadline(self.timeout);
        while !self.is_closed && reply.len() < MAX_REPLY_BYTES {
            match self.read(deadline(self.rules.end_silence).min(end))? {
                ReadResult::Bytes(bytes) => reply.extend_from_slice(self.buffer.get(..bytes).unwrap_or_default()),
                ReadResult::Closed => self.is_closed = true,
                ReadResult::TimedOut => break,
            }
        }
        Ok(())
    }

    /// Writes all bytes. Returns false if the server has closed the connection.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, CliError> {
        let Some(stream) = &mut self.stream else { return Ok(false) };
        match stream.write_all(bytes) {
            Ok(()) => Ok(true),
            Err(error) if is_closed(&error) => Ok(false),
            Err(error) if is_timeout(&error) => {
                Err(self.server.error(&format!("write timed out: the server reads nothing for {:?}", self.timeout)))
            }
            Err(error) => Err(self.server.error(&format!("write failed: {}", cause(&error)))),
        }
    }

    /// Waits for a reply. Returns `None` if the server closed the connection instead.
    fn read_reply(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        let until = deadline(self.timeout);
        loop {
            match self.read(until)? {
                ReadResult::Bytes(bytes) => {
                    let mut received = self.buffer.get(..bytes).unwrap_or_default();
                    let parsed = self.decoder.decode(&mut received);
                    if let Some(reply) = parsed.map_err(|error| self.server.error(&parse_error(&error)))? {
                        self.trailing.extend_from_slice(received);
                        return Ok(Some(reply));
                    }
                }
                ReadResult::Closed => {
                    self.is_closed = true;
                    return self.decoder.finish().map_err(|unfinished| {
                        let bytes = unfinished.received_bytes;
                        self.server.error(&format!("connection closed in the middle of a reply, after {bytes} bytes"))
                    });
                }
                ReadResult::TimedOut => return self.handle_timeout().map(Some),
            }
        }
    }

    /// Ends a reply that timed out. Returns the bytes so far if the reply ends only with the
    /// stream.
    fn handle_timeout(&mut self) -> Result<Vec<u8>, CliError> {
        let timeout = self.timeout;
        match self.decoder.finish() {
            Ok(Some(reply)) => {
                log::warn!("no close within {timeout:?}: the bytes received until now are taken for the reply");
                Ok(reply)
            }
            Ok(None) => Err(self.server.error(&format!("no reply within {timeout:?}; allow more with --timeout"))),
            Err(unfinished) => {
                let bytes = unfinished.received_bytes;
                Err(self.server.error(&format!("incomplete reply after {timeout:?}: received {bytes} bytes of it")))
            }
        }
    }

    fn read(&mut self, until: Instant) -> Result<ReadResult, CliError> {
        let Some(stream) = &mut self.stream else { return Ok(ReadResult::Closed) };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(ReadResult::TimedOut);
            }
            let limited = match stream {
                ClientStream::Tcp(stream) => stream.set_read_timeout(Some(left)),
                #[cfg(unix)]
                ClientStream::Unix(stream) => stream.set_read_timeout(Some(left)),
            };
            match limited.and_then(|()| stream.read(&mut self.buffer)) {
                Ok(0) => return Ok(ReadResult::Closed),
                Ok(bytes) => return Ok(ReadResult::Bytes(bytes)),
                Err(error) if is_closed(&error) => return Ok(ReadResult::Closed),
                Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.server.error(&format!("read failed: {}", cause(&error)))),
            }
        }
    }

    /// Reads without waiting; `WouldBlock` if nothing has arrived.
    fn try_read(&mut self) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Err(ErrorKind::WouldBlock.into()) };
        stream.set_nonblocking(true)?;
        let read = stream.read(&mut self.buffer);
        stream.set_nonblocking(false)?;
        read
    }

    fn parse(&mut self, mut input: &[u8], texts: &mut Vec<DecodedText>) -> Result<(), CliError> {
        loop {
            let parsed = self.decoder.decode(&mut input).map_err(|error| self.server.error(&parse_error(&error)))?;
            let Some(bytes) = parsed else { return Ok(()) };
            texts.push(self.decode(&bytes));
        }
    }

    fn decode(&self, bytes: &[u8]) -> DecodedText {
        DecodedText::decode(bytes, self.encoding)
    }

    fn disconnect(&mut self) {
        self.stream = None;
        self.decoder = self.rules.decoder();
        self.trailing.clear();
        self.is_closed = false;
    }
}

/// Returns the instant `timeout` from now. A timeout that an `Instant` cannot represent counts as
/// 24 hours.
pub(in crate::cli::commands::call) fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_hours(24))
}

fn parse_error(error: &switchboard::FrameError) -> String {
    format!("cannot parse the reply: {error}; check --framing")
}
