//! Signals of `serve`: the first SIGINT or SIGTERM drains, the second ends the process at once, and
//! SIGUSR1 logs the counters.

use std::io;

use crate::cli::engine::AnyEngine;

/// Installs the signal handlers.
///
/// A handler writes a byte to a pipe that the engine polls, so no thread waits for signals. A
/// second thread, even an idle one, would slow down every system call of the reactor, because the
/// kernel then locks the state that threads share. The handler itself deals with the second signal,
/// so that it works even if the engine is stuck.
///
/// # Errors
/// The system's error if a pipe cannot be created or a handler cannot be installed.
#[cfg(unix)]
pub(super) fn install(engine: &mut AnyEngine) -> io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::{flag, low_level::pipe};
    use switchboard::Command;

    let draining = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag unset, so only the second ends the
        // process. Its exit code is the one that a shell reports for a process ended by a signal.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&draining))?;
        flag::register(signal, Arc::clone(&draining))?;
        pipe::register(signal, engine.command_pipe(Command::Drain)?)?;
    }
    pipe::register(SIGUSR1, engine.command_pipe(Command::LogStats)?)?;
    Ok(())
}

/// Does nothing: without Unix signals, Ctrl-C ends the process at once.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(super) fn install(_engine: &mut AnyEngine) -> io::Result<()> {
    Ok(())
}
