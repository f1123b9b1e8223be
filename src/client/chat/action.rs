//! The output of a chat session: what the program must do next.

use super::notice::{Ending, Notice};
use crate::services::chat::wire::{ChatEvent, LabelledRequest};

/// One instruction to the program that drives a [`ChatSession`](super::ChatSession).
#[derive(Clone, Debug, PartialEq)]
pub enum SessionAction {
    /// Open a connection.
    Connect,
    /// Close the connection; the session does not use it again.
    Disconnect,
    /// Send this request.
    Send(LabelledRequest<'static>),
    /// Show this server event.
    Show(ChatEvent<'static>),
    /// Show this notice, which comes from the session itself.
    Notify(Notice),
    /// Stop: the session has ended.
    End(Ending),
}
