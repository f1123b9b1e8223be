//! Signals that ask a command to end. The first one lets it end in good order; the second ends the
//! process at once, from the signal handler, so that it works even if the command is stuck.
//!
//! Handlers run in the order of their registration.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level::pipe};
use switchboard::Command;
use switchboard::client::CancelToken;

use crate::cli::error::CliError;

/// A flag and a descriptor that the first SIGINT, SIGTERM or SIGHUP sets. SIGHUP is left alone if
/// the process was started with it ignored, as by nohup.
#[derive(Debug)]
pub(in crate::cli) struct Interrupt {
    /// Number of the received signal, zero before any.
    signal: Arc<AtomicUsize>,
    /// Readable from the first signal on; never read.
    notifier: UnixStream,
}

impl Interrupt {
    /// Installs the signal handlers.
    ///
    /// # Errors
    /// [`CliError::Failed`] if a handler or its socket pair cannot be created.
    pub(in crate::cli) fn watch() -> Result<Self, CliError> {
        Self::register().map_err(|error| watch_error(&error))
    }

    fn register() -> io::Result<Self> {
        let (notifier, writer) = UnixStream::pair()?;
        let raised = Arc::new(AtomicUsize::new(0));
        let signals: Vec<_> = [SIGINT, SIGTERM].into_iter().chain((!is_ignored(SIGHUP)).then_some(SIGHUP)).collect();
        end_on_second(&signals)?;
        for signal in signals {
            flag::register_usize(signal, Arc::clone(&raised), signal.unsigned_abs() as usize)?;
            // After the flag, so that it is set before the descriptor is readable.
            pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self { signal: raised, notifier })
    }

    /// Returns a token that the first signal cancels: it ends a wait, also if it arrives just
    /// before.
    pub(in crate::cli) fn cancel_token(&self) -> CancelToken<'_> {
        CancelToken::when_readable(self.notifier.as_fd())
    }

    /// Returns true if a signal has asked the process to end.
    pub(in crate::cli) fn is_raised(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// Returns 128 plus the signal's number if a signal was received, as a shell reports a process
    /// ended by a signal.
    pub(in crate::cli) fn exit_code(&self) -> Option<ExitCode> {
        let signal = self.signal.load(Ordering::Relaxed);
        (signal != 0).then(|| ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)))
    }
}

/// Calls `action` with the number of the first SIGINT or SIGTERM, or SIGHUP if `hangup`, on a
/// thread of its own.
///
/// # Errors
/// [`CliError::Failed`] if a handler cannot be installed or the thread cannot be started.
pub(in crate::cli) fn on_first_signal(hangup: bool, action: impl FnOnce(i32) + Send + 'static) -> Result<(), CliError> {
    let signals: Vec<_> = [SIGINT, SIGTERM].into_iter().chain(hangup.then_some(SIGHUP)).collect();
    let register = || {
        end_on_second(&signals)?;
        let mut received = Signals::new(&signals)?;
        let wait = move || {
            if let Some(signal) = received.forever().next() {
                action(signal);
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
    };
    register().map_err(|error| watch_error(&error))
}

/// Ends the process as if no handler were installed for `signal`.
pub(in crate::cli) fn end_by_signal(signal: i32) {
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// Lets signals write to the command pipes of an engine: the first SIGINT or SIGTERM drains, and
/// each SIGUSR1 logs the counters. No thread waits for them: a second thread, even an idle one,
/// would slow down every system call of the reactor, because the kernel then locks the state that
/// threads share.
///
/// # Errors
/// [`CliError::Failed`] if a pipe cannot be opened or a handler cannot be installed.
pub(in crate::cli) fn send_commands(mut open: impl FnMut(Command) -> io::Result<UnixStream>) -> Result<(), CliError> {
    let mut register = || {
        end_on_second(&[SIGINT, SIGTERM])?;
        let commands = [(SIGINT, Command::Drain), (SIGTERM, Command::Drain), (SIGUSR1, Command::LogStats)];
        commands.into_iter().try_for_each(|(signal, command)| pipe::register(signal, open(command)?).map(drop))
    };
    register().map_err(|error| watch_error(&error))
}

/// Lets the second of `signals` end the process, with the exit code that a shell reports for a
/// process ended by a signal.
fn end_on_second(signals: &[i32]) -> io::Result<()> {
    let is_raised = Arc::new(AtomicBool::new(false));
    for signal in signals {
        // The order matters: the first signal finds the flag unset, and sets it.
        flag::register_conditional_shutdown(*signal, 128 + signal, Arc::clone(&is_raised))?;
        flag::register(*signal, Arc::clone(&is_raised))?;
    }
    Ok(())
}

fn watch_error(error: &io::Error) -> CliError {
    CliError::Failed(format!("cannot watch for signals: {error}"))
}

/// Returns true if the process was started with the signal ignored.
fn is_ignored(signal: i32) -> bool {
    #[cfg(target_os = "linux")]
    let ignored = procfs::process::Process::myself().and_then(|own| own.status()).map_or(0, |status| status.sigign);
    #[cfg(not(target_os = "linux"))]
    let ignored = 0_u64;
    // The lowest bit is signal 1 (proc_pid_status(5)).
    ignored >> (signal - 1) & 1 == 1
}
