//! A client's side of one connection: payloads or bytes out, payloads or bytes in, each wait within
//! its limits.
//!
//! This module must not know a protocol. Invariant: no byte is lost. Bytes behind a payload stay
//! for the next call, and [`Conversation::has_trailing_data`] finds them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use super::wait::{WaitFor, WaitLimits, WaitResult};
use crate::frame::{EncodeError, FrameDecoder, FrameError, Framing, encode};
use crate::net::SocketStream;

/// A stream with its framing, its decoder and its read buffer.
///
/// ```no_run
/// use std::time::Duration;
/// use switchboard::client::{Conversation, WaitLimits};
/// use switchboard::{Endpoint, Framing, SocketStream};
///
/// let stream = SocketStream::connect(&Endpoint::resolve("127.0.0.1:7000")?, Duration::from_secs(5))?;
/// let mut conversation = Conversation::new(stream, Framing::U32BE, 1 << 20);
/// let limits = WaitLimits::within(Duration::from_secs(5));
/// conversation.send(b"hello", limits)?;
/// assert_eq!(conversation.receive(limits)?.as_deref(), Some(&b"hello"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Conversation {
    stream: Arc<SocketStream>,
    framing: Framing,
    decoder: FrameDecoder,
    /// The bytes of the last read.
    buffer: Vec<u8>,
    /// The part of `buffer` that is received and not taken yet.
    received: Range<usize>,
    /// Bytes that are queued and not sent yet.
    unsent: Vec<u8>,
    /// A reset that a write of queued bytes found. The system reports it once, and the next read
    /// would take it for the end of the stream.
    lost_reset: Option<io::Error>,
}

/// Error of a [`Conversation`]. After any but a timeout, the connection cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConversationError {
    /// Nothing was sent or received for the stall timeout.
    Stalled,
    /// The deadline has passed.
    DeadlinePassed,
    /// The caller cancelled the wait.
    Cancelled,
    /// The framing cannot carry the payload; nothing was sent.
    Unencodable(EncodeError),
    /// The received bytes are not a frame.
    InvalidFrame(FrameError),
    /// The connection failed.
    Io(io::Error),
}

/// Maximum bytes of one read, unless the caller sets another.
const READ_BYTES: usize = 64 << 10;

impl Conversation {
    /// Creates a conversation over a connected stream. A received payload has at most `max_bytes`
    /// bytes.
    pub fn new(stream: impl Into<Arc<SocketStream>>, framing: Framing, max_bytes: usize) -> Self {
        Self {
            stream: stream.into(),
            framing,
            decoder: FrameDecoder::new(framing, max_bytes),
            buffer: vec![0; READ_BYTES],
            received: 0..0,
            unsent: Vec::new(),
            lost_reset: None,
        }
    }

    /// Sets the maximum bytes of one read. Larger reads are faster for large transfers.
    #[must_use]
    pub fn with_read_bytes(self, read_bytes: usize) -> Self {
        Self { buffer: vec![0; read_bytes.max(1)], received: 0..0, ..self }
    }

    /// Sends a payload in its frame.
    ///
    /// # Errors
    /// [`ConversationError`] if not all bytes were sent.
    pub fn send(&mut self, payload: &[u8], limits: WaitLimits<'_>) -> Result<(), ConversationError> {
        encode(self.framing, payload, &mut self.unsent).map_err(ConversationError::Unencodable)?;
        self.flush(limits)
    }

    /// Sends bytes that are framed already.
    ///
    /// # Errors
    /// [`ConversationError`] if not all bytes were sent.
    pub fn send_bytes(&mut self, bytes: &[u8], limits: WaitLimits<'_>) -> Result<(), ConversationError> {
        self.unsent.extend_from_slice(bytes);
        self.flush(limits)
    }

    /// Queues bytes that the next reads send, so that a server may respond before it has received
    /// all of them. A failed write is no error here: a server may respond and close before it
    /// reads everything, and the next read returns its response, or the error.
    pub fn queue_bytes(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
    }

    fn flush(&mut self, limits: WaitLimits<'_>) -> Result<(), ConversationError> {
        while !self.unsent.is_empty() {
            self.wait(WaitFor::Writable, limits)?;
            if let Err(error) = self.write_unsent() {
                self.unsent.clear();
                return Err(ConversationError::Io(error));
            }
        }
        Ok(())
    }

