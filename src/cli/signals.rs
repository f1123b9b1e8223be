//! What signals mean: the first SIGINT or SIGTERM drains, the second ends the process at once, SIGUSR1 logs the counters.

use std::io;

use switchboard::Handle;

/// Watches for signals from now on, on a thread that does not outlive the program's work: it holds nothing but the handle, and
/// the process does not wait for it.
///
/// # Errors
/// When the handlers or the thread cannot be had.
#[cfg(unix)]
pub(super) fn watch(handle: Handle) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    let obey = move || {
        let mut draining = false;
        for signal in signals.forever() {
            if signal == SIGUSR1 {
                handle.log_stats();
            } else if draining {
                // As a shell reports a process that a signal has ended.
                std::process::exit(128 + signal);
            } else {
                draining = true;
                handle.drain();
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(obey).map(drop)
}

/// Other platforms have no signals of this kind: Ctrl-C ends the process at once, as it ends any program there.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(super) fn watch(_handle: Handle) -> io::Result<()> {
    Ok(())
}
