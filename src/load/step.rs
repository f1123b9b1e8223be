//! One step of a connection: it reads and checks what has arrived, then sends what it may send, as
//! far as the socket and the budgets of a step allow.

use super::connection::{ConnectionEnd, ConnectionResult, ConnectionState, LoadConnection};
use super::net::SocketEvent;
use super::run_context::{IoBuffers, RunContext};
use super::workload::Workload;

/// Batches that a connection sends in one step before the other connections are served.
const MAX_BATCHES: usize = 16;

/// Bytes that a connection reads in one step before the other connections are served, and the
/// driver checks the time. Without this limit, a peer that sends without end would stop the run.
const READ_BUDGET_BYTES: usize = 256 * 1024;

/// Bytes of the read budget that a read takes at least, for its system call.
const MIN_READ_COST_BYTES: usize = 4 * 1024;

/// The driver's next action for a connection after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextStep {
    /// Waits for its next event.
    Wait,
    /// Steps it again: it yielded to the other connections before its work was done.
    StepAgain,
}

/// Takes note of what the kernel reports, then steps.
pub(super) fn handle_event<W: Workload>(
    workload: &mut W,
    connection: &mut LoadConnection<W::Client>,
    event: SocketEvent,
    context: &mut RunContext,
    buffers: &mut IoBuffers,
) -> ConnectionResult<NextStep> {
    connection.note_event(event, context.now_ns);
    if connection.state == ConnectionState::Connecting {
        if !connection.socket.is_connected().map_err(ConnectionEnd::Refused)? {
            return Ok(NextStep::Wait);
        }
        context.read_clock();
        workload.on_connected(connection, context)?;
    }
    step(workload, connection, context, buffers)
}

/// Reads and writes as far as the socket and the budgets allow.
pub(super) fn step<W: Workload>(
    workload: &mut W,
    connection: &mut LoadConnection<W::Client>,
    context: &mut RunContext,
    buffers: &mut IoBuffers,
) -> ConnectionResult<NextStep> {
    if connection.state == ConnectionState::Connecting {
        return Ok(NextStep::Wait);
    }
    let mut all_received = true;
    if !connection.is_slow_reader {
        all_received = receive(workload, connection, context, buffers)?;
    } else if connection.peer_closed {
        return Err(ConnectionEnd::Broken);
    }
    let all_sent = send(workload, connection, context, buffers)?;
    let must_retry = !all_received || !all_sent || connection.output.local_error.is_some();
    Ok(if must_retry { NextStep::StepAgain } else { NextStep::Wait })
}

/// Reads and checks what has arrived. Returns false if the read budget is spent, so that more may
/// be waiting.
fn receive<W: Workload>(
    workload: &mut W,
    connection: &mut LoadConnection<W::Client>,
    context: &mut RunContext,
    buffers: &mut IoBuffers,
) -> ConnectionResult<bool> {
    let mut budget = READ_BUDGET_BYTES;
    while workload.expects_input(connection, context)
        && let Some(bytes) = connection.read(&mut buffers.read, context)?
    {
        context.read_clock();
        context.has_received = true;
        workload.on_input(connection, buffers.read.get(..bytes).unwrap_or_default(), context)?;
        budget = budget.saturating_sub(bytes.max(MIN_READ_COST_BYTES));
        if budget == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sends the messages that may be sent now. Returns false if some are left although the socket may
/// take more.
fn send<W: Workload>(
    workload: &mut W,
    connection: &mut LoadConnection<W::Client>,
    context: &mut RunContext,
    buffers: &mut IoBuffers,
) -> ConnectionResult<bool> {
    let batch = &mut buffers.batch;
    for _ in 0..MAX_BATCHES {
        let is_flushed = connection.output.flush(&connection.socket).map_err(|_| connection.broken())?;
        if !is_flushed || connection.state != ConnectionState::Open {
            return Ok(true);
        }
        batch.clear();
        workload.fill_batch(connection, batch, context);
        if batch.len() == 0 {
            return Ok(true);
        }
        let written =
            connection.output.write_batch(&connection.socket, batch, workload.table(), &mut context.udp_error);
        written.map_err(|_| connection.broken())?;
        if !batch.is_full() {
            return Ok(true);
        }
        context.read_clock();
    }
    Ok(false)
}
