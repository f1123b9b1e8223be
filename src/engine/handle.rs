//! The handle by which other threads reach an engine, and the engine's receiving side.

use std::fmt;

use crate::engine::jobs::WakeFn;
use crate::service::{Message, ServiceId};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// A handle to an engine for other threads. Cloning is cheap.
#[derive(Clone)]
pub struct Handle {
    messages: SyncSender<(ServiceId, Message)>,
    flags: Arc<CommandFlags>,
    wake: WakeFn,
}

/// A command to an engine, as a [`Handle`] gives it, or a byte written to a pipe: see
/// `Reactor::command_pipe` and `Threaded::command_pipe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// See [`Handle::drain`].
    Drain,
    /// See [`Handle::stop`].
    Stop,
    /// See [`Handle::log_stats`].
    LogStats,
    /// Calls the service's [`on_post`](crate::Service::on_post) with the message `()`.
    Post(ServiceId),
}

/// The requested commands, one flag each: a repeated request has no further effect.
#[derive(Default)]
struct CommandFlags {
    drain: AtomicBool,
    stop: AtomicBool,
    log_stats: AtomicBool,
    /// The engine has been woken and has not looked yet; a second wake-up would be a wasted system
    /// call.
    waking: AtomicBool,
}

impl Handle {
    /// Sends `message` to a service, which receives it in [`on_post`](crate::Service::on_post).
    ///
    /// # Errors
    /// [`PostError`] returns the message if the queue is full or the engine has ended.
    pub fn post(&self, service: ServiceId, message: Message) -> Result<(), PostError> {
        self.messages.try_send((service, message)).map_err(|error| match error {
            TrySendError::Full((_, message)) => PostError::Full(message),
            TrySendError::Disconnected((_, message)) => PostError::Ended(message),
        })?;
        self.wake();
        Ok(())
    }

    /// Stops the engine gracefully: it accepts no more connections, reads no more requests, and
    /// flushes queued output until `Limits::drain_timeout`.
    pub fn drain(&self) {
        self.flags.drain.store(true, Ordering::Release);
        self.wake();
    }

    /// Stops the engine at once. Queued output is lost.
    pub fn stop(&self) {
        self.flags.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// Makes the engine write its statistics to the log, at level `info`.
    pub fn log_stats(&self) {
        self.flags.log_stats.store(true, Ordering::Release);
        self.wake();
    }

    /// Wakes the engine, unless a wake-up is pending.
    fn wake(&self) {
        if !self.flags.waking.swap(true, Ordering::AcqRel) {
            (self.wake)();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle(..)")
    }
}

/// The error of posting a message. It holds the message.
pub enum PostError {
    /// The queue holds `Limits::max_queued_messages` messages.
    Full(Message),
    /// The engine has ended.
    Ended(Message),
}

impl PostError {
    /// Returns the message that was not posted.
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
            Self::Full(_) => "message not posted: the queue is full",
            Self::Ended(_) => "message not posted: the engine has ended",
        })
    }
}

impl std::error::Error for PostError {}

/// The engine's side of its handles.
pub(crate) struct HandleReceiver {
    messages: Receiver<(ServiceId, Message)>,
    max_queued_messages: usize,
    flags: Arc<CommandFlags>,
    /// Commands that wait for the messages that were posted before them, at most `messages_due`.
    commands: Vec<Command>,
    messages_due: usize,
}

impl HandleReceiver {
    /// Notes the commands requested since the last call. Then the engine takes
    /// [messages](Self::next_message) until there is none, and then the
    /// [commands](Self::take_commands), in this turn or a later one.
    pub(crate) fn begin(&mut self) {
        let CommandFlags { drain, stop, log_stats, waking } = &*self.flags;
        // Cleared before the flags are read, so that a later request wakes the engine again. An
        // exchange: after a store, this thread might not see yet what an earlier request has left,
        // which found the flag set and woke nobody.
        waking.swap(false, Ordering::AcqRel);
        let all = [(log_stats, Command::LogStats), (drain, Command::Drain), (stop, Command::Stop)];
        let requested = all.map(|(signal, command)| signal.swap(false, Ordering::AcqRel).then_some(command));
        // At most as many messages as the queue holds come before a command: a thread that posts
        // without end must not keep it waiting.
        if self.commands.is_empty() {
            self.messages_due = self.max_queued_messages;
        }
        self.commands.extend(requested.into_iter().flatten());
    }

    /// Removes and returns the oldest message. Returns `None` if the commands are due.
    pub(crate) fn next_message(&mut self) -> Option<(ServiceId, Message)> {
        let others_due = self.messages_due.checked_sub(1)?;
        let message = self.messages.try_recv().ok()?;
        self.messages_due = others_due;
        Some(message)
    }

    /// Returns true if messages may be left that the last wake-up was for.
    pub(crate) fn may_have_more(&self) -> bool {
        self.messages_due == 0
    }

    /// Takes the commands, once no message is left before them.
    pub(crate) fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }
}

/// Creates a handle and its receiving side.
pub(crate) fn pair(wake: WakeFn, max_queued_messages: usize) -> (Handle, HandleReceiver) {
    let (sender, receiver) = sync_channel(max_queued_messages);
    let flags = Arc::new(CommandFlags::default());
    let receiver_side = HandleReceiver {
        messages: receiver,
        max_queued_messages,
        flags: Arc::clone(&flags),
        commands: Vec::new(),
        messages_due: 0,
    };
    (Handle { messages: sender, flags, wake }, receiver_side)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_behind_a_command_that_waited_are_known() {
        let (handle, mut receiver) = pair(Arc::new(|| ()), 1);
        let post = |number: u8| handle.post(ServiceId(0), Box::new(number)).unwrap();
        handle.log_stats();
        post(1);
        receiver.begin();
        assert!(receiver.next_message().is_some());
        // The time of the turn is over, and the next message comes.
        post(2);
        receiver.begin();
        assert!(receiver.next_message().is_none(), "the command is due");
        assert_eq!(receiver.take_commands().len(), 1);
        assert!(receiver.may_have_more());
        receiver.begin();
        assert!(receiver.next_message().is_some());
        assert!(receiver.next_message().is_none() && receiver.may_have_more());
        receiver.begin();
        assert!(receiver.next_message().is_none() && !receiver.may_have_more());
    }
}
