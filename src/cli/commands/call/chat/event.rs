//! What reaches a client's driver, and from whom. No behaviour.

use std::sync::mpsc::Sender;

use super::connection::Wire;

/// Something that happened.
pub(super) enum Input {
    /// The user wrote this line.
    Text(String),
    /// The user wrote something that cannot be said, because of this.
    Unreadable(String),
    /// The user's side has something to tell.
    Remark(String),
    /// The user writes no more.
    End,
    /// Something happened to the connection with this number.
    Wire(u64, Wire),
    /// The process was told to end.
    Signal(i32),
}

/// The user's side: whoever reads lines.
pub(super) struct User {
    /// Gets a prompt for each line that may be read.
    pub(super) leave: Sender<String>,
    /// Leaves to read a line that may be out at once.
    pub(super) lines: usize,
    /// Whether a person waits for the prompt, and sees it.
    pub(super) is_person: bool,
}
