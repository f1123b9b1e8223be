//! The workloads: the messages of a load, and the check of their answers. The driver owns
//! everything else.

pub mod chat;
pub(super) mod echo;

use std::io;

use super::connection::{ConnectionEnd, ConnectionResult, LoadConnection};
use super::connections::Connections;
use super::outcome::Faults;
use super::run_context::RunContext;
use super::write_batch::WriteBatch;

/// One kind of load. Slots number the planned connections; slow readers have the slots after them.
pub(super) trait Workload {
    /// The workload's state of one connection.
    type Client;
    /// The results that only this workload has.
    type Outcome;

    /// Broken and refused connections are opened again.
    const RECONNECTS: bool;
    /// The longest time that the last answers are awaited, in answer timeouts.
    const MAX_FINISHING_TIMEOUTS: u32;

    /// Creates the state of a new connection.
    fn new_client(&mut self, is_datagram: bool) -> Self::Client;

    /// Begins the handshake, or establishes the connection if there is no handshake.
    fn on_connected(
        &mut self,
        connection: &mut LoadConnection<Self::Client>,
        context: &mut RunContext,
    ) -> ConnectionResult;

    /// Returns the error of a connection that was not established within the answer timeout.
    fn connect_timeout_error(&self) -> io::Error {
        io::ErrorKind::TimedOut.into()
    }

    /// Returns false if a read cannot return an answer and need not be tried.
    fn expects_input(&self, _connection: &LoadConnection<Self::Client>, _context: &RunContext) -> bool {
        true
    }

    /// Checks received bytes; for a datagram socket, one datagram.
    fn on_input(
        &mut self,
        connection: &mut LoadConnection<Self::Client>,
        input: &[u8],
        context: &mut RunContext,
    ) -> ConnectionResult;

    /// Adds the messages that may be sent now to an empty batch, until it is full.
    fn fill_batch(
        &mut self,
        connection: &mut LoadConnection<Self::Client>,
        batch: &mut WriteBatch,
        context: &mut RunContext,
    );

    /// Returns the table that the sections of a batch refer to.
    fn table(&self) -> &[u8] {
        &[]
    }

    /// Handles the end of an established connection.
    fn on_end(&mut self, connection: &mut LoadConnection<Self::Client>, end: &ConnectionEnd, context: &mut RunContext);

    /// Gives up the messages of an established connection that were sent at `overdue_ns` or
    /// earlier. Returns true if there were any, so that the connection may send again.
    fn expire(
        &mut self,
        _connection: &mut LoadConnection<Self::Client>,
        _overdue_ns: u64,
        _context: &mut RunContext,
    ) -> ConnectionResult<bool> {
        Ok(false)
    }

    /// Runs about ten times a second. Messages sent at `overdue_ns` or earlier are given up; `None`
    /// before the first answer timeout is over.
    fn on_tick(&mut self, _overdue_ns: Option<u64>) {}

    /// Returns the slots that send, in the order of the send schedule. Called at the end of the
    /// connecting phase.
    fn start(&mut self, connections: &Connections<Self::Client>) -> Vec<usize>;

    /// Returns the slot that sends a message now although nothing has happened on its connection.
    fn next_ready(&mut self, _context: &RunContext) -> Option<usize> {
        None
    }

    /// Returns true if no further answer is expected on this connection.
    fn is_done(&self, _connection: &LoadConnection<Self::Client>) -> bool {
        true
    }

    /// Returns true if every answer to a sent message has arrived on the connections together.
    fn is_complete(&self, _connections: &Connections<Self::Client>) -> bool {
        true
    }

    /// Returns the time of the last progress; the last phase ends without waiting any longer if
    /// there has been none for the answer timeout. `None` if progress does not matter.
    fn last_progress_ns(&self) -> Option<u64> {
        None
    }

    /// Adds the workload's own faults to `counted`, those that the driver has counted.
    fn faults(&self, counted: Faults) -> Faults {
        counted
    }

    /// Ends the run: records the waiting times of missing answers, and returns how many are
    /// unanswered.
    fn finish(&mut self, ending: RunEnding, connections: &Connections<Self::Client>, context: &mut RunContext) -> u64;

    /// Returns the workload's own results. `faults` are those that the driver has counted.
    fn into_outcome(self, faults: Faults) -> Self::Outcome;
}

/// The way in which a run has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunEnding {
    /// The run has reached its last phase.
    pub(super) is_measured: bool,
    /// The outstanding answers were awaited long enough, so they are missing.
    pub(super) is_final: bool,
}