    /// Writes once.
    fn write_unsent(&mut self) -> io::Result<()> {
        let written = match self.stream.try_write(&self.unsent) {
            Err(error) if is_transient(&error) => 0,
            written => written?,
        };
        self.unsent.drain(..written);
        Ok(())
    }

    /// Returns the next payload; `None` at the end of the stream, also inside a frame. Under
    /// [`Framing::Raw`] the bytes of one read are a payload.
    ///
    /// # Errors
    /// [`ConversationError`] if no payload was received.
    pub fn receive(&mut self, limits: WaitLimits<'_>) -> Result<Option<Vec<u8>>, ConversationError> {
        loop {
            let mut input = self.buffer.get(self.received.clone()).unwrap_or_default();
            let decoded = self.decoder.decode(&mut input).map_err(ConversationError::InvalidFrame)?;
            let payload = decoded.map(<[u8]>::to_vec);
            self.received.start = self.received.end - input.len();
            match payload {
                Some(payload) => return Ok(Some(payload)),
                None if !self.fill(limits)? => return Ok(None),
                None => {}
            }
        }
    }

    /// Returns the bytes of one read as they are; empty at the end of the stream. Received bytes
    /// that were not taken yet come first.
    ///
    /// # Errors
    /// [`ConversationError`] if no bytes were received.
    pub fn receive_bytes(&mut self, limits: WaitLimits<'_>) -> Result<&[u8], ConversationError> {
        self.fill(limits)?;
        let received = std::mem::replace(&mut self.received, 0..0);
        Ok(self.buffer.get(received).unwrap_or_default())
    }

    /// Lets `decode` take bytes from the front of those that were received.
    pub fn decode_with<T>(&mut self, decode: impl FnOnce(&mut &[u8]) -> T) -> T {
        let mut input = self.buffer.get(self.received.clone()).unwrap_or_default();
        let decoded = decode(&mut input);
        self.received.start = self.received.end - input.len();
        decoded
    }

    /// Reads once, unless received bytes are left. Returns false at the end of the stream.
    ///
    /// # Errors
    /// [`ConversationError`] if no bytes were received.
    pub fn fill(&mut self, limits: WaitLimits<'_>) -> Result<bool, ConversationError> {
        while self.received.is_empty() {
            self.wait(if self.unsent.is_empty() { WaitFor::Readable } else { WaitFor::Either }, limits)?;
            if !self.unsent.is_empty()
                && let Err(error) = self.write_unsent()
            {
                self.unsent.clear();
                self.lost_reset = Some(error).filter(|error| error.kind() == ErrorKind::ConnectionReset);
            }
            match self.stream.try_read(&mut self.buffer) {
                Ok(0) => return self.lost_reset.take().map_or(Ok(false), |error| Err(ConversationError::Io(error))),
                Ok(bytes) => self.received = 0..bytes,
                Err(error) if is_transient(&error) => {}
                Err(error) => return Err(ConversationError::Io(error)),
            }
        }
        Ok(true)
    }

    /// Returns true if data behind the last payload has already arrived. Does not wait for more.
    pub fn has_trailing_data(&mut self) -> bool {
        matches!(self.fill(WaitLimits::no_wait()), Ok(true))
    }

    fn wait(&self, wait_for: WaitFor, limits: WaitLimits<'_>) -> Result<(), ConversationError> {
        match limits.wait(&*self.stream, wait_for).map_err(ConversationError::Io)? {
            WaitResult::Ready => Ok(()),
            WaitResult::Stalled => Err(ConversationError::Stalled),
            WaitResult::DeadlinePassed => Err(ConversationError::DeadlinePassed),
            WaitResult::Cancelled => Err(ConversationError::Cancelled),
        }
    }

