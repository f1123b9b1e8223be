//! Signals, as one more thing that happens to a client.

use std::sync::mpsc::SyncSender;

use super::event::Input;
use crate::cli::failure::Failure;

/// Has SIGINT and SIGTERM, and where asked for the terminal's SIGHUP, end the program in good order. The second of them ends it at
/// once: the first may be waiting behind a reader who takes nothing.
#[cfg(unix)]
pub(super) fn watch(inputs: &SyncSender<Input>, hangup: bool) -> Result<(), Failure> {
    let watched = register(inputs.clone(), hangup);
    watched.map_err(|error| Failure::Failed(format!("cannot watch for signals: {error}")))
}

#[cfg(unix)]
fn register(inputs: SyncSender<Input>, hangup: bool) -> std::io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    let told = Arc::new(AtomicBool::new(false));
    let signals: Vec<_> = [SIGINT, SIGTERM].into_iter().chain(hangup.then_some(SIGHUP)).collect();
    for signal in &signals {
        // In this order: the first signal finds the flag down and raises it.
        flag::register_conditional_shutdown(*signal, 128 + signal, Arc::clone(&told))?;
        flag::register(*signal, Arc::clone(&told))?;
    }
    let mut signals = Signals::new(signals)?;
    let tell = move || signals.forever().try_for_each(|signal| inputs.send(Input::Signal(signal)));
    std::thread::Builder::new().name("signals".into()).spawn(tell).map(drop)
}

/// Other platforms have no signals of this kind: Ctrl-C ends the process at once.
#[cfg(not(unix))]
pub(super) fn watch(_inputs: &SyncSender<Input>, _hangup: bool) -> Result<(), Failure> {
    Ok(())
}
