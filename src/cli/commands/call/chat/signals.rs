//! Signals as events of a chat session.

use std::sync::mpsc::SyncSender;

use super::event::ClientEvent;
use crate::cli::error::CliError;

/// Sends an event for SIGINT and SIGTERM, and for SIGHUP if `hangup`. The second signal ends the
/// process immediately, because the first event may wait behind output that is not being read.
#[cfg(unix)]
pub(super) fn watch(events: &SyncSender<ClientEvent>, hangup: bool) -> Result<(), CliError> {
    let watched = register(events.clone(), hangup);
    watched.map_err(|error| CliError::Failed(format!("cannot watch for signals: {error}")))
}

#[cfg(unix)]
fn register(events: SyncSender<ClientEvent>, hangup: bool) -> std::io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::flag;
    use signal_hook::iterator::Signals;

    let is_raised = Arc::new(AtomicBool::new(false));
    let signals: Vec<_> = [SIGINT, SIGTERM].into_iter().chain(hangup.then_some(SIGHUP)).collect();
    for signal in &signals {
        // Handlers run in this order: the first signal finds the flag false and sets it.
        flag::register_conditional_shutdown(*signal, 128 + signal, Arc::clone(&is_raised))?;
        flag::register(*signal, Arc::clone(&is_raised))?;
    }
    let mut signals = Signals::new(signals)?;
    let forward = move || signals.forever().try_for_each(|signal| events.send(ClientEvent::Signal(signal)));
    std::thread::Builder::new().name("signals".into()).spawn(forward).map(drop)
}

/// Does nothing: without Unix signals, Ctrl-C ends the process immediately.
#[cfg(not(unix))]
pub(super) fn watch(_events: &SyncSender<ClientEvent>, _hangup: bool) -> Result<(), CliError> {
    Ok(())
}
