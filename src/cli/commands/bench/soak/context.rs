//! The means of every client of a soak: addresses, the stop signal, random choices, and limits for
//! its waits.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use switchboard::client::{CancelToken, Conversation, ConversationError, WaitFor, WaitLimits, WaitResult};
use switchboard::{Endpoint, Framing, SocketStream};

use super::site::SiteContents;
use super::tally::Tally;

/// The time in which an honest client must have its answer. The machine may be busy with the
/// attacks, so only an answer that would never come is late.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The largest payload that a client accepts.
const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// The signal that ends all clients of one phase.
#[derive(Debug)]
pub(super) struct StopSignal {
    raised: AtomicBool,
    /// Readable from the signal on.
    readable: UnixStream,
    other_end: UnixStream,
}

impl StopSignal {
    pub(super) fn new() -> io::Result<Self> {
        let (readable, other_end) = UnixStream::pair()?;
        Ok(Self { raised: AtomicBool::new(false), readable, other_end })
    }

    pub(super) fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        // The peer of a socket that was shut down is readable. It fails only if it was before.
        let _ = self.other_end.shutdown(Shutdown::Both);
    }

    pub(super) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    fn token(&self) -> CancelToken<'_> {
        CancelToken::when_readable(self.readable.as_fd())
    }

    /// Waits for the signal, for at most `pause`. Returns false once it is raised, or if `cancel`
    /// cancels the wait.
    pub(super) fn wait(&self, pause: Duration, cancel: CancelToken<'_>) -> bool {
        let limits = WaitLimits { stall_timeout: Some(pause), cancel, ..WaitLimits::default() };
        matches!(limits.wait(&self.readable, WaitFor::Readable), Ok(WaitResult::Stalled))
    }
}

/// The means of one client.
pub(super) struct ActorContext<'a> {
    pub(super) site: &'a SiteContents,
    pub(super) tally: &'a Tally,
    pub(super) stop: &'a StopSignal,
    pub(super) random: fastrand::Rng,
}

/// The end of a round before its last answer.
#[derive(Debug)]
pub(super) enum RoundEnd {
    /// The soak is over.
    Stopped,
    /// The server has made a mistake.
    Fault(String),
}

impl From<String> for RoundEnd {
    fn from(text: String) -> Self {
        Self::Fault(text)
    }
}

impl From<ConversationError> for RoundEnd {
    fn from(error: ConversationError) -> Self {
        match error {
            ConversationError::Cancelled => Self::Stopped,
            error => Self::Fault(error.to_string()),
        }
    }
}

impl From<io::Error> for RoundEnd {
    fn from(error: io::Error) -> Self {
        Self::Fault(error.to_string())
    }
}

/// The number of checked answers of a round.
pub(super) type RoundResult = Result<u64, RoundEnd>;

/// Connects to a listener.
pub(super) fn converse(endpoint: &Endpoint, framing: Framing) -> Result<Conversation, RoundEnd> {
    let connected = SocketStream::connect(std::slice::from_ref(endpoint), ANSWER_TIMEOUT);
    let stream = connected.map_err(|error| RoundEnd::Fault(format!("not connected: {error}")))?;
    Ok(Conversation::new(stream, framing, MAX_PAYLOAD_BYTES))
}

impl ActorContext<'_> {
    /// Returns the limits of an honest client's wait for one answer.
    pub(super) fn limits(&self) -> WaitLimits<'_> {
        WaitLimits { cancel: self.stop.token(), ..WaitLimits::within(ANSWER_TIMEOUT) }
    }

    /// Returns the limits of a wait that takes at most `time`.
    pub(super) fn limits_within(&self, time: Duration) -> WaitLimits<'_> {
        WaitLimits { cancel: self.stop.token(), deadline: Instant::now().checked_add(time), stall_timeout: None }
    }

    /// Waits for `pause`. Returns false once the soak is over.
    pub(super) fn pause(&self, pause: Duration) -> bool {
        self.stop.wait(pause, CancelToken::never())
    }

    /// Repeats an honest client's round until the soak is over, with a `pause` in between.
    pub(super) fn repeat(&mut self, pause: Duration, round: impl Fn(&mut Self) -> RoundResult) {
        while !self.stop.is_raised() {
            match round(self) {
                Ok(answers) => self.tally.add_round(answers),
                Err(RoundEnd::Stopped) => return,
                Err(RoundEnd::Fault(text)) => self.tally.add_faults(1, text),
            }
            self.pause(pause);
        }
    }
}
