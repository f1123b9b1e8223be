//! What signals mean: the first SIGINT or SIGTERM drains, the second ends the process at once, SIGUSR1 logs the counters.

use std::io;

use crate::cli::engine::AnyEngine;

/// Has signals obeyed from now on.
///
/// A handler writes a byte to a pipe that the engine watches; there is no thread for them. On the reactor a second thread that did nothing but wait would
/// be paid for with every system call of the first: the kernel then has to lock what the two share. The second signal is dealt
/// with in the handler itself, so that it works even if the engine is stuck.
///
/// # Errors
/// When a pipe or a handler cannot be had.
#[cfg(unix)]
pub(super) fn watch(engine: &mut AnyEngine) -> io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    use signal_hook::{flag, low_level::pipe};
    use switchboard::Command;

    let draining = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the first signal finds the flag down and raises it. The status is as a shell reports a process that
        // a signal has ended.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&draining))?;
        flag::register(signal, Arc::clone(&draining))?;
        pipe::register(signal, engine.command_pipe(Command::Drain)?)?;
    }
    pipe::register(SIGUSR1, engine.command_pipe(Command::LogStats)?)?;
    Ok(())
}

/// Other platforms have no signals of this kind: Ctrl-C ends the process at once, as it ends any program there.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(super) fn watch(_engine: &mut AnyEngine) -> io::Result<()> {
    Ok(())
}
