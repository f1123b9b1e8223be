//! The state of an engine as a whole.

/// The state of an engine. A state never goes back to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunState {
    Serving,
    /// The engine accepts no connections and no further requests, and flushes the pending output.
    Draining,
    Stopped,
}
