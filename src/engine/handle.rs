//! The one thing of an engine that another thread may hold, and the engine's end of it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::engine::jobs::Wake;
use crate::service::{Message, ServiceId};

/// Reaches a running engine from other threads. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    messages: SyncSender<(ServiceId, Message)>,
    signals: Arc<Signals>,
    wake: Wake,
}

/// What an engine can be asked for with a single byte, see `Reactor::command_pipe` and `Threaded::command_pipe`. A
/// [`Handle`] asks for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// As [`Handle::drain`].
    Drain,
    /// As [`Handle::stop`].
    Stop,
    /// As [`Handle::log_stats`].
    LogStats,
}

/// Commands that need no queue because one of each is enough.
#[derive(Default)]
struct Signals {
    drain: AtomicBool,
    stop: AtomicBool,
    log_stats: AtomicBool,
    /// A wake-up is under way; another would be a system call for nothing.
    waking: AtomicBool,
}

impl Handle {
    /// Sends `message` to a service, which gets it in [`on_post`](crate::Service::on_post).
    ///
    /// # Errors
    /// [`PostError`] gives the message back when too many wait or the engine has ended.
    pub fn post(&self, service: ServiceId, message: Message) -> Result<(), PostError> {
        self.messages.try_send((service, message)).map_err(|error| match error {
            TrySendError::Full((_, message)) => PostError::Full(message),
            TrySendError::Disconnected((_, message)) => PostError::Ended(message),
        })?;
        self.wake();
        Ok(())
    }

    /// Stops in good order: no newcomers, no further requests, everything owed is flushed until the drain timeout.
    pub fn drain(&self) {
        self.signals.drain.store(true, Ordering::Release);
        self.wake();
    }

    /// Stops at once; what is owed is lost.
    pub fn stop(&self) {
        self.signals.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Has the counters written to the log, at level `info`.
    pub fn log_stats(&self) {
        self.signals.log_stats.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if !self.signals.waking.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

/// Why a message was not posted; it is given back.
pub enum PostError {
    /// `Limits::max_queued_messages` messages wait already.
    Full(Message),
    /// The engine has ended.
    Ended(Message),
}

impl PostError {
    /// The message that was not posted.
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Ended(message) => message,
        }
    }
}

impl fmt::Debug for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too many messages wait for the engine",
            Self::Ended(_) => "the engine has ended",
        })
    }
}

impl std::error::Error for PostError {}

/// The engine's end of its handles.
pub(crate) struct Inbox {
    messages: Receiver<(ServiceId, Message)>,
    signals: Arc<Signals>,
}

impl Inbox {
    /// What handles have asked for since the last look. Messages are taken one by one afterwards.
    pub(crate) fn take_commands(&self) -> impl Iterator<Item = Command> + use<> {
        let Signals { drain, stop, log_stats, waking } = &*self.signals;
        // Before anything is looked at: what comes after this line wakes the loop again.
        waking.store(false, Ordering::Release);
        let all = [(log_stats, Command::LogStats), (drain, Command::Drain), (stop, Command::Stop)];
        let asked = all.map(|(signal, command)| signal.swap(false, Ordering::AcqRel).then_some(command));
        asked.into_iter().flatten()
    }

    pub(crate) fn next_message(&self) -> Option<(ServiceId, Message)> {
        self.messages.try_recv().ok()
    }
}

pub(crate) fn pair(wake: Wake, max_queued_messages: usize) -> (Handle, Inbox) {
    let (sender, receiver) = sync_channel(max_queued_messages);
    let signals = Arc::new(Signals::default());
    let inbox = Inbox { messages: receiver, signals: Arc::clone(&signals) };
    (Handle { messages: sender, signals, wake }, inbox)
}
