//! Ctrl-C during a measurement. The first signal sets a flag: the command stops its children and
//! reports what it has measured. The second ends the process at once, and the kernel kills the
//! children.

#[cfg(unix)]
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::error::CliError;

/// A flag that the first signal to end the process sets.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Interrupt {
    /// Number of the received signal, zero before any.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Installs handlers for SIGINT and SIGTERM, and for SIGHUP unless the process was started with
    /// it ignored, as by nohup.
    ///
    /// # Errors
    /// [`CliError::Failed`] if a handler cannot be installed.
    #[cfg(unix)]
    pub(in crate::cli) fn watch() -> Result<Self, CliError> {
        Self::register().map_err(|error| CliError::Failed(format!("cannot install signal handlers: {error}")))
    }

    /// Returns the signals that set the flag.
    #[cfg(unix)]
    pub(in crate::cli) fn signals() -> impl Iterator<Item = i32> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

        let hangup = (!is_ignored(SIGHUP)).then_some(SIGHUP);
        [SIGINT, SIGTERM].into_iter().chain(hangup)
    }

    #[cfg(unix)]
    fn register() -> io::Result<Self> {
        use signal_hook::flag;
        use std::sync::atomic::AtomicBool;

        let interrupt = Self::default();
        let is_interrupted = Arc::new(AtomicBool::new(false));
        for signal in Self::signals() {
            // The order matters: the first signal finds the flag unset, so only the second ends the
            // process.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&is_interrupted))?;
            flag::register(signal, Arc::clone(&is_interrupted))?;
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal.unsigned_abs() as usize)?;
        }
        Ok(interrupt)
    }

    /// Does nothing: without Unix signals, Ctrl-C ends the process at once.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(in crate::cli) fn watch() -> Result<Self, CliError> {
        Ok(Self::default())
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

/// Returns true if the process was started with the signal ignored.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let ignored = procfs::process::Process::myself().and_then(|own| own.status()).map_or(0, |status| status.sigign);
    // The lowest bit is signal 1 (proc_pid_status(5)).
    ignored >> (signal - 1) & 1 == 1
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_ignored(_signal: i32) -> bool {
    false
}
