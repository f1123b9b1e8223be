//! The parts that every chat session has: its display, the queue of its events, and the threads
//! that put signals and input lines into it.

use std::io;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use super::display::ChatDisplay;
use super::event::ClientEvent;
use crate::cli::error::CliError;
use crate::cli::process::signals;

/// Events queued for a session's loop. When the queue is full, the threads that read sockets and
/// input wait.
const MAX_QUEUED_EVENTS: usize = 256;

/// A session's input and output.
pub(super) struct SessionIo {
    pub(super) display: Box<dyn ChatDisplay>,
    pub(super) events: Receiver<ClientEvent>,
    pub(super) event_sender: SyncSender<ClientEvent>,
    /// Permits the thread `input` to read one line; the value is the prompt.
    pub(super) permits: Sender<String>,
    /// True if a person types at a prompt.
    pub(super) is_interactive: bool,
}

/// The rest of a session, which runs to its end.
pub(super) type RunSession = Box<dyn FnOnce(SessionIo) -> Result<ExitCode, CliError>>;

impl SessionIo {
    /// Starts the threads `signals` and `input`; the latter runs `read`. A hangup ends the session
    /// of a person; otherwise it keeps its default action.
    pub(super) fn start(
        display: Box<dyn ChatDisplay>,
        is_interactive: bool,
        read: impl FnOnce(&Receiver<String>, &SyncSender<ClientEvent>) + Send + 'static,
    ) -> Result<Self, CliError> {
        let (event_sender, events) = sync_channel(MAX_QUEUED_EVENTS);
        let signal_sender = event_sender.clone();
        signals::on_first_signal(is_interactive, move |signal| {
            // If the receiver is gone, the program is about to end.
            let _ = signal_sender.send(ClientEvent::Signal(signal));
        })?;
        let (permits, permit_receiver) = channel();
        let input_sender = event_sender.clone();
        spawn("input", move || read(&permit_receiver, &input_sender))?;
        Ok(Self { display, events, event_sender, permits, is_interactive })
    }
}

/// Returns the exit code of a program that ends by a signal.
pub(super) fn signal_exit_code(signal: i32) -> ExitCode {
    ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX))
}

/// Starts a thread.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), CliError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map(drop).map_err(|error| thread_error(&error))
}

/// Builds the error for a thread that could not be started.
pub(super) fn thread_error(error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot start a thread: {error}"))
}
