//! A scripted socket for tests: the script is what the peer does and how much each call achieves.
//!
//! It keeps the kernel's rules that the loop depends on (epoll(7)). After a short call or
//! `WouldBlock`, an edge follows as soon as more is possible, and none before. An edge reports
//! everything that is possible at that time.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::readiness::{PeerEnd, Readiness};
#[cfg(test)]
pub(crate) use super::scripted_frames::{FRAMING, decode_frames, framed};
pub(crate) use super::scripted_state::ScriptedCall;
use super::scripted_state::{CloseKind, OwnSide, PeerSide, SocketState};
use super::stream::Stream;

/// The peer's end of a scripted socket, and its script.
#[derive(Clone)]
pub(crate) struct ScriptedSocket(Arc<Mutex<SocketState>>);

impl ScriptedSocket {
    /// Returns a socket with an unlimited send buffer, and the stream for a connection.
    pub(crate) fn pair() -> (Self, ScriptedStream) {
        let socket = Self(Arc::new(Mutex::new(SocketState {
            arrived: VecDeque::new(),
            peer_side: PeerSide::Open,
            own_side: OwnSide::Open,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            room: usize::MAX,
            full: false,
            edge: true,
            received: None,
            close: CloseKind::Orderly,
            late: false,
            written: Vec::new(),
            reads_made: 0,
            writes_made: 0,
            write_sizes: Vec::new(),
        })));
        (socket.clone(), ScriptedStream(socket))
    }

    fn state(&self) -> MutexGuard<'_, SocketState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The peer sends `bytes`.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.arrived.extend(bytes);
        state.edge = true;
    }

    /// The peer closes its writing side.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        if state.peer_side == PeerSide::Open {
            state.peer_side = PeerSide::Finished;
        }
        state.edge = true;
    }

    /// The peer resets the connection: unread bytes are lost (tcp(7)), and every call fails from
    /// now on.
    pub(crate) fn reset(&self) {
        let mut state = self.state();
        state.arrived.clear();
        state.peer_side = PeerSide::Reset;
        state.edge = true;
    }

    /// Sets the bytes that the send buffer takes before the peer reads again.
    pub(crate) fn set_room(&self, bytes: usize) {
        let mut state = self.state();
        state.room = bytes;
        if bytes > 0 && std::mem::take(&mut state.full) {
            state.edge = true;
        }
    }

    /// The peer's system has acknowledged this many bytes. No event reports it.
    pub(crate) fn acknowledge(&self, bytes: u64) {
        self.state().received = Some(bytes);
    }

    /// Makes room that no event reports, as a kernel does that reports it in large steps.
    pub(crate) fn add_hidden_room(&self, bytes: usize) {
        let mut state = self.state();
        state.room = state.room.saturating_add(bytes);
    }

    /// The peer has read `bytes` bytes: the send buffer has room for as many more.
    pub(crate) fn add_room(&self, bytes: usize) {
        let room = self.state().room.saturating_add(bytes);
        self.set_room(room);
    }

    /// Makes the next poll report nothing for this socket. The poll after it does.
    pub(crate) fn delay_edge(&self) {
        self.state().late = true;
    }

    /// Forgets the rest of the script: from now on each call does all that is possible, and each
    /// edge is reported by the next poll.
    pub(crate) fn clear_script(&self) {
        let mut state = self.state();
        state.late = false;
        state.reads.clear();
        state.writes.clear();
    }

    pub(crate) fn script_reads(&self, calls: impl IntoIterator<Item = ScriptedCall>) {
        self.state().reads.extend(calls);
    }

    pub(crate) fn script_writes(&self, calls: impl IntoIterator<Item = ScriptedCall>) {
        self.state().writes.extend(calls);
    }

    /// Returns what an event reports, if an edge has occurred since the last call.
    pub(crate) fn take_edge(&self) -> Option<(Readiness, PeerEnd)> {
        let reported = self.readiness();
        let mut state = self.state();
        if std::mem::take(&mut state.late) {
            return None;
        }
        std::mem::take(&mut state.edge).then_some(reported)
    }

    /// Returns true if a poll has yet to report an edge.
    pub(crate) fn has_edge(&self) -> bool {
        self.state().edge
    }

    /// Returns what is possible now.
    pub(crate) fn readiness(&self) -> (Readiness, PeerEnd) {
        let state = self.state();
        let end = if state.peer_side == PeerSide::Open { PeerEnd::Open } else { PeerEnd::Reported };
        let readiness = Readiness {
            readable: end != PeerEnd::Open || !state.arrived.is_empty(),
            writable: state.peer_side == PeerSide::Reset || state.room > 0,
        };
        (readiness, end)
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.state().written.clone()
    }

    /// Returns the bytes written from position `start` on.
    pub(crate) fn written_from(&self, start: usize) -> Vec<u8> {
        self.state().written[start..].to_vec()
    }

    pub(crate) fn write_sizes(&self) -> Vec<usize> {
        self.state().write_sizes.clone()
    }

    /// Returns the numbers of reads and writes made on the socket, failed ones included.
    pub(crate) fn calls_made(&self) -> (usize, usize) {
        let state = self.state();
        (state.reads_made, state.writes_made)
    }

    /// Returns the bytes that have arrived and are unread.
    pub(crate) fn unread(&self) -> usize {
        self.state().arrived.len()
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        matches!(self.state().own_side, OwnSide::ShutDown | OwnSide::Closed { was_shut_down: true })
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state().own_side, OwnSide::Closed { .. })
    }

    /// Returns true if the close drops what the system has not sent.
    pub(crate) fn is_aborted(&self) -> bool {
        self.state().close == CloseKind::Abortive
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// The connection's end of a scripted socket. Dropping it closes the socket.
pub(crate) struct ScriptedStream(ScriptedSocket);

impl Drop for ScriptedStream {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.own_side = OwnSide::Closed { was_shut_down: state.own_side == OwnSide::ShutDown };
    }
}

