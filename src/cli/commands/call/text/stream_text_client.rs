//! A text client over a stream, in lock step: one request, its reply, the next request.

use std::time::{Duration, Instant};

use switchboard::client::text::{ReplyDecoder, ReplyEnd};
use switchboard::client::{Conversation, ConversationError, WaitLimits};
use switchboard::{Framing, MAX_RAW_BYTES, TextEncoding, encode};

use super::reply::{DecodedText, TextReply};
use super::reply_rules::{MAX_REPLY_BYTES, ReplyRules};
use crate::cli::commands::call::server_address::{ServerAddress, cause, is_closed};
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

/// The wait for the rest of a character that a read has cut. If it does not arrive, the bytes are
/// text in another encoding.
const CHARACTER_WAIT: Duration = Duration::from_secs(1);

/// A client of one server. The first request opens the connection.
pub(in crate::cli::commands::call) struct StreamTextClient {
    server: ServerAddress,
    rules: ReplyRules,
    encoding: TextEncoding,
    timeout: Duration,
    conversation: Option<Conversation>,
    decoder: ReplyDecoder,
    /// True if the server has closed the connection.
    is_closed: bool,
}

/// The result of one read.
enum ReadResult {
    /// Bytes have been received and not been decoded.
    Bytes,
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
        Self { decoder: rules.decoder(), server, rules, encoding, timeout, conversation: None, is_closed: false }
    }

    /// Connects, unless the client is connected.
    pub(in crate::cli::commands::call) fn connect(&mut self) -> Result<(), CliError> {
        if self.conversation.is_none() {
            let started = Instant::now();
            // The replies are decoded here, so the conversation has no frames.
            self.conversation = Some(Conversation::new(self.server.connect(self.timeout)?, Framing::Raw, 0));
            if self.rules.greeting_looks_like_reply() {
                // The first bytes of a greeting are unsolicited: they wait for the next call.
                self.read(WaitLimits::within(greeting_wait(started.elapsed())))?;
            }
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
        for _ in 0..=MAX_UNSOLICITED_READS {
            match self.conversation.as_mut().map(|conversation| conversation.fill(WaitLimits::no_wait())) {
                Some(Ok(true)) => self.parse(&mut texts)?,
                Some(Ok(false)) => {
                    self.is_closed = true;
                    // An incomplete unsolicited text is dropped: it belongs to no request.
                    texts.extend(self.decoder.finish().ok().flatten().map(|last| self.decode(&last)));
                    break;
                }
                None | Some(Err(ConversationError::Stalled)) => break,
                Some(Err(_)) => {
                    self.is_closed = true;
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
            match self.read(WaitLimits { deadline: Some(until), ..WaitLimits::default() })? {
                ReadResult::TimedOut => return Ok(UnsolicitedRead::TimedOut),
                ReadResult::Closed => {}
                ReadResult::Bytes => self.parse(&mut texts)?,
            }
        }
        Ok(if texts.is_empty() { UnsolicitedRead::Closed } else { UnsolicitedRead::Texts(texts) })
    }

    /// Shuts down the write side. Returns the deadline for remaining text, which may hold a reply:
    /// a late greeting was taken for the first reply, so the last reply is still to come. Returns
    /// `None` if no text is expected.
    pub(in crate::cli::commands::call) fn finish(&mut self) -> Option<Instant> {
        let expects_more = self.rules.greeting_looks_like_reply() && !self.is_closed;
        (expects_more && self.conversation.as_ref().is_some_and(|conversation| conversation.shutdown_write().is_ok()))
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
        self.complete_character(&mut reply)?;
        if !self.rules.end_silence.is_zero() {
            self.read_until_silence(&mut reply)?;
        }
        Ok(TextReply::Text(self.decode(&reply)))
    }

    /// Appends the rest of a reply until the server sends nothing for `end_silence`. The timeout of
    /// a reply also ends the wait for a server that sends without a pause.
    fn read_until_silence(&mut self, reply: &mut Vec<u8>) -> Result<(), CliError> {
        let limits = WaitLimits::within(self.timeout).with_stall_timeout(Some(self.rules.end_silence));
        while !self.is_closed && reply.len() < MAX_REPLY_BYTES {
            match self.read(limits)? {
                ReadResult::Bytes => {
                    self.with_received(|_, input| reply.extend_from_slice(std::mem::take(input)));
                }
                ReadResult::Closed => {}
                ReadResult::TimedOut => break,
            }
        }
        Ok(())
    }

    /// Appends further reads while `text` ends inside a character. In a frame the character would
    /// remain cut.
    fn complete_character(&mut self, text: &mut Vec<u8>) -> Result<(), CliError> {
        let limits = WaitLimits::within(CHARACTER_WAIT.min(self.timeout));
        while self.rules.framing == Framing::Raw
            && !self.is_closed
            && text.len() < MAX_REPLY_BYTES
            && self.encoding.ends_inside_character(text)
            && matches!(self.read(limits)?, ReadResult::Bytes)
        {
            self.with_received(|_, input| text.extend_from_slice(std::mem::take(input)));
        }
        Ok(())
    }

    /// Writes all bytes. Returns false if the server has closed the connection.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, CliError> {
        let Some(conversation) = &mut self.conversation else { return Ok(false) };
        let what = match conversation.send_bytes(bytes, WaitLimits::default().with_stall_timeout(Some(self.timeout))) {
            Ok(()) => return Ok(true),
            Err(ConversationError::Io(error)) if is_closed(&error) => return Ok(false),
            Err(ConversationError::Io(error)) => format!("write failed: {}", cause(&error)),
            Err(_) => format!("write timed out: the server reads nothing for {:?}", self.timeout),
        };
        Err(self.server.error(&what))
    }

    /// Waits for a reply. Returns `None` if the server closed the connection instead.
    fn read_reply(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        let limits = WaitLimits::within(self.timeout);
        loop {
            match self.read(limits)? {
                ReadResult::Bytes => {
                    if let Some(reply) = self.decode_reply()? {
                        return Ok(Some(reply));
                    }
                }
                ReadResult::Closed => {
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

    /// Reads once, unless received bytes are left.
    fn read(&mut self, limits: WaitLimits<'_>) -> Result<ReadResult, CliError> {
        let filled = self.conversation.as_mut().map_or(Ok(false), |conversation| conversation.fill(limits));
        match filled {
            Ok(true) => return Ok(ReadResult::Bytes),
            Ok(false) => {}
            Err(ConversationError::Io(error)) if is_closed(&error) => {}
            Err(ConversationError::Io(error)) => {
                return Err(self.server.error(&format!("read failed: {}", cause(&error))));
            }
            Err(_) => return Ok(ReadResult::TimedOut),
        }
        self.is_closed = true;
        Ok(ReadResult::Closed)
    }

    /// Takes the next reply from the received bytes, if it is complete.
    fn decode_reply(&mut self) -> Result<Option<Vec<u8>>, CliError> {
        let decoded = self.with_received(ReplyDecoder::decode);
        let parse_error = |error| self.server.error(&format!("cannot parse the reply: {error}; check --framing"));
        decoded.transpose().map(Option::flatten).map_err(parse_error)
    }

    fn with_received<T>(&mut self, take: impl FnOnce(&mut ReplyDecoder, &mut &[u8]) -> T) -> Option<T> {
        let (conversation, decoder) = (self.conversation.as_mut()?, &mut self.decoder);
        Some(conversation.decode_with(|input| take(decoder, input)))
    }

    /// Appends all complete texts of the received bytes.
    fn parse(&mut self, texts: &mut Vec<DecodedText>) -> Result<(), CliError> {
        while let Some(mut bytes) = self.decode_reply()? {
            self.complete_character(&mut bytes)?;
            texts.push(self.decode(&bytes));
        }
        Ok(())
    }

    fn decode(&self, bytes: &[u8]) -> DecodedText {
        DecodedText::decode(bytes, self.encoding)
    }

    fn disconnect(&mut self) {
        self.conversation = None;
        self.decoder = self.rules.decoder();
        self.is_closed = false;
    }
}

/// Returns the wait for a greeting of a server, by the time that connecting took.
pub(in crate::cli::commands::call) fn greeting_wait(connect_time: Duration) -> Duration {
    let (shortest, longest) = GREETING_WAIT;
    (connect_time * 2).clamp(shortest, longest)
}

/// Returns the instant `timeout` from now. A timeout that an `Instant` cannot represent counts as
/// 24 hours.
pub(in crate::cli::commands::call) fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + Duration::from_hours(24))
}
