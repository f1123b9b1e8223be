//! The state of a scripted socket: what has arrived, what the send buffer has room for, and the
//! script of the next calls.

use std::collections::VecDeque;
use std::io;

/// The effect of one call. After the end of the script, each call does all that is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScriptedCall {
    /// Moves all bytes that it can.
    Whole,
    /// Moves at most this many bytes.
    AtMost(usize),
    WouldBlock,
    Interrupted,
    Fails(io::ErrorKind),
}

/// The peer's side of the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerSide {
    Open,
    /// The end of the stream has arrived, after the bytes in `arrived`.
    Finished,
    /// Every call fails.
    Reset,
}

/// The connection's side of the stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OwnSide {
    Open,
    ShutDown,
    /// The stream is dropped; `was_shut_down` if its writing side was shut down before.
    Closed {
        was_shut_down: bool,
    },
}

/// What the close does with output that the system has not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CloseKind {
    Orderly,
    Abortive,
}

pub(super) struct SocketState {
    pub(super) arrived: VecDeque<u8>,
    pub(super) peer_side: PeerSide,
    pub(super) own_side: OwnSide,
    pub(super) reads: VecDeque<ScriptedCall>,
    pub(super) writes: VecDeque<ScriptedCall>,
    /// Bytes that the send buffer has room for.
    pub(super) room: usize,
    /// A write found no room, so the next room is an edge.
    pub(super) full: bool,
    pub(super) edge: bool,
    /// Bytes that the peer's system has acknowledged, if the system tells.
    pub(super) received: Option<u64>,
    pub(super) close: CloseKind,
    /// The next poll does not report the edge yet.
    pub(super) late: bool,
    pub(super) written: Vec<u8>,
    /// Calls made on the socket, failed ones included.
    pub(super) reads_made: usize,
    pub(super) writes_made: usize,
    /// Bytes that each successful write took.
    pub(super) write_sizes: Vec<usize>,
}

impl SocketState {
    pub(super) fn read(&mut self, offered: usize) -> io::Result<usize> {
        self.reads_made += 1;
        let most = match self.reads.pop_front().unwrap_or(ScriptedCall::Whole) {
            ScriptedCall::Whole => usize::MAX,
            ScriptedCall::AtMost(bytes) => bytes,
            ScriptedCall::WouldBlock => 0,
            ScriptedCall::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            ScriptedCall::Fails(kind) => return Err(kind.into()),
        };
        let is_finished = match self.peer_side {
            PeerSide::Open => false,
            PeerSide::Finished => true,
            PeerSide::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
        };
        if offered == 0 || (self.arrived.is_empty() && is_finished && most > 0) {
            return Ok(0);
        }
        let count = offered.min(self.arrived.len()).min(most);
        // The script held bytes back: their later arrival is an edge.
        self.edge |= count < offered && (count < self.arrived.len() || (most == 0 && is_finished));
        if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    pub(super) fn write(&mut self, offered: usize) -> io::Result<usize> {
        self.writes_made += 1;
        let most = match self.writes.pop_front().unwrap_or(ScriptedCall::Whole) {
            ScriptedCall::Whole => usize::MAX,
            ScriptedCall::AtMost(bytes) => bytes,
            ScriptedCall::WouldBlock => 0,
            ScriptedCall::Interrupted => return Err(io::ErrorKind::Interrupted.into()),
            ScriptedCall::Fails(kind) => return Err(kind.into()),
        };
        if self.peer_side == PeerSide::Reset {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = offered.min(self.room).min(most);
        if count < offered {
            self.full = self.room == count;
            self.edge |= !self.full;
        }
        if count == 0 && offered > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.room != usize::MAX {
            self.room -= count;
        }
        self.write_sizes.push(count);
        Ok(count)
    }
}