impl ScriptedStream {
    pub(crate) fn socket(&self) -> ScriptedSocket {
        self.0.clone()
    }
}

impl Read for ScriptedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read_vectored(&mut [IoSliceMut::new(buffer)])
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let mut state = self.0.state();
        let count = state.read(buffers.iter().map(|buffer| buffer.len()).sum())?;
        let mut left = count;
        for buffer in buffers {
            let part = left.min(buffer.len());
            state.arrived.read_exact(&mut buffer[..part]).unwrap();
            left -= part;
        }
        Ok(count)
    }
}

impl Write for ScriptedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.0.state();
        assert!(state.own_side == OwnSide::Open, "write after the writing side was shut down");
        let count = state.write(slices.iter().map(|slice| slice.len()).sum())?;
        let mut left = count;
        for slice in slices {
            let taken = left.min(slice.len());
            state.written.extend_from_slice(&slice[..taken]);
            left -= taken;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for ScriptedStream {
    fn short_io_means_would_block(&self) -> bool {
        true
    }

    fn shutdown_write(&self) -> io::Result<()> {
        let mut state = self.0.state();
        if state.peer_side == PeerSide::Reset {
            return Err(io::ErrorKind::NotConnected.into());
        }
        state.own_side = OwnSide::ShutDown;
        Ok(())
    }

    fn received_by_peer(&self) -> Option<u64> {
        self.0.state().received
    }

    fn unread_bytes(&self) -> usize {
        self.0.state().arrived.len()
    }

    fn abort_on_close(&self) {
        self.0.state().close = CloseKind::Abortive;
    }
}

/// Returns the frames that a client has received, and checks that no half frame follows them.
#[cfg(test)]
pub(crate) fn received(socket: &ScriptedSocket) -> Vec<String> {
    let (payloads, rest) = decode_frames(&socket.written());
    assert_eq!(rest, 0, "half a frame was sent");
    payloads
}
