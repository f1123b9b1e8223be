//! Ctrl-C in the middle of a measurement: the first is noticed at the next opportunity, so that children are stopped and what was
//! measured is told; the second ends the process at once, and the kernel sees to the children.

#[cfg(unix)]
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::error::CliError;

/// Whether the process has been told to end.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Interrupt {
    /// The signal's number; zero: none.
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    /// Notices SIGINT and SIGTERM from now on, and SIGHUP unless the process was started to ignore it, as nohup does.
    ///
    /// # Errors
    /// When a handler cannot be had.
    #[cfg(unix)]
    pub(in crate::cli) fn watch() -> Result<Self, CliError> {
        Self::register().map_err(|error| CliError::Failed(format!("cannot watch for signals: {error}")))
    }

    /// The signals that are noticed.
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
        let told = Arc::new(AtomicBool::new(false));
        for signal in Self::signals() {
            // In this order: the first signal finds the flag down and raises it.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&told))?;
            flag::register(signal, Arc::clone(&told))?;
            flag::register_usize(signal, Arc::clone(&interrupt.signal), signal.unsigned_abs() as usize)?;
        }
        Ok(interrupt)
    }

    /// Other platforms have no signals of this kind: Ctrl-C ends the process at once.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub(in crate::cli) fn watch() -> Result<Self, CliError> {
        Ok(Self::default())
    }

    /// Whether the process has been told to end.
    pub(in crate::cli) fn is_raised(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// The exit code of a process that was told to end, as a shell reports one that a signal has ended.
    pub(in crate::cli) fn exit_code(&self) -> Option<ExitCode> {
        let signal = self.signal.load(Ordering::Relaxed);
        (signal != 0).then(|| ExitCode::from(u8::try_from(128 + signal).unwrap_or(u8::MAX)))
    }
}

/// Whether the process was started with the signal ignored.
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
