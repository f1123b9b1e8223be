//! Remembered readiness, and the engine's lists that a connection is in.

/// Independent facts about a connection, most of them read on every step.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts, each set and cleared on its own")]
pub(crate) struct Flags {
    /// A read may return bytes or the end of the stream.
    pub(crate) readable: bool,
    /// The socket may take bytes.
    pub(crate) writable: bool,
    /// An event reported the peer's end of stream or an error, and reading goes on until a read
    /// returns it.
    pub(crate) eof_reported: bool,
    /// The peer sent urgent data, at an unknown place in the stream. A read may end there although
    /// more bytes follow.
    pub(crate) urgent: bool,
    /// A read has returned the end of the stream.
    pub(crate) eof_read: bool,
    /// The connection is in the ready queue.
    pub(crate) scheduled: bool,
    /// Other connections' callbacks have queued output for this connection in this turn.
    pub(crate) dirty: bool,
    /// Reading is paused until all connections together buffer fewer bytes.
    pub(crate) memory_paused: bool,
    /// The service asked for `on_writable`, once the queue is at low water.
    pub(crate) writable_requested: bool,
    /// The reason for closing means that the peer reads no more output.
    pub(crate) unreachable: bool,
    /// A pending connection that was rejected: no service has seen it.
    pub(crate) rejected: bool,
}
