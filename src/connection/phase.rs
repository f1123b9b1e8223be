//! The phases of a connection's life.

/// The phase of a connection, from its first byte to its last.
///
/// | from | to | when |
/// |---|---|---|
/// | `Open` | `Closing` | `begin_close`: the peer closed, a limit was exceeded, a service closes |
/// | `Open`, `Closing` | `Aborting` | the same, because the peer is unreachable |
/// | `Closing` | `Flushing` | `close_delivered`: `on_close` has run, later in the same turn |
/// | `Aborting` | `Closed` | `close_delivered` |
/// | `Flushing` | `Lingering` | `advance_close`: all output is sent, our side is shut down |
/// | `Lingering` | `Closed` | the peer has closed its side too, or `linger_timeout` has passed |
/// | any | `Closed` | `abandon`: the peer is unreachable, or the engine gives up on it |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The connection reads frames and answers them.
    Open,
    /// The connection takes no more frames. Its service's `on_close` has yet to run, and may reply.
    Closing,
    /// Like `Closing`, but the peer reads no more output: it is unreachable, and nothing is
    /// flushed.
    Aborting,
    /// The pending output is being written.
    Flushing,
    /// All output is written and the writing side is shut down; input is discarded.
    Lingering,
    /// The connection is over; the engine removes it.
    Closed,
}
