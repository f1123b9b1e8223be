//! The settings of the terminal, restored however the program ends.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// The terminal's settings before a line editor changes them. Dropping restores them if the
/// terminal is in raw mode, in which the shell would not show what the user types.
pub(in crate::cli) struct SavedTerminal {
    settings: Option<Termios>,
}

impl SavedTerminal {
    pub(in crate::cli) fn new() -> Self {
        Self { settings: tcgetattr(io::stdin()).ok() }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        // An editor that has ended has already restored the settings.
        let Some(settings) = &self.settings else { return };
        if tcgetattr(io::stdin()).is_ok_and(|now| !now.local_modes.contains(LocalModes::ICANON)) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
            // Turn off bracketed paste and erase the prompt. Bypass the lock of standard output:
            // another thread may hold it.
            let _ = rustix::io::write(io::stdout(), b"\x1b[?2004l\r\x1b[J");
        }
    }
}
