//! The invariants of the loop, checked after every turn, and those of a loop that would now sleep.

use std::time::Duration;

use super::driver::SourceKind;
use super::event_loop::EventLoop;
use super::scripted_driver::{DriverScript, ScriptedDriver};
use super::state::{AcceptState, SourceState};
use crate::connection::scripted_stream::ScriptedSocket;
use crate::connection::{Connection, Phase, Stream};
use crate::engine::limits::{ACCEPT_PAUSE, Limits};
use crate::engine::run_state::RunState;
use crate::engine::slab::reserved_key;
use crate::service::time::Timestamp;

/// Bytes that one step may queue beyond the limit of a write queue: its replies.
const STEP_REPLY_BYTES: usize = 128 << 10;

/// Checks what holds between any two turns.
pub(super) fn after_turn(event_loop: &EventLoop<ScriptedDriver>, script: &DriverScript) -> Result<(), String> {
    check_between_turns(event_loop)?;
    let shared = &event_loop.shared;
    let limits = &shared.worker.limits;
    for (key, socket) in script.sockets() {
        let Some(conn) = event_loop.connections.get(key) else { continue };
        let is_queued = shared.ready.contains(key);
        check_connection(conn, &socket, is_queued, limits)
            .map_err(|error| format!("connection {key:#x} ({}, {:?}): {error}", conn.peer(), conn.phase()))?;
    }
    for (number, state) in shared.sources.iter().enumerate() {
        let is_queued = shared.ready.contains(reserved_key(number));
        if is_queued != state.scheduled {
            return Err(format!("source {number} is marked as queued: {}", state.scheduled));
        }
        if shared.run_state == RunState::Serving {
            let has_output = shared.udp.sockets.get(number).is_some_and(|socket| !socket.outgoing.is_empty());
            check_source(state, number, has_output, script).map_err(|error| format!("source {number}: {error}"))?;
        }
    }
    Ok(())
}

/// Checks the bounds of a connection, and that it is queued if it can go on without an event, and
/// that an event will come if it needs one.
fn check_connection<S: Stream>(
    conn: &Connection<S>,
    socket: &ScriptedSocket,
    is_queued: bool,
    limits: &Limits,
) -> Result<(), String> {
    let wrong = |message: &str| Err(message.to_owned());
    let ((possible, _), own) = (socket.readiness(), conn.readiness());
    let pending = conn.pending_bytes();
    if pending > limits.max_write_buffer_bytes + STEP_REPLY_BYTES {
        return Err(format!("{pending} bytes are queued, more than the limit allows"));
    }
    match conn.phase() {
        Phase::Closing | Phase::Aborting => return wrong("on_close was not called in the turn of the close"),
        Phase::Closed => return wrong("it is over, but was not removed"),
        Phase::Flushing if pending == 0 => return wrong("everything is flushed, but the close does not go on"),
        Phase::Lingering if pending > 0 => return wrong("it lingers before everything is flushed"),
        Phase::Open | Phase::Flushing | Phase::Lingering => {}
    }
    if conn.wants_step(limits) && !is_queued {
        return wrong("it can go on without an event, and is not queued");
    }
    // After the end of the stream was read, the kernel has nothing more to report.
    if possible.readable && !own.readable && !socket.has_edge() && !conn.is_peer_gone() {
        return wrong("input waits, no event will report it, and the loop does not know of it");
    }
    if pending > 0 && own.writable && !is_queued {
        return wrong("output waits, the socket has room, and it is not queued");
    }
    if pending > 0 && possible.writable && !own.writable && !socket.has_edge() {
        return wrong("output waits, no event will report the room, and the loop does not know of it");
    }
    Ok(())
}

