//! Signals that ask a command to end. The first one lets it end in good order; the second ends the
//! process at once, from the signal handler, so that it works even if the command is stuck.
//!
//! Handlers run in the order of their registration.

use std::io::{self, Read};
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
/// thread of its own. SIGHUP is left alone if the process was started with it ignored.
///
/// # Errors
/// [`CliError::Failed`] if a handler cannot be installed or the thread cannot be started.
pub(in crate::cli) fn on_first_signal(hangup: bool, action: impl FnOnce(i32) + Send + 'static) -> Result<(), CliError> {
    let hangup = hangup && !is_ignored(SIGHUP);
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

/// Lets signals write to the command pipes of an engine: the first SIGINT, SIGTERM or SIGHUP
/// drains, and each SIGUSR1 gives the command `on_usr1`. No thread waits for them: a second thread,
/// even an idle one, would slow down every system call of the reactor, because the kernel then
/// locks the state that threads share.
///
/// A second SIGINT or SIGTERM ends the process, see [`SecondSignal`]. SIGHUP does not count,
/// neither as the first nor as the second: a terminal that is closed sends it twice, once by the
/// kernel and once by the shell.
///
/// # Errors
/// [`CliError::Failed`] if a pipe cannot be opened or a handler cannot be installed.
pub(in crate::cli) fn send_commands(
    on_usr1: Command,
    mut open: impl FnMut(Command) -> io::Result<UnixStream>,
) -> Result<SecondSignal, CliError> {
    let mut register = || {
        let second = SecondSignal::watch()?;
        let commands = [(SIGINT, Command::Drain), (SIGTERM, Command::Drain), (SIGUSR1, on_usr1)];
        let hangup = (!is_ignored(SIGHUP)).then_some((SIGHUP, Command::Drain));
        let mut commands = commands.into_iter().chain(hangup);
        commands.try_for_each(|(signal, command)| pipe::register(signal, open(command)?).map(drop))?;
        Ok(second)
    };
    register().map_err(|error: io::Error| watch_error(&error))
}

/// The end of a server by a second SIGINT or SIGTERM, from the signal handler: the process exits
/// even if a callback blocks the engine. No destructor runs, so a server with socket files must
/// delay this end until they are removed.
#[derive(Debug)]
pub(in crate::cli) struct SecondSignal {
    /// A signal that arrives while this is true ends the process.
    ends_process: Arc<AtomicBool>,
    /// Number of the last signal.
    signal: Arc<AtomicUsize>,
    /// One byte for each signal.
    received: UnixStream,
}

impl SecondSignal {
    fn watch() -> io::Result<Self> {
        let (received, writer) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        let (ends_process, signal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for number in [SIGINT, SIGTERM] {
            flag::register_usize(number, Arc::clone(&signal), number.unsigned_abs() as usize)?;
            // Before the look at the flag: two signals may be handled on two threads at once, and
            // one that finds the flag unset has to be counted when the flag is set.
            pipe::register(number, writer.try_clone()?)?;
            flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&ends_process))?;
        }
        Ok(Self { ends_process, signal, received })
    }

    /// Lets the second signal end the process whenever it arrives.
    ///
    /// # Errors
    /// [`CliError::Failed`] if a handler cannot be installed.
    pub(in crate::cli) fn allow(&self) -> Result<(), CliError> {
        let register = |number| flag::register(number, Arc::clone(&self.ends_process)).map(drop);
        [SIGINT, SIGTERM].into_iter().try_for_each(register).map_err(|error| watch_error(&error))
    }

    /// Lets the second signal end the process from now on, because the engine drains. Ends it now
    /// if two signals have arrived.
    ///
    /// # Errors
    /// As for [`allow`](Self::allow).
    pub(in crate::cli) fn allow_while_draining(&mut self) -> Result<(), CliError> {
        // The engine may drain for another reason than a signal, so none may have arrived. Before
        // the count, so that each signal is counted here, or the one after it ends the process.
        self.allow()?;
        let mut count = self.take_received();
        if count == 1 {
            self.ends_process.store(true, Ordering::SeqCst);
            // One more may have arrived before the store.
            count += self.take_received();
        }
        if count > 1 {
            let signal = i32::try_from(self.signal.load(Ordering::SeqCst)).unwrap_or_default();
            std::process::exit(128 + signal);
        }
        Ok(())
    }

    /// Returns the number of signals since the last call, at most 2.
    fn take_received(&mut self) -> usize {
        // An error means that none has arrived.
        self.received.read(&mut [0; 2]).unwrap_or(0)
    }
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
