//! A scripted listener or UDP socket.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use crate::connection::scripted_stream::{ScriptedCall, ScriptedStream};
use crate::reactor::driver::Source;
use crate::service::Peer;

/// A scripted listener or UDP socket.
pub(super) struct ScriptedSource {
    pub(super) source: Source,
    pub(super) open: bool,
    pub(super) edge: bool,
    pub(super) backlog: VecDeque<(ScriptedStream, Peer)>,
    /// The errors that the next accepts return before any connection.
    pub(super) accept_errors: VecDeque<io::Error>,
    pub(super) arrived: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(super) receive_errors: VecDeque<io::Error>,
    pub(super) sends: VecDeque<ScriptedCall>,
    pub(super) sent: Vec<(SocketAddr, Vec<u8>)>,
}

impl ScriptedSource {
    pub(super) fn new(source: &Source) -> Self {
        Self {
            source: *source,
            open: true,
            edge: false,
            backlog: VecDeque::new(),
            accept_errors: VecDeque::new(),
            arrived: VecDeque::new(),
            receive_errors: VecDeque::new(),
            sends: VecDeque::new(),
            sent: Vec::new(),
        }
    }
}
