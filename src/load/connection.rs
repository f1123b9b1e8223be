//! One connection of a load: its socket, remembered readiness, pending output and place in the
//! send schedule.
//!
//! The connection reads or writes once the kernel has reported the socket as ready, until a call
//! returns `WouldBlock`. Knows neither the other connections nor the meaning of its bytes.

use std::io;

use super::net::{LoadSocket, SocketEvent};
use super::output_buffer::OutputBuffer;
use super::pace::SendPolicy;
use super::run_context::RunContext;

/// The reason why a connection ended.
#[derive(Debug)]
pub(super) enum ConnectionEnd {
    /// The connection was never established.
    Refused(io::Error),
    /// The server closed or reset the connection.
    Broken,
    /// The received bytes can no longer be split into answers.
    Garbled,
    /// The connection's only exchange is complete (churn).
    Finished,
    /// This machine could not send a message for the answer timeout. The server is not charged.
    LocalError(io::Error),
}

/// A result whose error ends the connection.
pub(super) type ConnectionResult<T = ()> = Result<T, ConnectionEnd>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    Connecting,
    /// The socket is connected; the server's answers to the handshake are outstanding.
    Handshaking,
    /// Established.
    Open,
    /// The write side is shut down; the server's end of stream is awaited.
    Closing,
}

/// One connection of a load. `C` is the workload's own state.
pub(super) struct LoadConnection<C> {
    pub(super) socket: LoadSocket,
    /// Index of the planned connection that this one serves.
    pub(super) slot: usize,
    /// The connection sends as fast as the server takes it, and never reads.
    pub(super) is_slow_reader: bool,
    pub(super) state: ConnectionState,
    pub(super) connect_began_ns: u64,
    readable: bool,
    /// The kernel has reported the peer's end of stream, or an error. Reading goes on until a read
    /// returns it.
    pub(super) peer_closed: bool,
    pub(super) output: OutputBuffer,
    /// Open loop: number of the connection's next message in the schedule; `u64::MAX` if it has
    /// none.
    pub(super) next_number: u64,
    /// Open loop: time since which the connection has been able to send.
    pub(super) sendable_since_ns: u64,
    pub(super) client: C,
}

impl<C> LoadConnection<C> {
    pub(super) fn new(socket: LoadSocket, slot: usize, now_ns: u64, client: C) -> Self {
        let is_datagram = socket.is_datagram();
        Self {
            socket,
            slot,
            is_slow_reader: false,
            state: if is_datagram { ConnectionState::Open } else { ConnectionState::Connecting },
            connect_began_ns: now_ns,
            readable: false,
            peer_closed: false,
            output: OutputBuffer::new(is_datagram),
            next_number: u64::MAX,
            sendable_since_ns: now_ns,
            client,
        }
    }

    pub(super) fn is_established(&self) -> bool {
        matches!(self.state, ConnectionState::Open | ConnectionState::Closing)
    }

    /// Notes that the connection is established, and records how long that took.
    pub(super) fn establish(&mut self, context: &mut RunContext) {
        self.state = ConnectionState::Open;
        self.sendable_since_ns = context.now_ns;
        context.recorder.record_connect(context.now_ns.saturating_sub(self.connect_began_ns));
    }

    /// Takes note of what the kernel reports.
    pub(super) fn note_event(&mut self, event: SocketEvent, now_ns: u64) {
        if event.writable && self.output.set_writable() {
            self.sendable_since_ns = now_ns;
        }
        self.readable |= event.readable;
        self.peer_closed |= event.peer_closed;
    }

    /// Reads once; returns the number of bytes, or `None` if nothing more has arrived.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8], context: &mut RunContext) -> ConnectionResult<Option<usize>> {
        let is_datagram = self.socket.is_datagram();
        while self.readable {
            match self.socket.read(buffer) {
                Ok(0) if self.state == ConnectionState::Closing => return Err(ConnectionEnd::Finished),
                Ok(0) if !is_datagram => return Err(self.broken()),
                Ok(bytes) => {
                    if self.socket.short_io_means_blocked() && bytes < buffer.len() {
                        // An end of stream that arrived with these bytes has no event of its own.
                        self.readable = self.peer_closed;
                    }
                    return Ok(Some(bytes));
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => self.readable = false,
                    io::ErrorKind::Interrupted => {}
                    _ if is_datagram => context.udp_error = Some(error),
                    _ => return Err(self.broken()),
                },
            }
        }
        Ok(None)
    }

    /// Returns the end of a connection that the server has closed or reset.
    pub(super) fn broken(&self) -> ConnectionEnd {
        if self.is_established() {
            return ConnectionEnd::Broken;
        }
        let error = io::Error::new(io::ErrorKind::ConnectionAborted, "the server closed the connection");
        ConnectionEnd::Refused(error)
    }

    /// Open loop: takes the connection's next message if it is due; returns the time at which it
    /// was due. The message counts as sent now.
    #[inline]
    pub(super) fn take_due(&mut self, context: &mut RunContext) -> Option<u64> {
        let SendPolicy::Scheduled(schedule) = &context.send_policy else { return None };
        if self.next_number >= schedule.due_count {
            return None;
        }
        let due_ns = schedule.due_ns(self.next_number);
        self.next_number += schedule.senders;
        let lag_ns = context.now_ns.saturating_sub(due_ns.max(self.sendable_since_ns));
        context.recorder.record_send_lag(due_ns, lag_ns);
        Some(due_ns)
    }
}
