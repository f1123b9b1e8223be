//! The mode of the terminal while no line is edited, and its restoration however the program ends.

use std::io;

use rustix::termios::{InputModes, LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::capabilities::is_dumb;

/// The terminal's settings before the program changed them. Dropping any clone restores them.
///
/// Until then, bytes typed while no line is edited stay as they are for the next line: the kernel
/// neither shows nor edits them. In its normal mode it would make two line ends of a CR LF, cut a
/// line after 4,095 bytes, and replace Ctrl-D by a zero byte (termios(3)). Ctrl-C still sends
/// SIGINT.
#[derive(Clone)]
pub(in crate::cli) struct SavedTerminal {
    /// `None` if the terminal keeps its settings.
    settings: Option<Termios>,
}

impl SavedTerminal {
    /// Saves and changes the settings, unless the line editor leaves the editing to the kernel.
    pub(in crate::cli) fn new() -> Self {
        let settings = tcgetattr(io::stdin()).ok().filter(|_| !is_dumb());
        if let Some(saved) = &settings {
            let mut settings = saved.clone();
            settings.local_modes -= LocalModes::ICANON | LocalModes::ECHO | LocalModes::ECHONL | LocalModes::IEXTEN;
            settings.input_modes -= InputModes::ICRNL | InputModes::INLCR | InputModes::IGNCR;
            // `Now` keeps what has been typed already. Ignore the error: the normal mode would do.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &settings);
        }
        Self { settings }
    }
}

impl Drop for SavedTerminal {
    fn drop(&mut self) {
        let Some(settings) = &self.settings else { return };
        let Ok(now) = tcgetattr(io::stdin()) else { return };
        if now.local_modes.contains(LocalModes::ICANON) {
            return;
        }
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, settings);
        // A line editor that was stopped in the middle of a line keeps Ctrl-C for itself.
        if !now.local_modes.contains(LocalModes::ISIG) {
            // Turn off bracketed paste and erase the prompt. Bypass the lock of standard output:
            // another thread may hold it.
            let _ = rustix::io::write(io::stdout(), b"\x1b[?2004l\r\x1b[J");
        }
    }
}