    /// Shuts down the write direction. The server then reads the end of the stream.
    ///
    /// # Errors
    /// The system's error; `NotConnected` if the connection has ended.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}

/// Returns true for an error after which the call can be repeated.
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl fmt::Display for ConversationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("timeout: nothing sent or received"),
            Self::DeadlinePassed => f.write_str("timeout: not complete"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Unencodable(error) => error.fmt(f),
            Self::InvalidFrame(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConversationError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unencodable(error) => Some(error),
            Self::InvalidFrame(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::Stalled | Self::DeadlinePassed | Self::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    fn pair(framing: Framing) -> (UnixStream, Conversation) {
        let (theirs, ours) = UnixStream::pair().unwrap();
        (theirs, Conversation::new(SocketStream::from(ours), framing, 16).with_read_bytes(8))
    }

    fn soon() -> WaitLimits<'static> {
        WaitLimits::within(Duration::from_millis(1))
    }

    #[test]
    fn payloads_are_sent_and_received_in_frames() {
        let (mut theirs, mut conversation) = pair(Framing::U8);
        conversation.send(b"hi", WaitLimits::default()).unwrap();
        let mut sent = [0; 3];
        theirs.read_exact(&mut sent).unwrap();
        assert_eq!(sent, *b"\x02hi");
        // More than one read, and more than one frame per read.
        theirs.write_all(b"\x01a\x00\x09123456789\x02b").unwrap();
        for payload in [&b"a"[..], b"", b"123456789"] {
            assert_eq!(conversation.receive(WaitLimits::default()).unwrap().as_deref(), Some(payload));
        }
        assert!(matches!(conversation.receive(soon()), Err(ConversationError::DeadlinePassed)));
        let stall = WaitLimits::default().with_stall_timeout(Some(Duration::from_millis(1)));
        assert!(matches!(conversation.receive(stall), Err(ConversationError::Stalled)));
        theirs.write_all(b"c").unwrap();
        assert_eq!(conversation.receive(soon()).unwrap().as_deref(), Some(&b"bc"[..]));
        drop(theirs);
        assert_eq!(conversation.receive(WaitLimits::default()).unwrap(), None);
        assert!(matches!(conversation.send(b"x", WaitLimits::default()), Err(ConversationError::Io(_))));
        assert!(matches!(conversation.send(&[0; 256], soon()), Err(ConversationError::Unencodable(_))));
    }

    #[test]
    fn a_frame_that_is_too_large_is_an_error() {
        let (mut theirs, mut conversation) = pair(Framing::U8);
        theirs.write_all(b"\x11").unwrap();
        assert!(matches!(conversation.receive(soon()), Err(ConversationError::InvalidFrame(_))));
    }

    #[test]
    fn queued_bytes_are_sent_while_the_response_is_awaited() {
        let (mut theirs, mut conversation) = pair(Framing::Raw);
        let request = vec![7; 1 << 20];
        conversation.queue_bytes(&request);
        let server = std::thread::spawn(move || {
            theirs.write_all(b"early").unwrap();
            let mut received = vec![0; 1 << 20];
            theirs.read_exact(&mut received).unwrap();
            theirs.write_all(b"late").unwrap();
            received
        });
        assert_eq!(conversation.receive_bytes(WaitLimits::default()).unwrap(), b"early");
        assert_eq!(conversation.receive_bytes(WaitLimits::default()).unwrap(), b"late");
        assert_eq!(server.join().unwrap(), request);
        conversation.queue_bytes(b"the server has closed");
        assert_eq!(conversation.receive_bytes(WaitLimits::default()).unwrap(), b"", "the failed write is no error");
    }

    #[test]
    fn trailing_data_is_found_without_waiting() {
        let (mut theirs, mut conversation) = pair(Framing::U8);
        assert!(!conversation.has_trailing_data());
        assert!(matches!(conversation.receive_bytes(WaitLimits::no_wait()), Err(ConversationError::Stalled)));
        theirs.write_all(b"\x01ab").unwrap();
        assert_eq!(conversation.receive(soon()).unwrap().as_deref(), Some(&b"a"[..]));
        assert!(conversation.has_trailing_data());
        let take_first = |input: &mut &[u8]| input.split_off_first().copied();
        assert_eq!((conversation.decode_with(take_first), conversation.decode_with(take_first)), (Some(b'b'), None));
        drop(theirs);
        assert!(!conversation.has_trailing_data(), "end of stream is not data");
        assert_eq!(conversation.receive_bytes(WaitLimits::default()).unwrap(), b"");
    }
}