/// Checks that a source is queued if it can go on without an event, and that an event will come if
/// it needs one. A UDP socket is not read while it `has_output`.
fn check_source(state: &SourceState, number: usize, has_output: bool, script: &DriverScript) -> Result<(), String> {
    let wrong = |message: &str| Err(message.to_owned());
    let (waits, can_go_on) = match state.source.kind {
        SourceKind::Listener(_) => (script.backlog(number) > 0, state.accepting != AcceptState::Paused),
        SourceKind::Udp { .. } => (script.waiting_datagrams(number) > 0, !has_output),
        SourceKind::CommandPipe(_) | SourceKind::Closed => (false, false),
    };
    if waits && !state.readiness.readable && !script.has_edge(number) {
        return wrong("input waits, no event will report it, and the loop does not know of it");
    }
    if state.readiness.readable && can_go_on && !state.scheduled {
        return wrong("it can go on without an event, and is not queued");
    }
    Ok(())
}

/// Checks a loop that would now sleep for `timeout`: nothing is left to do, and it wakes for every
/// deadline.
pub(super) fn when_idle(event_loop: &EventLoop<ScriptedDriver>, timeout: Option<Duration>) -> Result<(), String> {
    let shared = &event_loop.shared;
    let now = shared.worker.clock.timestamp;
    let until = |at: Timestamp| at.saturating_since(now);
    let wakes_by = |at: Timestamp| at > now && timeout.is_some_and(|timeout| timeout <= until(at));
    if !shared.ready.is_empty() {
        return Err("the loop would sleep with connections queued".to_owned());
    }
    for (key, conn) in event_loop.connections.iter() {
        if conn.is_paused_for_memory() && shared.memory.grace_ends.is_none() {
            return Err(format!("connection {key:#x} is paused for memory, and nothing ends the pause"));
        }
        let Some((at, deadline)) = conn.deadline(&shared.worker.limits) else { continue };
        if !wakes_by(at) {
            let peer = conn.peer();
            return Err(format!(
                "connection {key:#x} ({peer}): {deadline:?} is due in {:?}, and the loop sleeps for {timeout:?}",
                until(at)
            ));
        }
    }
    let is_paused = shared.sources.iter().any(|state| state.accepting == AcceptState::Paused);
    if is_paused && timeout.is_none_or(|timeout| timeout > ACCEPT_PAUSE) {
        return Err(format!("accepting is paused, and the loop sleeps for {timeout:?}"));
    }
    for (number, socket) in shared.udp.sockets.iter().enumerate() {
        let is_writable = shared.sources.get(number).is_some_and(|state| state.readiness.writable);
        if !socket.outgoing.is_empty() && is_writable {
            return Err(format!("datagrams wait at source {number}, which has room"));
        }
    }
    Ok(())
}

/// Returns the bytes that jobs hold whose connections are removed.
pub(super) fn bytes_of_removed(event_loop: &EventLoop<ScriptedDriver>) -> usize {
    let EventLoop { connections, shared, .. } = event_loop;
    shared.threads.job_pools.bytes_of(|conn| connections.get(conn.0).is_none())
}

/// Checks that the counters match the state and that every list is empty or without duplicates.
pub(super) fn check_between_turns(event_loop: &EventLoop<ScriptedDriver>) -> Result<(), String> {
    let EventLoop { connections, shared, .. } = event_loop;
    let held: usize = connections.iter().map(|(_, conn)| conn.own_bytes()).sum();
    let held = held + bytes_of_removed(event_loop);
    let open = connections.len() - shared.admission.rejected.len();
    let mut ready: Vec<usize> = shared.ready.iter().copied().collect();
    ready.sort_unstable();
    let checks = [
        (shared.worker.stats.buffered_bytes == held as u64, "buffered_bytes is not the sum of the held bytes"),
        (shared.worker.stats.open == open as u64, "the counter of open connections is wrong"),
        (ready.windows(2).all(|pair| pair[0] != pair[1]), "a key is in the ready queue twice"),
        (shared.turn_end.dirty.is_empty(), "output was left unwritten at the end of a turn"),
        (shared.ending.closing.is_empty(), "an on_close was left for a later turn"),
        (shared.ending.closed.is_empty(), "a closed connection was kept"),
        (shared.worker.replies.is_empty(), "a reply was left in the reply buffer"),
        (shared.worker.dropped.is_empty(), "a dropped batch was left for the next connection"),
        (shared.worker.pending_actions.actions.is_empty(), "an action was left for the next callback"),
    ];
    checks.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, message)| Err(message.to_owned()))
}
